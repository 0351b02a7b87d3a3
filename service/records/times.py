"""How long a batch has: until its records are done, and until the rest is handed over."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

LONGEST_MARGIN = 5.0
SHARE = 0.1
"""Seconds, and the share of a call's time, that are kept to report: the lesser of both."""

LAST = 0.2
"""The share of these in which the call is answered."""


@dataclass(frozen=True)
class BatchTimes:
    """Times of the event loop's clock; None for no limit."""

    records_end: float | None
    """When records are given up."""
    sink_end: float | None
    """When handing over is given up."""
    records_limit: float
    """Seconds that records have."""
    records_deadline: float | None
    deadline: float | None
    """The same as contexts tell them: times of the monotonic clock."""

    def remaining(self) -> float:
        """Return the seconds that records still have."""
        if self.records_end is None:
            return float("inf")
        return self.records_end - asyncio.get_running_loop().time()

    def until_sink_end(self) -> float | None:
        """Return the seconds that the sink still has, None for no limit."""
        if self.sink_end is None:
            return None
        return max(0.0, self.sink_end - asyncio.get_running_loop().time())


def times_of(context: Any, margin: float | None) -> BatchTimes:
    """Return the times of a call whose event has come now; `margin` seconds are kept to report, and
    half of what is left at most.
    """
    deadline = getattr(context, "deadline", None)
    remaining = context.remaining() if deadline is not None else None
    if deadline is None or remaining is None:
        return BatchTimes(None, None, float("inf"), None, None)
    kept = min(LONGEST_MARGIN, remaining * SHARE) if margin is None else min(margin, remaining / 2)
    now = asyncio.get_running_loop().time()
    return BatchTimes(
        records_end=now + remaining - kept,
        sink_end=now + remaining - kept * LAST,
        records_limit=remaining - kept,
        records_deadline=deadline - kept,
        deadline=deadline,
    )
