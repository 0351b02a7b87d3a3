"""What a call is made of, from what was measured: time that no other call of the instance has, time
that it waits, CPU and memory.

An instance is taken for one thing that serves a call at a time (the event loop, the interpreter's
lock, a CPU), before which calls stand in line, and a wait that any number of calls have at once.
How many calls a second that gives is exact mean value analysis (Reiser and Lavenberg, 1980).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from .level import SizeLevel

LEAST_PART = 1e-6
"""Seconds: no part of a call is taken to be shorter."""

UNDECIDED = 1e-4
"""How much it counts that the serial time is not the CPU of a call: levels that could have been
with many serial times, one level alone for example, do not decide between them.
"""

DRIVEN = 0.85
"""The share of a CPU from which on sending the calls is taken for what limits a level."""


@dataclass(frozen=True, slots=True)
class CallFit:
    """What one call takes: times in seconds, memory in MB."""

    serial: float
    """Time in which no other call of the instance gets on: CPU, or what blocks the loop."""
    wait: float
    """Time in which others get on: a database, another service."""
    cpu: float
    base: float
    """Memory of an instance without calls."""
    per_call: float
    """Memory of each call that is in it."""
    off: float
    """By which share the calls a second of the fit are off the measured ones, in the mean."""

    @property
    def alone(self) -> float:
        """The time of a call that has the instance for itself."""
        return self.serial + self.wait

    @property
    def blocked(self) -> float:
        """Time that others cannot use though it is no CPU."""
        return max(0.0, self.serial - self.cpu)

    def throughput(self, at_once: int) -> float:
        """Return the calls a second of an instance that has so many at once."""
        return at_once / full_time(at_once, self.serial, self.wait)

    def full(self, at_once: int) -> float:
        """Return the mean time of a call in an instance that has so many at once."""
        return full_time(at_once, self.serial, self.wait)

    def memory(self, at_once: int) -> float:
        """Return the memory of an instance with so many calls."""
        return self.base + self.per_call * at_once


def full_time(at_once: int, serial: float, wait: float) -> float:
    """Return the mean time of a call if so many are in an instance throughout."""
    in_line, took = 0.0, serial + wait
    for present in range(1, at_once + 1):
        served = serial * (1 + in_line)
        took = served + wait
        in_line = present * served / took
    return took


def usable(levels: Sequence[SizeLevel]) -> list[SizeLevel]:
    """Return the levels that say something of the handler: their calls succeed, and were not
    limited by what sends them.
    """
    sound = [each for each in levels if not each.broken and each.throughput > 0]
    return [each for each in sound if each.driven < DRIVEN] or sound[:1]


def fit(levels: Sequence[SizeLevel]) -> CallFit:
    """Return what a call takes. Raises ValueError if no level says anything."""
    used = usable(levels)
    if not used:
        raise ValueError("no level has calls that succeed")
    serial, wait = _times(used)
    base, per_call = _line([(each.at_once, each.memory) for each in used])
    off = fmean(
        abs(each.at_once / full_time(each.at_once, serial, wait) / each.throughput - 1)
        for each in used
    )
    return CallFit(serial, wait, _cpu(used), base, per_call, off)


def _cpu(levels: Sequence[SizeLevel]) -> float:
    """Return the CPU time of a call in the mean of all calls, as many as each level had a second:
    at a low concurrency each call is frozen and thawed beside, of which a full instance has little.
    """
    calls = sum(each.throughput for each in levels)
    return sum(each.cpu * each.throughput for each in levels) / calls


def _times(levels: Sequence[SizeLevel]) -> tuple[float, float]:
    """Return the serial time and the wait whose calls a second are nearest to the measured ones."""
    alone = levels[0].at_once / levels[0].throughput
    usual = max(LEAST_PART, _cpu(levels))
    fastest = min(alone, 1 / max(each.throughput for each in levels))
    least = max(LEAST_PART, min(usual, fastest / 30))

    def misses(serial: float, wait: float) -> float:
        fitted = (each.at_once / full_time(each.at_once, serial, wait) for each in levels)
        missed = sum(
            math.log(found / each.throughput) ** 2
            for found, each in zip(fitted, levels, strict=True)
        )
        return missed + UNDECIDED * math.log(serial / usual) ** 2

    def best_wait(serial: float) -> float:
        return _lowest(lambda wait: misses(serial, wait), LEAST_PART, 2 * alone)

    serial = _lowest(lambda serial: misses(serial, best_wait(serial)), least, 1.5 * alone)
    return serial, best_wait(serial)


def _lowest(of: Callable[[float], float], low: float, high: float, steps: int = 24) -> float:
    """Return where a function of one valley is lowest, by golden section on a logarithmic scale."""
    ratio = (math.sqrt(5) - 1) / 2
    left, right = math.log(low), math.log(max(high, 2 * low))
    inner, outer = right - ratio * (right - left), left + ratio * (right - left)
    at_inner, at_outer = of(math.exp(inner)), of(math.exp(outer))
    for _ in range(steps):
        if at_inner < at_outer:
            right, outer, at_outer = outer, inner, at_inner
            inner = right - ratio * (right - left)
            at_inner = of(math.exp(inner))
        else:
            left, inner, at_inner = inner, outer, at_outer
            outer = left + ratio * (right - left)
            at_outer = of(math.exp(outer))
    return math.exp((left + right) / 2)


def _line(points: Sequence[tuple[int, float]]) -> tuple[float, float]:
    """Return the height at 0 and the slope, not below 0, of the line next to the points."""
    middle, height = fmean(x for x, _ in points), fmean(y for _, y in points)
    width = sum((x - middle) ** 2 for x, _ in points)
    slope = sum((x - middle) * (y - height) for x, y in points) / width if width else 0.0
    slope = max(0.0, slope)
    return height - slope * middle, slope
