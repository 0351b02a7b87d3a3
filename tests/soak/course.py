"""What becomes of a service over time: what it held between rounds, and whether that grows."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from tests.soak.traffic import FAULTS, Tally

SLOPE = 1.0
"""MB of resident memory that 100,000 calls may add, at most."""

WANDERS = 4.0
"""MB by which a process that keeps nothing goes up and down: the C library takes and gives back
memory in steps. Fewer than 100,000 calls cannot tell that from growth; the blocks can.
"""

BLOCKS = 1000, 0.02
"""Blocks of memory that may be more at the end of the second half than at its start: so many, or so
many for each call. A path that leaks leaves at least one each time it is taken.
"""

CONCURRENCY = 16
"""Calls that each service runs at once: twice as many as there are callers."""

POOLS = CONCURRENCY + 8
"""Threads that there may be: one for each call, those of asyncio's own executor, and our two."""


@dataclass
class Sample:
    """One service between two rounds, when nothing is in flight."""

    second: float
    calls: int
    rss: float
    fds: int
    threads: int
    tasks: int
    blocks: int
    garbage: int
    lag_p99: float
    lag_max: float


@dataclass
class Course:
    """What became of one service: MB by second under load, and what it held between rounds."""

    name: str
    samples: list[Sample] = field(default_factory=list)
    load: list[tuple[float, float]] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    lost: int = 0
    code: int | None = None
    tracebacks: int = 0

    @property
    def half(self) -> list[Sample]:
        """The samples of the second half."""
        return self.samples[len(self.samples) // 2 :]

    def slope(self) -> float:
        """MB that 100,000 calls add in the second half: the median of the slopes between any two
        samples, which a few odd ones do not move.
        """
        pairs = [(a, b) for a, b in combinations(self.half, 2) if b.calls > a.calls]
        return statistics.median(100_000 * (b.rss - a.rss) / (b.calls - a.calls) for a, b in pairs)

    def faults(self) -> list[str]:
        """What is not as it must be."""
        first, half = self.samples[: -len(self.half)], self.half
        found = [f"{len(self.tally.wrong)} calls went wrong: {self.tally.wrong[:3]}"]
        found = found if self.tally.wrong else []
        calls = half[-1].calls - half[0].calls
        grown = self.slope() * calls / 100_000
        if grown > (SLOPE * calls / 100_000 if calls >= 100_000 else WANDERS):
            found.append(f"resident memory grows by {self.slope():.2f} MB per 100,000 calls")
        blocks = half[-1].blocks - half[0].blocks
        if blocks > max(BLOCKS[0], BLOCKS[1] * calls):
            found.append(f"{blocks} blocks of memory more after {calls} calls")
        for what, allowed in (("fds", 0), ("threads", POOLS), ("tasks", 0)):
            before = max(getattr(each, what) for each in first)
            after = max(getattr(each, what) for each in half)
            if after > max(before, allowed):
                found.append(f"{what} grow: {before:g} at most, and then {after:g}")
        if any(each.garbage for each in self.samples):
            found.append("there is garbage that cannot be collected")
        if self.code != 0:
            found.append(f"it stopped with exit code {self.code}")
        if self.tracebacks:
            found.append(f"its stderr has {self.tracebacks} tracebacks")
        return found


def table(courses: Sequence[Course]) -> list[str]:
    """What became of each service, side by side."""
    rows: dict[str, Callable[[Course], str]] = {
        "calls": lambda c: f"{c.tally.calls:,}",
        "errors, as expected": lambda c: f"{expected(c):,}",
        "clients that left": lambda c: f"{c.tally.kinds.get('vanishes', 0):,}",
        "unexpected": lambda c: f"{len(c.tally.wrong):,}",
        "log lines lost": lambda c: f"{c.lost:,}",
        "resident MB: first round": lambda c: f"{c.samples[0].rss:.1f}",
        "resident MB: peak": lambda c: f"{max(value for _, value in c.load):.1f}",
        "resident MB: last round": lambda c: f"{c.samples[-1].rss:.1f}",
        "MB per 100,000 calls": lambda c: f"{c.slope():+.2f}",
        "blocks of memory": lambda c: span(c, "blocks"),
        "descriptors": lambda c: span(c, "fds"),
        "threads": lambda c: span(c, "threads"),
        "tasks": lambda c: span(c, "tasks"),
        "loop late, ms at p99": lambda c: f"{1000 * max(s.lag_p99 for s in c.samples):.1f}",
        "loop late, ms at most": lambda c: f"{1000 * max(s.lag_max for s in c.samples):.1f}",
        "exit code": lambda c: f"{c.code}",
    }
    lines = [f"| {'':26} | " + " | ".join(f"{c.name:>17}" for c in courses) + " |"]
    lines.append(f"| {'-' * 26} | " + " | ".join(f"{'-' * 16}:" for _ in courses) + " |")
    for name, cell in rows.items():
        lines.append(f"| {name:26} | " + " | ".join(f"{cell(c):>17}" for c in courses) + " |")
    return lines


def expected(course: Course) -> int:
    """How many calls failed as they should."""
    return sum(course.tally.kinds.get(name, 0) for name in (*FAULTS, "times out"))


def span(course: Course, what: str) -> str:
    """The least and the most in the second half."""
    values = [int(getattr(each, what)) for each in course.half]
    return f"{min(values):,}" + (f"-{max(values):,}" if max(values) > min(values) else "")
