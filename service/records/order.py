"""Which record runs next: so many at once, and those of one key one after another."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar


class Keyed(Protocol):
    """A record. Those that have no key, None, are in no order."""

    key: Hashable


K = TypeVar("K", bound=Keyed)

WITHOUT_A_BREAK = 100
"""Records that are put behind others before the event loop goes on."""


class RecordOrder(Generic[K]):
    """Starts records as they come: `concurrency` run at once, and one whose key has another one
    running waits for that. No more than `window` have come and are not done.
    """

    def __init__(
        self, start: Callable[[K], None], concurrency: int, window: float = math.inf
    ) -> None:
        self._start = start
        self._concurrency = concurrency
        self._window = window
        self.running = 0
        self._behind: dict[Hashable, deque[K]] = {}  # a key is here if one of it runs
        self._waiting = 0
        self._coming: K | None = None
        self._changed: asyncio.Future[None] | None = None
        self._is_stopped = False
        self._placed = 0

    async def add(self, record: K) -> None:
        """Start a record, or put it behind those of its key, once there is room for it."""
        self._coming = record
        self._placed += 1
        if self._placed % WITHOUT_A_BREAK == 0:
            await asyncio.sleep(0)
        while self.running >= self._concurrency or self.running + self._waiting >= self._window:
            await self._change()
        self._coming = None
        self._place(record)

    def _place(self, record: K) -> None:
        if record.key is not None:
            if record.key in self._behind:
                self._behind[record.key].append(record)
                self._waiting += 1
                return
            self._behind[record.key] = deque()
        self.running += 1
        self._start(record)

    def done(self, record: K) -> None:
        """Note that a record is settled; the next one of its key begins."""
        self.running -= 1
        behind = self._behind.get(record.key) if record.key is not None else None
        if behind and not self._is_stopped:
            self._waiting -= 1
            self.running += 1
            self._start(behind.popleft())
        elif record.key is not None:
            self._behind.pop(record.key, None)
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    async def idle(self) -> None:
        """Wait until no record runs or waits."""
        while self.running or self._waiting:
            await self._change()

    async def _change(self) -> None:
        self._changed = asyncio.get_running_loop().create_future()
        await self._changed

    def stop(self) -> list[K]:
        """Begin no record any more. Return those that have come and have not begun."""
        self._is_stopped = True
        left = [record for behind in self._behind.values() for record in behind]
        if self._coming is not None:
            left.append(self._coming)
        self._coming = None
        self._waiting = 0
        for behind in self._behind.values():
            behind.clear()
        return left
