"""What a fleet is simulated with, and what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

ACCOUNT_INSTANCES = 100
"""Instances of an account in a region, unless it was given more (docs/platform.md section 13)."""

STARTS_AT_ONCE, STARTS_A_MINUTE = 100, 100
"""Instances that may be started at once, and a minute after that: the least that the platform's
pages name (docs/platform.md section 13).
"""

IDLE_ENDS = (180.0, 300.0)
"""Seconds without a call after which an instance ends (docs/platform.md section 6)."""


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """Instances with up to `at_once` calls. Times in seconds.

    A call takes `serial` of what its instance does for one call at a time, and one of `waits`
    beside that; an instance takes one of `starts` until it takes calls. Both are quantiles at even
    distances.
    """

    at_once: int
    serial: float
    waits: Sequence[float]
    starts: Sequence[float]
    limit: int = ACCOUNT_INSTANCES
    starts_at_once: int = STARTS_AT_ONCE
    starts_a_minute: int = STARTS_A_MINUTE
    idle: tuple[float, float] = IDLE_ENDS
    seed: int = 1
    in_order: bool = False
    """True if waits and starts are taken in their order, as calls and instances begin, instead of
    drawn: what was seen is played again.
    """

    @property
    def wait(self) -> float:
        """The mean of the waits."""
        return sum(self.waits) / len(self.waits)


@dataclass(frozen=True, slots=True)
class FleetCourse:
    """What became of the calls and the instances. Times in seconds.

    `billed` are the seconds from an instance's first call to the end of its last one, however many
    run, of all instances together (docs/platform.md section 7).
    """

    calls: int
    refused: int
    """Calls that got 429: too many instances, or too many starts."""
    cold: int
    """Calls that waited for an instance to start."""
    started: int
    ended: int
    """Instances that ended since they had no call."""
    freezes: int
    most: int
    """Instances at once."""
    p50: float
    p99: float
    billed: float
    exact: bool
    """Whether each call was simulated, not their numbers alone."""
    over_time: Sequence[tuple[float, int]] = field(default_factory=list)
    """Instances that were there from each second on."""
