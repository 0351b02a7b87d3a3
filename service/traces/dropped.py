"""What was not sent: counted, and told once a minute with the reason that the exporter gave."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable

from ..locks import HasLock
from ..protocol import SERVICE_LOGGER

EVERY = 60.0
"""Seconds from one line to the next."""

MAX_REASON = 200
"""Characters of a reason: a collector may answer anything."""

_log = logging.getLogger(SERVICE_LOGGER)


class Dropped(HasLock):
    """Counts what was dropped. The first one is told at once, what follows once a minute.

    `total` is all that was dropped since the start, by kind. The lock is held while it becomes
    known of something whether it was sent: who looks then counts it neither twice nor not at all.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total: Counter[str] = Counter()
        self.reason = ""
        self._untold: Counter[str] = Counter()
        self._told_at = -EVERY

    def add(self, kind: str, number: int) -> None:
        """Count what was dropped of a kind, "spans" for example; tell of it if a minute is over."""
        self.count(kind, number)
        self.tell_if_due()

    def count(self, kind: str, number: int) -> None:
        """Count what was dropped of a kind."""
        with self.lock:
            self.total[kind] += number
            self._untold[kind] += number

    def count_unsettled(self, kind: str, unsettled: Callable[[], int]) -> None:
        """Count what is dropped for want of time: that of which nothing is known yet."""
        with self.lock:
            if number := unsettled():
                self.count(kind, number)

    def tell_if_due(self) -> None:
        """Tell of what was not told yet, if a minute is over."""
        if time.monotonic() - self._told_at >= EVERY:
            self.tell()

    def tell(self) -> None:
        """Tell of what was not told yet, if there is any."""
        with self.lock:
            untold, self._untold = self._untold, Counter()
            self._told_at = time.monotonic()
        if untold:
            what = ", ".join(f"{number} {kind}" for kind, number in sorted(untold.items()))
            why = f": {self.reason}" if self.reason else ""
            _log.warning("OpenTelemetry: not sent: %s%s", what, why)


class ReasonHandler(logging.Handler):
    """Takes what OpenTelemetry's exporters log of each failure as the reason of what is dropped,
    which is told once a minute.
    """

    def __init__(self, dropped: Dropped) -> None:
        super().__init__(logging.WARNING)
        self._dropped = dropped

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the text."""
        try:
            self._dropped.reason = record.getMessage()[:MAX_REASON]
        except Exception:
            self._dropped.reason = record.name
