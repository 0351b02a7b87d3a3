"""What was measured of one instance at one concurrency."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

SIZE_LEVELS = (1, 2, 5, 10, 20, 50, 100, 200)
"""Calls at once that are measured; 200 are the most there may be (docs/platform.md section 7)."""

BROKEN_SHARE = 0.01
"""A share of calls that fail from which on a level says nothing of the calls that succeed."""


@dataclass(frozen=True, slots=True)
class SizeLevel:
    """One instance with up to `at_once` calls. Times in seconds, memory in MB.

    `throughput` and `full` are of the part in which so many calls were in it throughout; `p50` and
    `p99` of the part in which calls were due at even distances, from the moment each was due.
    """

    at_once: int
    calls: int
    throughput: float
    full: float
    """The time that half of the calls took at most while the instance was full."""
    rate: float
    """Calls that were due in a second of the second part."""
    p50: float
    p99: float
    cpu: float
    """CPU seconds a call, of all processes of the instance."""
    memory: float
    kept_waiting: float = 0.0
    """Seconds a call in which the instance was ready and had no CPU: others had them."""
    growth: float = 0.0
    """MB a call by which the memory still grew in the end."""
    threads: int = 0
    stalls: int | None = None
    """How often the service says that its loop was blocked, None for another server."""
    errors: int = 0
    error: str = ""
    """The first failure, as its caller was told."""
    start: float = 0.0
    """From nothing to an instance that takes calls."""
    driven: float = 0.0
    """The share of a CPU that sending the calls took: near 1 it was what limits."""

    @property
    def broken(self) -> bool:
        """Whether too many calls failed for the times to say anything."""
        return self.errors > BROKEN_SHARE * max(self.calls, 1)


def ordered_quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value that such a share of sorted values does not exceed, NaN for none."""
    if not ordered:
        return math.nan
    return ordered[min(len(ordered) - 1, max(0, math.ceil(share * len(ordered)) - 1))]


def quantiles_of(ordered: Sequence[float], count: int = 101) -> list[float]:
    """Return `count` quantiles of sorted values at even distances, the least and most included."""
    if not ordered:
        return []
    last = len(ordered) - 1
    return [ordered[round(place * last / (count - 1))] for place in range(count)]
