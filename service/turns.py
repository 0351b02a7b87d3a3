"""A listening socket that several workers share: each takes a connection when it is free to."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import mmap
import socket

from yarl import URL

from service.connection import Runner, Server, log_rarely
from service.lifecycle import Lifecycle

AHEAD = 8
"""Connections that a worker may have more than another one before it lets that one go first."""

PATIENCE = 0.005
"""Seconds in which the other one may take a connection then."""

RETRY = 1.0
"""Seconds after which a worker without a free file descriptor tries again to take a connection."""

EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

_log = logging.getLogger("service")


class Tally:
    """How many connections each worker has, and has ever taken, for all of them to see.

    Made before the first of them; each writes at its own place alone.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self._cells = memoryview(mmap.mmap(-1, number * 16)).cast("Q")

    def note(self, place: int, has: int, taken: int) -> None:
        """Write a worker's figures."""
        self._cells[2 * place], self._cells[2 * place + 1] = has, taken

    def behind(self, place: int, has: int) -> dict[int, int]:
        """Return the workers that have much less than `has`, and what each has taken."""
        return {
            other: self._cells[2 * other + 1]
            for other in range(self.number)
            if other != place and self._cells[2 * other] + AHEAD <= has
        }


class Turns:
    """Takes one connection in a turn of the loop, and lets workers that have less go first.

    asyncio and uvloop take all that wait at once: the worker that wakes up first would have a whole
    burst, for as long as its connections live. A worker that does not take what is left to it hangs
    or starts: it is waited for once in a while.
    """

    def __init__(
        self,
        runner: Runner,
        sock: socket.socket,
        lifecycle: Lifecycle,
        tally: Tally,
        place: int,
    ) -> None:
        server = runner.server
        assert isinstance(server, Server)
        self._server = server
        self._sock = sock
        self._lifecycle = lifecycle
        self._tally = tally
        self._place = place
        self._taken = 0
        self._waited_for: dict[int, int] = {}
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def name(self) -> str:
        """The URL."""
        host, port = self._sock.getsockname()[:2]
        return str(URL.build(scheme="http", host=host, port=port))

    async def start(self) -> None:
        """Take connections from now on."""
        self._server.left = self._note
        self._note()
        self._resume()

    async def stop(self) -> None:
        """Take what waits, since closing would reset it, then no more.

        Where the whole instance stops, and not this process alone, the socket is ended for all: the
        parent has it too, and nobody would answer there.
        """
        while self._take_one():
            pass
        self._pause()
        if not self._lifecycle.ending.is_set():
            with contextlib.suppress(OSError):  # another worker was first
                self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _resume(self) -> None:
        self._loop.add_reader(self._sock, self._take)

    def _pause(self) -> None:
        self._loop.remove_reader(self._sock)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _pause_for(self, seconds: float) -> None:
        self._pause()
        self._timer = self._loop.call_later(seconds, self._resume)

    def _take(self) -> None:
        if self._others_first():
            self._pause_for(PATIENCE)
        else:
            self._take_one()

    def _take_one(self) -> bool:
        """Take a connection; return True when there was one."""
        try:
            client, _ = self._sock.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False  # another worker has it, or the client went away
        except OSError as reason:
            self._cannot_take(reason)
            return False
        self._taken += 1
        if self._taken % AHEAD == 0:
            self._waited_for = {}
        client.setblocking(False)
        task = asyncio.ensure_future(self._serve(client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    def _others_first(self) -> bool:
        behind = self._tally.behind(self._place, self._note())
        hopeful = any(self._waited_for.get(other) != taken for other, taken in behind.items())
        self._waited_for = behind
        return hopeful

    def _note(self) -> int:
        has = self._server.live + len(self._tasks)
        self._tally.note(self._place, has, self._taken)
        return has

    def _cannot_take(self, reason: OSError) -> None:
        if reason.errno in EXHAUSTED:
            log_rarely("descriptors", "no file descriptor is left: new connections wait")
            self._pause_for(RETRY)
            return
        self._pause()  # another worker has ended the socket for all: the instance stops

    async def _serve(self, client: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._server, client)
        except OSError as reason:
            _log.debug("a connection was gone before it was served: %s", reason.strerror)
            client.close()
