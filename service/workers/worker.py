"""A worker among several: what it shares with the others, and what it tells its parent."""

from __future__ import annotations

import asyncio
import logging
import os
import select
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from ..calls.lifecycle import Lifecycle
from ..errors import StartError
from ..http.server import Runner
from ..instance.assembly import SERVICE
from ..instance.duties import DUTIES
from ..protocol import SERVICE_LOGGER
from ..settings.table import Settings
from .fair_listener import Tally, Turns
from .peers import Mailbox, Peers

_log = logging.getLogger(SERVICE_LOGGER)


class News(msgspec.Struct, frozen=True):
    """What a worker tells its parent, once: that it serves, or why it cannot."""

    pid: int
    banner: list[str] = []
    failure: str | None = None
    exit_code: int = 0


@dataclass(frozen=True)
class Seat:
    """What one worker needs of what it shares with the others. Made before it, for it."""

    place: int
    number: int
    sock: socket.socket
    boxes: list[Mailbox]
    tally: Tally
    alive: int
    news: socket.socket

    def peers(self, settings: Settings) -> Peers:
        """Return the worker's line to the others."""
        return Peers(self.place, self.boxes, settings)

    def site(self, runner: Runner, sock: socket.socket, lifecycle: Lifecycle) -> Turns:
        """Return what takes this worker's connections."""
        return Turns(runner, sock, lifecycle, self.tally, self.place)

    def join(self, app: web.Application, peers: Peers) -> None:
        """Let the worker answer the others, and end when the parent says so or is gone."""
        service = app[SERVICE]
        logs, lifecycle = service.logs, service.lifecycle
        told = False  # that the whole instance ends: no other worker takes this place

        def flush(request_id: str) -> None:
            logs.end(request_id)
            logs.sink.flush()

        async def joined(_app: web.Application) -> Any:
            loop = asyncio.get_running_loop()
            peers.open()
            loop.add_reader(self.alive, ended)
            yield
            loop.remove_reader(self.alive)
            peers.close(for_good=told or self._is_told())

        def ended() -> None:
            nonlocal told
            told = True
            asyncio.get_running_loop().remove_reader(self.alive)
            if not os.read(self.alive, 1):
                _log.warning("the parent process is gone: stopping, calls in flight are finished")
            lifecycle.ending.set()

        peers.work = {duty.path: duty.work(service) for duty in DUTIES}
        peers.platform, peers.before_answer = service.platform, flush
        app.cleanup_ctx.append(joined)

    def _is_told(self) -> bool:
        """Say whether the parent has said that all workers end, or is gone."""
        events = select.poll()
        events.register(self.alive, select.POLLIN)
        return bool(events.poll(0))

    def serves(self, banner: list[str]) -> None:
        """Tell the parent that the worker serves."""
        self._tell(News(os.getpid(), banner))

    def failed(self, error: StartError) -> None:
        """Tell the parent why the worker cannot start."""
        self._tell(News(os.getpid(), failure=str(error), exit_code=error.exit_code))

    def close(self) -> None:
        """Give back what the worker has of all this."""
        give_back(self.sock, self.news, self.boxes)
        os.close(self.alive)

    def _tell(self, news: News) -> None:
        with suppress(OSError):  # nobody reads it any more: the pipe of `alive` says so as well
            self.news.send(msgspec.json.encode(news))


def give_back(sock: socket.socket, news: socket.socket, boxes: list[Mailbox]) -> None:
    """Close this process's copies of what the workers share."""
    for each in (sock, news, *(end for box in boxes for end in (box.inside, box.slot))):
        each.close()
