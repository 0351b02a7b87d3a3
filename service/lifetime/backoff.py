"""How long a task that is started again waits before it is."""

from __future__ import annotations

import random

SHORTEST_BACKOFF = 0.1
"""Seconds before the first start again."""

LONGEST_BACKOFF = 30.0
"""Seconds between two starts at most; a task that has run for so long begins at SHORTEST_BACKOFF
again.
"""


class Backoff:
    """The waits of one task: each about double the last one, so that a task that ends at once, for
    ever, costs next to nothing.
    """

    def __init__(self) -> None:
        self._next = SHORTEST_BACKOFF

    def after(self, seconds: float) -> float:
        """Return how long to wait after a run of so many seconds. No two tasks that failed together
        start together.
        """
        if seconds >= LONGEST_BACKOFF:
            self._next = SHORTEST_BACKOFF
        wait = self._next
        self._next = min(LONGEST_BACKOFF, 2 * wait)
        return wait * random.uniform(0.8, 1.0)
