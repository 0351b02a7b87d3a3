"""What becomes of a record: how its handler says so, and what is told of a whole batch."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final, Literal

from ..context.plain import cut_text
from ..errors import RecordsFailed, text_of

RecordOutcome = Literal["ok", "dropped", "failed", "left"]
"""What a record has come to. Each has exactly one."""

RECORD_OUTCOMES: Final[tuple[RecordOutcome, ...]] = ("ok", "dropped", "failed", "left")

LISTED: Final = 100
"""Failures that the result lists."""

NAMED: Final = 10
"""Failures that the message of a call that fails names."""

LONGEST_REASON: Final = 200
"""Characters of a failure's message."""


class Retry(Exception):
    """Raise it or return it in a handler of one record: try the record again, `after` so many
    seconds, or when the back-off says. Without another try left the record has failed.
    """

    kept_by_once = False

    def __init__(self, reason: str = "", *, after: float | None = None) -> None:
        super().__init__(reason or "its handler asks for another try")
        self.after = after


class Drop(Exception):
    """Raise it or return it in a handler of one record: the record is left out, which is no
    failure. The result counts it.
    """

    kept_by_once = False


class RecordTimeout(TimeoutError):
    """The time of the call was over before the record was done."""


class RecordLeft(RecordTimeout):
    """The time of the call was over before the record was begun."""


class BatchReport:
    """What is told of a batch: how many records have come to what, and the failures, no more of
    them than there is room for.
    """

    def __init__(self) -> None:
        self.counts: Counter[RecordOutcome] = Counter()
        self.retries = 0
        self.unread = False
        """Whether a part of a stream was never read."""
        self._failures: list[dict[str, Any]] = []
        self._named: list[tuple[int, str]] = []
        self._lost: Counter[RecordOutcome] = Counter()
        self._first_left: tuple[int, str] | None = None
        self._nameable = 0

    def note(self, outcome: RecordOutcome) -> None:
        """Count a record that is settled."""
        self.counts[outcome] += 1

    def add_failure(
        self, place: str, fields: dict[str, Any], error: BaseException, sink_error: str | None
    ) -> None:
        """Tell of a failure. `sink_error` is why it was not handed over, None if it was."""
        message, kind = cut_text(text_of(error), LONGEST_REASON), type(error).__name__
        if len(self._failures) < LISTED:
            self._failures.append({**fields, "errorType": kind, "errorMessage": message})
        if sink_error is None:
            return
        is_left = isinstance(error, RecordLeft)
        self._lost["left" if is_left else "failed"] += 1
        if is_left:
            first = (fields["index"], place)
            self._first_left = min(self._first_left or first, first)
        if is_left and not sink_error:
            return  # of all of them a number tells
        self._nameable += 1
        if len(self._named) < NAMED:
            key = f" (key {fields['key']})" if "key" in fields else ""
            told = f"{place}{key}: {kind}: {message}{sink_error}"
            self._named.append((fields["index"], told))

    def result(self) -> dict[str, Any]:
        """Return what the call returns. Raises RecordsFailed if a record has failed or was left,
        and nobody has taken it over.
        """
        if self._lost or self.unread:
            raise RecordsFailed(self._text())
        result: dict[str, Any] = {"records": self.counts.total()}
        result |= {outcome: self.counts[outcome] for outcome in RECORD_OUTCOMES}
        result["retries"] = self.retries
        if self._failures:
            result["failures"] = sorted(self._failures, key=lambda each: each["index"])
        if more := self.counts["failed"] + self.counts["left"] - len(self._failures):
            result["moreFailures"] = more
        return result

    def _text(self) -> str:
        failed, left = self._lost["failed"], self._lost["left"]
        parts = []
        if failed:
            parts.append(f"{failed} of {self.counts.total()} records failed")
        if self._first_left is not None:
            place = self._first_left[1]
            parts.append(f"{left} were left when the time was over, from {place} on")
        if self.unread:
            parts.append("the time was over before the stream was read to its end")
        told = ", and ".join(parts)
        if self._named:
            told += ": " + "; ".join(text for _, text in sorted(self._named))
        if more := self._nameable - len(self._named):
            told += f"; and {more} more"
        return told

    def summary(self) -> str:
        """Return the counts for a line of the log."""
        counts = ", ".join(
            f"{self.counts[name]} {name}" for name in RECORD_OUTCOMES if self.counts[name]
        )
        retried = f"; {self.retries} more tries" if self.retries else ""
        return f"{counts or 'no record'}{retried}"
