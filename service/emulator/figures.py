"""What the calls came to, for the summary at the end."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .calls import Invocation, Invoker, Outcome, PlatformError

KEPT_FIGURES = 100_000
"""Calls whose times a summary is made of; of more, the newest."""


@dataclass(slots=True)
class CallFigures:
    """The calls of one function: how many, how they ended, how long they took as callers saw it."""

    calls: int = 0
    errors: int = 0
    throttled: int = 0
    cold: int = 0
    instances: set[str] = field(default_factory=set)
    _seconds: list[float] = field(default_factory=list)

    def count(self, outcome: Outcome | PlatformError, seconds: float) -> None:
        """Add a call that took so many seconds."""
        self.calls += 1
        if isinstance(outcome, PlatformError):
            self.errors += 1
            self.throttled += outcome.status == 429
            return
        self.errors += bool(outcome.error_type)
        self.cold += outcome.cold
        self.instances.add(outcome.instance_id)
        if len(self._seconds) < KEPT_FIGURES:
            self._seconds.append(seconds)
        else:
            self._seconds[self.calls % KEPT_FIGURES] = seconds

    def row(self) -> dict[str, Any]:
        """Return what the summary says of the function; times in milliseconds."""
        times = sorted(self._seconds)
        return {
            "calls": self.calls,
            "errors": self.errors,
            "throttled": self.throttled,
            "cold starts": self.cold,
            "instances": len(self.instances),
            "p50 ms": _at(times, 0.50),
            "p99 ms": _at(times, 0.99),
        }


def _at(times: list[float], part: float) -> float:
    return round(times[min(len(times) - 1, int(len(times) * part))] * 1000, 2) if times else 0.0


class Counted:
    """A pool whose calls are counted."""

    def __init__(self, pool: Invoker, figures: CallFigures) -> None:
        self._pool = pool
        self._figures = figures

    def pass_on_to(self, pool: Invoker) -> None:
        """Pass further calls on to another pool."""
        self._pool = pool

    @property
    def room(self) -> int:
        """Calls that would be taken now."""
        return self._pool.room

    async def invoke(self, call: Invocation) -> Outcome:
        """Pass the call on. Raises PlatformError."""
        began = time.perf_counter()
        try:
            outcome = await self._pool.invoke(call)
        except PlatformError as refused:
            self._figures.count(refused, time.perf_counter() - began)
            raise
        self._figures.count(outcome, time.perf_counter() - began)
        return outcome


def summary(figures: Mapping[str, CallFigures]) -> Iterator[str]:
    """Return the summary's lines: titles, then a function each, the columns in line."""
    rows = [{"function": name, **each.row()} for name, each in figures.items()]
    columns = [[title, *(_cell(row[title]) for row in rows)] for title in rows[0]]
    widths = [max(map(len, column)) for column in columns]
    for name, *cells in zip(*columns, strict=True):
        numbers = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        yield "  ".join((name.ljust(widths[0]), *numbers))


def _cell(value: object) -> str:
    return value if isinstance(value, str) else f"{value:,}"
