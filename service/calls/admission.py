"""Who may run now: slots, a bounded queue in order of arrival, and the budget of buffered
bodies.
"""

from __future__ import annotations

import asyncio
from collections import deque

import msgspec

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

    @property
    def present(self) -> int:
        """The calls that have a slot or wait for one."""
        return self.running + len(self._waiting)

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
    """Bytes that buffered bodies may take together. Waiters are served in order of arrival.

    A body of known length takes all of it before it is read (`reserve`), one of unknown length what
    comes, piece by piece (`grow`). Those that have begun go before those that have not. If none but
    bodies that still grow hold bytes, none can end while all wait: one of them, and no second one
    before it has arrived, goes over the total. So `total` and one body more are held at most.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.used = 0
        self._growing: dict[object, int] = {}  # what each body that still arrives has taken
        self._beyond: object = None  # the one of them that goes over the total
        self._pieces: deque[_Wait] = deque()
        self._bodies: deque[_Wait] = deque()

    @property
    def waiting(self) -> int:
        """The bodies that wait to be read, or to be read on."""
        return len(self._pieces) + len(self._bodies)

    def take(self, size: int) -> bool:
        """Take `size` bytes if they fit and nobody waits; return whether they did.

        A body larger than the whole budget is read alone instead of never.
        """
        if self._pieces or self._bodies or (self.used and self.used + size > self.total):
            return False
        self.used += size
        return True

    async def reserve(self, size: int) -> None:
        """Wait until `size` bytes fit, and take them."""
        if not self.take(size):
            await self._wait(self._bodies, size, None)

    async def grow(self, body: object, size: int) -> None:
        """Wait until `size` bytes more fit for a body that still arrives, and take them."""
        has_begun = body in self._growing
        if (has_begun or not self.waiting) and self._fits(size, body):
            self._give(size, body)
        else:
            await self._wait(self._pieces if has_begun else self._bodies, size, body)

    def settle(self, body: object) -> None:
        """Note that a body grows no more; what it has taken is to be released as any other's."""
        self._growing.pop(body, None)
        if self._beyond is body:
            self._beyond = None

    def hold(self, size: int) -> None:
        """Take `size` bytes that are there already, whether they fit or not."""
        self.used += size

    def release(self, size: int) -> None:
        """Give `size` bytes back."""
        self.used -= size
        if self._pieces or self._bodies:
            self._admit()

    def _fits(self, size: int, body: object) -> bool:
        if self.used + size <= self.total or not self.used:
            return True
        if body not in self._growing or self._beyond not in (None, body):
            return False
        return self.used == sum(self._growing.values())

    def _give(self, size: int, body: object) -> None:
        self.used += size
        if body is not None:
            self._growing[body] = self._growing.get(body, 0) + size
            if self.used > self.total:
                self._beyond = body

    async def _wait(self, line: deque[_Wait], size: int, body: object) -> None:
        wait = _Wait(size, body, asyncio.get_running_loop().create_future())
        line.append(wait)
        try:
            await wait.turn
        except asyncio.CancelledError:
            if not wait.turn.cancelled():
                self._take_back(size, body)
            elif wait in line:
                line.remove(wait)
                self._admit()  # a smaller one behind may fit now
            raise

    def _take_back(self, size: int, body: object) -> None:
        if body in self._growing:
            self._growing[body] -= size
            if not self._growing[body]:
                self.settle(body)
        self.release(size)

    def _admit(self) -> None:
        for wait in tuple(self._pieces):
            self._let_in(self._pieces, wait)
        while self._bodies and not self._pieces and self._let_in(self._bodies, self._bodies[0]):
            pass

    def _let_in(self, line: deque[_Wait], wait: _Wait) -> bool:
        """Let one go on if it fits, or if it has given up; return whether it has left the line."""
        if not wait.turn.done():
            if not self._fits(wait.size, wait.body):
                return False
            self._give(wait.size, wait.body)
            wait.turn.set_result(None)
        line.remove(wait)
        return True


class _Wait(msgspec.Struct, eq=False):
    """What waits for room in the budget: bytes, of a body that grows or of None."""

    size: int
    body: object
    turn: asyncio.Future[None]
