"""What the calls of each second came to, for charts: of the last 15 minutes."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from typing import Any

CHARTED = 15 * 60
"""Seconds that are kept."""

TIMED = 5_000
"""Calls of a function in one second whose durations are kept; of more, some."""


class CallsOfSecond:
    """The calls of one function that ended in one second."""

    __slots__ = ("calls", "errors", "second", "seconds", "throttled")

    def __init__(self, second: int) -> None:
        self.second = second
        self.calls = self.errors = self.throttled = 0
        self.seconds: list[float] = []

    def count(self, seconds: float, status: str) -> None:
        """Add a call that took so many seconds."""
        self.calls += 1
        if status != "ok":
            self.errors += 1
            self.throttled += status == "refused"
        if len(self.seconds) < TIMED:
            self.seconds.append(seconds)
        else:
            self.seconds[self.calls % TIMED] = seconds

    def row(self) -> dict[str, Any]:
        """Return the counts, and the durations in milliseconds."""
        times = sorted(self.seconds)
        last = len(times) - 1
        parts = (("p50", 0.50), ("p95", 0.95), ("p99", 0.99))
        counts = {"calls": self.calls, "errors": self.errors, "throttled": self.throttled}
        return counts | {
            name: round(times[min(last, int(len(times) * part))] * 1000, 2) if times else 0.0
            for name, part in parts
        }


class SecondFigures:
    """The figures of all functions.

    A second in which a function had no call that ended, and in which nothing else changed, has no
    figures: the last ones hold on.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.in_flight: defaultdict[str, int] = defaultdict(int)
        self._clock = clock
        self._open: dict[str, CallsOfSecond] = {}
        self._rows: deque[dict[str, Any]] = deque()
        self._gauges: dict[str, dict[str, int]] = {}
        self._rolled = 0

    def begin(self, function: str) -> None:
        """Count a call that begins."""
        self.in_flight[function] += 1

    def end(self, function: str, seconds: float, status: str) -> None:
        """Count a call that has ended after so many seconds."""
        self.in_flight[function] -= 1
        counted = self._open.get(function)
        if counted is None:
            counted = self._open[function] = CallsOfSecond(int(self._clock()))
        counted.count(seconds, status)

    def roll(self, instances: Mapping[str, tuple[int, int]]) -> list[dict[str, Any]]:
        """Close the seconds that are over; return their figures. `instances` has how many each
        function has now, and how many of them are frozen.
        """
        now = int(self._clock())
        if now == self._rolled:
            return []
        self._rolled = now
        rows = []
        for function, (there, frozen) in instances.items():
            gauges = {
                "in_flight": self.in_flight[function],
                "instances": there,
                "frozen": frozen,
            }
            counted = self._open.get(function)
            over = counted is not None and counted.second < now
            if over or gauges != self._gauges.get(function):
                ended = self._open.pop(function) if over else CallsOfSecond(now - 1)
                rows.append({"t": ended.second, "function": function, **gauges, **ended.row()})
                self._gauges[function] = gauges
        self._rows += rows
        while self._rows and self._rows[0]["t"] < now - CHARTED:
            self._rows.popleft()
        return rows

    def rows(self) -> list[dict[str, Any]]:
        """Return the figures that are kept, the oldest first."""
        return list(self._rows)
