"""The order of one function's tasks: as they came, those that wait for their time when it has come.

Plain values: nothing here knows the time or waits. Times are Unix seconds.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waiting:
    """A task that waits: its number, when it is due, and when it is too old."""

    number: int
    due: float
    expires: float


class WaitingTasks:
    """Numbers of tasks that wait for their time, or for room."""

    def __init__(self) -> None:
        self._ready: deque[Waiting] = deque()
        self._later: list[tuple[float, int, Waiting]] = []  # a heap by the time when each is due
        self._oldest = math.inf
        """The first time at which something in `_ready` may be too old."""

    def __len__(self) -> int:
        return len(self._ready) + len(self._later)

    @property
    def ready(self) -> int:
        """How many tasks wait for nothing but room."""
        return len(self._ready)

    @property
    def next_due(self) -> float | None:
        """When the next of the other tasks is due; None if there is none."""
        return self._later[0][0] if self._later else None

    def put(self, waiting: Waiting, now: float) -> None:
        """Add a task."""
        if waiting.due > now:
            heapq.heappush(self._later, (waiting.due, waiting.number, waiting))
        else:
            self._queue(waiting)

    def remove(self, number: int) -> bool:
        """Forget a task; return False if it does not wait."""
        before = len(self)
        self._ready = deque(entry for entry in self._ready if entry.number != number)
        self._later = [entry for entry in self._later if entry[1] != number]
        heapq.heapify(self._later)
        return len(self) < before

    def ripen(self, now: float) -> list[int]:
        """Let what is due by now wait for room; take out what is too old and return its numbers."""
        while self._later and self._later[0][0] <= now:
            self._queue(heapq.heappop(self._later)[2])
        if now < self._oldest:
            return []
        waiting, self._ready = self._ready, deque()
        self._oldest = math.inf
        expired = []
        for entry in waiting:
            if entry.expires > now:
                self._queue(entry)
            else:
                expired.append(entry.number)
        return expired

    def first(self, count: int) -> list[int]:
        """Return the numbers of the first tasks that wait for room, at most so many."""
        return [self._ready[index].number for index in range(min(count, len(self._ready)))]

    def drop_first(self, count: int) -> None:
        """Take so many tasks out, the first that wait for room."""
        for _ in range(count):
            self._ready.popleft()

    def _queue(self, waiting: Waiting) -> None:
        self._ready.append(waiting)
        self._oldest = min(self._oldest, waiting.expires)
