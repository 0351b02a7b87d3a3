"""Who may run now: slots, a bounded queue in order of arrival, and the budget of buffered
bodies.
"""

from __future__ import annotations

import asyncio
from collections import deque

from ..errors import Overloaded


class Admission:
    """`slots` calls run, `queue` more wait in order of arrival, further ones are refused with
    `Overloaded`.
    """

    def __init__(self, slots: int, queue: int) -> None:
        self.slots = slots
        self.queue = queue
        self.running = 0
        self.refused = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def queued(self) -> int:
        """The calls that wait for a slot."""
        return len(self._waiting)

    def take(self) -> bool:
        """Take a slot if one is free; return whether there was one."""
        if self.running >= self.slots:
            return False
        self.running += 1
        return True

    async def enter(self) -> None:
        """Take a slot, at once or when its turn comes. A cancelled wait gives its place up.

        Raises Overloaded when slots and queue are full.
        """
        if self.take():
            return
        if len(self._waiting) >= self.queue:
            self.refused += 1
            raise Overloaded(
                f"all {self.slots} slots and {self.queue} queue places are taken: try again later"
            )
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self.leave()  # the slot came in the same turn of the loop as the cancellation
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise

    def leave(self) -> None:
        """Give the slot to the next in the queue, or free it."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.running -= 1


class Budget:
    """Bytes that buffered bodies may take together. Waiters are served in order of arrival."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.used = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def waiting(self) -> int:
        """The bodies that wait to be read."""
        return len(self._waiting)

    def take(self, size: int) -> bool:
        """Take `size` bytes if they fit and nobody waits; return whether they did.

        A body larger than the whole budget is read alone instead of never.
        """
        if self._waiting or (self.used + size > self.total and self.used):
            return False
        self.used += size
        return True

    async def reserve(self, size: int) -> None:
        """Wait until `size` bytes fit, and take them."""
        if self.take(size):
            return
        turn = asyncio.get_running_loop().create_future()
        entry = (size, turn)
        self._waiting.append(entry)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self.release(size)
            elif entry in self._waiting:
                self._waiting.remove(entry)
                self._admit()  # a smaller one behind may fit now
            raise

    def hold(self, size: int) -> None:
        """Take `size` bytes that are there already, whether they fit or not."""
        self.used += size

    def release(self, size: int) -> None:
        """Give `size` bytes back."""
        self.used -= size
        if self._waiting:
            self._admit()

    def _admit(self) -> None:
        while self._waiting:
            size, turn = self._waiting[0]
            if self.used and self.used + size > self.total:
                return
            self._waiting.popleft()
            if not turn.done():
                self.used += size
                turn.set_result(None)
