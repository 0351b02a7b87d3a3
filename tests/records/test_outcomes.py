"""What is told of a batch."""

from __future__ import annotations

import pytest

from service.errors import RecordsFailed
from service.records.outcomes import BatchReport, Drop, RecordLeft, Retry


def told(report: BatchReport) -> str:
    """The message of a call that fails."""
    with pytest.raises(RecordsFailed) as failure:
        report.result()
    return str(failure.value)


def test_a_reason_of_the_handlers_is_kept() -> None:
    """What is said without one says what happened."""
    assert str(Retry("later", after=2)) == "later"
    assert str(Retry()) == "its handler asks for another try"
    assert str(Drop("old")) == "old"
    assert Retry(after=2).after == 2


def test_records_that_were_left_are_told_by_their_number_and_the_first_of_them() -> None:
    """Those that nobody has taken over: in whatever order that turned out."""
    report = BatchReport()
    for index, sink_error in ((7, ""), (5, None), (6, ""), (8, "")):
        report.note("left")
        report.add_failure(f"$[{index}]", {"index": index}, RecordLeft("late"), sink_error)
    assert told(report) == "3 were left when the time was over, from $[6] on"


def test_failures_are_named_in_the_order_of_their_records() -> None:
    """Ten of them; those that were left, too, if the sink has failed for them."""
    report = BatchReport()
    for index in reversed(range(12)):
        report.note("failed")
        error = RecordLeft("late") if index % 2 else ValueError("no")
        report.add_failure(f"$[{index}]", {"index": index}, error, " (and on_failure failed)")
    text = told(report)
    assert text.startswith(
        "6 of 12 records failed, and 6 were left when the time was over, from $[1] on:"
        " $[2]: ValueError: no (and on_failure failed); $[3]: RecordLeft: late"
    )
    assert text.endswith("; and 2 more")


def test_a_batch_of_nothing_has_a_summary_too() -> None:
    """It is a line of the log if the call is cut at once."""
    report = BatchReport()
    assert report.summary() == "no record"
    report.note("ok")
    report.retries = 2
    assert report.summary() == "1 ok; 2 more tries"


def test_a_failure_that_has_no_text_is_told_all_the_same() -> None:
    """Whatever its `__str__` does; its text is cut."""

    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    report = BatchReport()
    report.note("failed")
    report.add_failure("$[0]", {"index": 0, "key": "k"}, Odd(), "")
    assert told(report).startswith("1 of 1 records failed: $[0] (key k): Odd: <no text")
