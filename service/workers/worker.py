"""A worker among several: what it shares with the others, and what it tells the supervisor."""

from __future__ import annotations

import asyncio
import logging
import os
import select
import socket
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiohttp import web

from ..calls.lifecycle import Lifecycle
from ..counting.pages import USER_PAGE, WorkerPages
from ..errors import StartError
from ..http.server import Server
from ..instance.assembly import SERVICE
from ..instance.duties import DUTIES
from ..protocol import SERVICE_LOGGER
from ..settings.table import Settings
from .fair_listener import FairListener, SharedCounts
from .messages import Inbox, WorkerReport, encoded, report_of
from .peers import Peers

_log = logging.getLogger(SERVICE_LOGGER)


@dataclass(frozen=True)
class WorkerShare:
    """What one worker has of all that the workers share, and its place among them. Made before it,
    for it.
    """

    place: int
    number: int
    sock: socket.socket
    inboxes: list[Inbox]
    counts: SharedCounts
    alive: int
    reports: socket.socket
    pages: WorkerPages | None

    def share_metrics(self) -> None:
        """Have what the function counts be told by any worker. Before the function is loaded: it
        may count at once.
        """
        if self.pages is not None:
            USER_PAGE.share(self.pages.of_user[self.place])

    def peers(self, settings: Settings) -> Peers:
        """Return the worker's line to the others."""
        return Peers(self.place, self.inboxes, settings)

    def listener(self, server: Server, sock: socket.socket, lifecycle: Lifecycle) -> FairListener:
        """Return what takes this worker's connections."""
        return FairListener(server, sock, lifecycle, self.counts, self.place)

    def join(self, app: web.Application, peers: Peers) -> None:
        """Let the worker answer the others, write down whether it has calls in flight, and end when
        the supervisor says so or is gone.
        """
        service = app[SERVICE]
        logs, lifecycle = service.logs, service.lifecycle
        told = False  # that the whole instance ends: no other worker takes this place

        def flush(request_id: str) -> None:
            logs.end(request_id)
            logs.pipe.flush()

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

        self._write_down(lifecycle)
        if self.pages is not None:
            service.figures.share(self.pages, self.place)
        peers.work = {duty.path: duty.work(service) for duty in DUTIES}
        peers.platform, peers.before_answer = service.platform, flush
        app.cleanup_ctx.append(joined)

    def _write_down(self, lifecycle: Lifecycle) -> None:
        arrived = lifecycle.arrived

        def busy() -> None:
            self.counts.note_busy(self.place, busy=True)
            arrived()

        lifecycle.arrived = busy
        lifecycle.rested = partial(self.counts.note_busy, self.place, busy=False)

    def _is_told(self) -> bool:
        """Return whether the supervisor has said that all workers end, or is gone."""
        events = select.poll()
        events.register(self.alive, select.POLLIN)
        return bool(events.poll(0))

    def serves(self, banner: list[str]) -> None:
        """Tell the supervisor that the worker serves."""
        self._report(WorkerReport(os.getpid(), banner))

    def failed(self, error: StartError) -> None:
        """Tell the supervisor why the worker cannot start."""
        self._report(report_of(os.getpid(), error))

    def close(self) -> None:
        """Give back what the worker has of all this."""
        self.sock.close()
        self.reports.close()
        for inbox in self.inboxes:
            inbox.close()
        os.close(self.alive)

    def _report(self, report: WorkerReport) -> None:
        with suppress(OSError):  # nobody reads it any more: the pipe of `alive` says so as well
            self.reports.send(encoded(report))
