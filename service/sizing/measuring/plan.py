"""Which concurrencies are measured, so that all of it ends in time."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..level import SizeLevel

WAVES = 2.2
"""Times of a call that a level needs: one while it is full, one at even distances, and a rest."""

LEVEL_START = 0.7
"""Seconds that a level's instance takes to start and to end, about."""

LEVEL_GAINS = 1.3
"""A level that has not so many times the calls a second of the one before has come to its most."""


def planned_levels(wanted: Sequence[int], once: float, seconds: float) -> list[int]:
    """Return the levels that there is time for if a call takes `once` seconds: all, or the least,
    the most and some between; none if there is no time for two.
    """
    fit = int(seconds / (WAVES * once + LEVEL_START))
    if fit >= len(wanted):
        return list(wanted)
    if fit < min(2, len(wanted)):
        return []
    last = len(wanted) - 1
    return sorted({wanted[round(place * last / (fit - 1))] for place in range(fit)})


def seconds_for(count: int, once: float) -> int:
    """Return how many seconds so many levels take if a call takes `once`."""
    return math.ceil(count * (WAVES * once + LEVEL_START) / 10) * 10


def in_line(at_once: int, measured: Sequence[SizeLevel]) -> float:
    """Return how long a call is likely to take with so many at once, from the levels below, 0 if
    there are none.
    """
    below = [level for level in measured if level.at_once < at_once and level.throughput > 0]
    if not below:
        return 0.0
    last = below[-1]
    if len(below) > 1 and last.throughput < LEVEL_GAINS * below[-2].throughput:
        return at_once / last.throughput
    return last.full
