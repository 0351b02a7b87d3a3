"""What `size` is asked for, checked before anything is started."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError
from .level import SIZE_LEVELS

MOST_RATE = 1e9
LONGEST_FLEET = 366 * 86_400.0
"""Seconds of a simulation."""


@dataclass(frozen=True, slots=True)
class FleetWish:
    """What a fleet is simulated with."""

    rate: float
    pattern: str = "constant"
    duration: float | None = None
    max_instances: int = 100
    burst: int = 100
    prices: Path | None = None
    seed: int = 1


@dataclass(frozen=True, slots=True)
class SizeRequest:
    """What is measured, and where it is kept; `folder` is the working directory."""

    event: bytes
    folder: Path
    report: Path
    spec: str | None = None
    code: str | None = None
    function: str | None = None
    handler: str = "index.handler"
    seconds: float = 60.0
    levels: str | None = None
    p99: float | None = None
    resume: bool = False
    picture: Path | None = None
    as_json: bool = False
    fleet: FleetWish | None = None


def check_request(request: SizeRequest) -> None:
    """Check what was asked for. Raises UsageError, which says what is allowed."""
    _within("--seconds", request.seconds, 5, 86_400)
    if request.p99 is not None:
        _within("--p99", request.p99 * 1000, 0.1, 86_400_000)
    levels_of(request)
    wish = request.fleet
    if wish is not None:
        _within("--rate", wish.rate, 0.001, MOST_RATE)
        _within("--max-instances", wish.max_instances, 1, 10_000_000)
        _within("--burst", wish.burst, 1, 10_000_000)
        if wish.duration is not None:
            _within("--duration", wish.duration, 1, LONGEST_FLEET)


def _within(flag: str, value: float, least: float, most: float) -> None:
    if not (math.isfinite(value) and least <= value <= most):
        raise UsageError(f"{flag} {value:g}: is not from {least:,g} to {most:,.0f}")


def levels_of(request: SizeRequest) -> Sequence[int]:
    """Return the levels that are asked for. Raises UsageError."""
    if request.levels is None:
        return SIZE_LEVELS
    try:
        found = sorted({int(text) for text in request.levels.split(",")})
    except ValueError:
        found = []
    if not found or found[0] < 1 or found[-1] > SIZE_LEVELS[-1]:
        raise UsageError(
            f"--levels {request.levels}: is no list of numbers from 1 to 200, 1,10,100 for example"
        )
    return found
