"""How fast calls come, and for how long another one is worth waiting for."""

from __future__ import annotations

WEIGHT = 0.2
"""What the newest gap between two calls counts for in the usual one."""

GAPS_WAITED = 4.0
"""Usual gaps without a call after which no further one is expected."""


class ArrivalPace:
    """The usual gap between two calls. Times and gaps are in seconds.

    At first calls are taken to come fast enough for the longest wait.
    """

    def __init__(self, longest: float) -> None:
        """`longest` is for how long a call may be waited for."""
        self.longest = longest
        self.last = float("-inf")
        """When the last call has come."""
        self.gap = longest / GAPS_WAITED
        """The usual time between two calls."""

    def note(self, now: float) -> None:
        """Take note of a call that comes now. A gap counts as no more than a few of the longest
        waits: after a rest the pace is soon known again.
        """
        if self.last > float("-inf"):
            gap = min(max(0.0, now - self.last), GAPS_WAITED * self.longest)
            self.gap += WEIGHT * (gap - self.gap)
        self.last = now

    def wait(self) -> float:
        """Return for how long after the last call another one is waited for: not at all if the
        usual gap is longer than a call may be waited for.
        """
        return 0.0 if self.gap >= self.longest else min(self.longest, GAPS_WAITED * self.gap)
