"""A listening socket that several workers share: each takes a connection when it is free to."""

from __future__ import annotations

import contextlib
import mmap
import socket

from ..calls.lifecycle import Lifecycle
from ..http.listener import Listener
from ..http.server import Server

AHEAD = 8
"""Connections that a worker may have more than another one before it lets that one go first."""

PATIENCE = 0.005
"""Seconds in which the other one may take a connection then."""


class SharedCounts:
    """What each worker writes down for all others, and for the supervisor, to see: how many
    connections it has, how many it has ever taken, and whether calls are in flight.

    Made before the first of them; each writes at its own place alone.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._cells = memoryview(mmap.mmap(-1, workers * 24)).cast("Q")

    def note(self, place: int, has: int, taken: int) -> None:
        """Write how many connections a worker has, and has ever taken."""
        self._cells[3 * place], self._cells[3 * place + 1] = has, taken

    def behind(self, place: int, has: int) -> dict[int, int]:
        """Return the workers that have much less than `has`, and what each has taken."""
        return {
            other: self._cells[3 * other + 1]
            for other in range(self._workers)
            if other != place and self._cells[3 * other] + AHEAD <= has
        }

    def note_busy(self, place: int, *, busy: bool) -> None:
        """Write whether a worker has calls in flight."""
        self._cells[3 * place + 2] = busy

    def is_busy(self, place: int) -> bool:
        """Return whether a worker has calls in flight; of a dead one, whether it had."""
        return bool(self._cells[3 * place + 2])

    def forget(self, place: int) -> None:
        """Write that a place has no worker."""
        self.note(place, 0, 0)
        self.note_busy(place, busy=False)


class FairListener(Listener):
    """Takes one connection in a turn of the loop, and lets workers that have less go first.

    asyncio and uvloop take all that wait at once: the worker that wakes up first would have a whole
    burst, for as long as its connections live. A worker that does not take what is left to it hangs
    or starts: it is waited for once in a while.
    """

    def __init__(
        self,
        server: Server,
        sock: socket.socket,
        lifecycle: Lifecycle,
        counts: SharedCounts,
        place: int,
    ) -> None:
        super().__init__(server, sock, lifecycle)
        self._counts = counts
        self._place = place
        self._taken = 0
        self._waited_for: dict[int, int] = {}

    async def start(self) -> None:
        """Take connections from now on."""
        self._server.connections.ended = self._note
        self._note()
        await super().start()

    async def stop(self) -> None:
        """Take what waits, then no more.

        Where the whole instance stops, and not this process alone, the socket is ended for all: the
        parent has it too, and nobody would answer there.
        """
        while self._take_one():
            pass
        if not self._lifecycle.ending.is_set():
            with contextlib.suppress(OSError):  # another worker was first
                self._sock.shutdown(socket.SHUT_RDWR)
        await super().stop()

    def _take(self) -> None:
        if self._others_first():
            self._pause_for(PATIENCE)
        else:
            self._take_one()

    def _take_one(self) -> bool:
        took = super()._take_one()
        if took:
            self._taken += 1
            if self._taken % AHEAD == 0:
                self._waited_for = {}
        return took

    def _others_first(self) -> bool:
        behind = self._counts.behind(self._place, self._note())
        hopeful = any(self._waited_for.get(other) != taken for other, taken in behind.items())
        self._waited_for = behind
        return hopeful

    def _note(self) -> int:
        has = len(self._server.connections.open) + len(self._tasks)
        self._counts.note(self._place, has, self._taken)
        return has
