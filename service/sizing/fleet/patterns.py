"""How calls come over time: a rate for each second, and arrivals drawn from it."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ...errors import UsageError

A_DAY, TEN_MINUTES, HALF_HOUR = 86_400.0, 600.0, 1_800.0
"""Seconds."""

RISE = 60.0
"""Seconds in which a rate comes up from nothing, or a tenth of all if that is less."""

NIGHT_SHARE = 0.15
"""The share of the day's highest rate that is left at its lowest, at four in the morning."""

BETWEEN_BURSTS, BURST_EVERY, BURST_LASTS = 0.05, 300.0, 30.0
"""The share of the rate between bursts, and the seconds between their beginnings and of each."""

PATTERN_FORM = "lines of SECOND,CALLS_A_SECOND, the seconds rising"


@dataclass(frozen=True, slots=True)
class CallPattern:
    """Calls a second at each second, at most `most`, for `seconds`."""

    name: str
    rate: Callable[[float], float]
    most: float
    seconds: float

    def calls(self, steps: int = 2_000) -> float:
        """Return about how many calls there are in all."""
        width = self.seconds / steps
        return width * sum(self.rate((step + 0.5) * width) for step in range(steps))

    def arrivals(self, seed: int) -> Iterator[float]:
        """Yield the seconds at which calls come, each independent of the others (a Poisson process
        by thinning); the same for the same seed.
        """
        draw = random.Random(seed)
        now = 0.0
        while self.most > 0 and (now := now + draw.expovariate(self.most)) < self.seconds:
            if draw.random() * self.most < self.rate(now):
                yield now


def pattern_of(name: str, rate: float, seconds: float | None, folder: Path) -> CallPattern:
    """Return the pattern that the command line names: `rate` is its highest. Raises UsageError."""
    if name == "constant":
        lasts = seconds or TEN_MINUTES
        return CallPattern(name, lambda second: rate * _rise(second, lasts), rate, lasts)
    if name == "daily":
        lasts = seconds or A_DAY
        return CallPattern(
            name, lambda second: rate * _rise(second, lasts) * _of_day(second), rate, lasts
        )
    if name == "burst":
        return CallPattern(
            name, lambda second: rate * _of_burst(second), rate, seconds or HALF_HOUR
        )
    return _of_file(folder / name, rate, seconds)


def _rise(second: float, lasts: float) -> float:
    """Return the share of the rate that comes in the first seconds: a fleet that is met by all
    calls at once, from nothing, starts as an instance for each that waits.
    """
    return min(1.0, second / min(RISE, lasts / 10))


def _of_day(second: float) -> float:
    """Return the share of the highest rate, which is at four in the afternoon."""
    wave = (1 - math.cos(2 * math.pi * (second - A_DAY / 6) / A_DAY)) / 2
    return NIGHT_SHARE + (1 - NIGHT_SHARE) * wave


def _of_burst(second: float) -> float:
    begins = BURST_EVERY / 2
    return 1.0 if 0 <= (second - begins) % BURST_EVERY < BURST_LASTS else BETWEEN_BURSTS


def _of_file(path: Path, rate: float, seconds: float | None) -> CallPattern:
    """Return the pattern of a file, whose highest rate becomes `rate`."""
    if not path.is_file():
        raise UsageError(
            f"--pattern {path.name}: is none of constant, daily and burst, and no file with"
            f" {PATTERN_FORM}"
        )
    points = _points(path)
    top = max(value for _, value in points)
    factor = rate / top if top else 0.0

    def at(second: float) -> float:
        return factor * _between(points, second)

    return CallPattern(path.name, at, rate, seconds or max(points[-1][0], 1.0))


def _points(path: Path) -> list[tuple[float, float]]:
    points: list[tuple[float, float]] = []
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as reason:
        raise UsageError(f"--pattern {path.name}: cannot be read: {reason}") from None
    for number, line in enumerate(text.splitlines(), 1):
        if not (line := line.partition("#")[0].strip()):
            continue
        try:
            second, value = map(float, line.replace(",", " ").split())
        except ValueError:
            raise UsageError(f"--pattern {path.name}, line {number}: {PATTERN_FORM}") from None
        rising = not points or second > points[-1][0]
        if not (math.isfinite(second) and 0 <= value < math.inf and second >= 0 and rising):
            raise UsageError(f"--pattern {path.name}, line {number}: {PATTERN_FORM}")
        points.append((second, value))
    if not points:
        raise UsageError(f"--pattern {path.name}: is empty; it takes {PATTERN_FORM}")
    return points


def _between(points: list[tuple[float, float]], second: float) -> float:
    """Return the rate on the line between the two points around a second."""
    before = points[0]
    for point in points:
        if point[0] >= second:
            width = point[0] - before[0]
            share = (second - before[0]) / width if width > 0 else 1.0
            return before[1] + share * (point[1] - before[1])
        before = point
    return before[1]
