"""What is counted of calls: put aside at each, and sorted into buckets later."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.calls.observers import TOGETHER, Observers
from service.context.call import Context
from service.context.record import CallRecord
from service.counting.families import Family
from service.counting.page import Page
from service.counting.pages import OF_CALLS
from service.instance.call_figures import (
    BUCKET_ENDS,
    MOST_ERROR_TYPES,
    REFUSED,
    CountedCalls,
)

CONTEXT = Context({}, "r1")
SECONDS = st.floats(0, 1000) | st.sampled_from(BUCKET_ENDS)


class Counted(CountedCalls):
    """Counts calls, and is told of them as the service tells."""

    def __init__(self) -> None:
        super().__init__()
        self._observers = Observers()
        self.watch(self._observers)

    def note(self, record: CallRecord) -> None:
        """Count a call."""
        if record.look_after:
            record.look_after = next(self._observers.look_after)
        self._observers.end(CONTEXT, record)


def ended(took: float = 0.5, waited: float = 0.0, error_type: str = "") -> CallRecord:
    """The record of a call whose handler ran."""
    record = CallRecord(1.0)
    record.slot_at = record.open_at = record.arrived if waited == 0.0 else 1.0 + waited
    record.handler_at, record.handled_at = record.slot_at, record.slot_at + took
    record.ended = record.arrived + took
    record.look_after = 0.0 if waited or error_type else BUCKET_ENDS[0]
    record.error_type, record.bytes_in, record.bytes_out = error_type, 3, 4
    return record


def on(page: Page) -> dict[str, Family]:
    """What the page tells."""
    return {family.name: family for family in page.families()}


def counted(page: Page) -> dict[tuple[str, str], float]:
    """The calls by outcome and error type."""
    samples = on(page)["fc_calls_total"].samples
    return {(labels[0][1], labels[1][1]): v for (_, labels), v in samples.items() if v}


@given(st.lists(SECONDS, max_size=60))
def test_each_bucket_has_all_that_is_not_above_its_end(values: list[float]) -> None:
    """In whatever order calls end; their number and their sum are told, too."""
    figures = Counted()
    for value in values:
        figures.note(ended(value))
    figures.settle()
    samples = on(figures.page)["fc_call_duration_seconds"].samples
    found = [v for (name, _), v in samples.items() if name.endswith("_bucket")]
    values = [1.0 + v - 1.0 for v in values]  # as exact as a time of the clock tells it
    assert found == [*(sum(v <= end for v in values) for end in BUCKET_ENDS), len(values)]
    assert samples["fc_call_duration_seconds_count", ()] == len(values)
    assert samples["fc_call_duration_seconds_sum", ()] == pytest.approx(sum(values))


@given(st.lists(SECONDS, max_size=40), st.integers(0, 40), st.integers(0, 40))
def test_when_they_are_sorted_changes_nothing(values: list[float], one: int, other: int) -> None:
    """All at once, or some at a time."""
    pages = []
    for looks in ({one, other}, set[int]()):
        figures = Counted()
        for number, value in enumerate(values):
            figures.note(ended(value, waited=value / 2))
            if number in looks:
                figures.settle()
        figures.settle()
        pages.append(on(figures.page))
    for name, family in pages[0].items():
        assert family.samples == pytest.approx(pages[1][name].samples)


@pytest.mark.parametrize(("took", "calls"), [(0.0, 1 + TOGETHER), (0.5, TOGETHER // 2)])
def test_what_is_put_aside_does_not_grow(took: float, calls: int) -> None:
    """It is counted unasked once it is of so many calls, short ones and long ones."""
    figures = Counted()
    for _ in range(calls):
        figures.note(ended(took))
    assert counted(figures.page) == {("success", ""): calls}
    read = on(figures.page)["fc_event_bytes_total"].samples
    assert read["fc_event_bytes_total", ()] == 3 * calls


def test_a_call_that_had_no_slot_or_no_handler_counts_where_it_was() -> None:
    """A refused one took time, and did not wait for a slot that it never had."""
    figures = Counted()
    refused = CallRecord(1.0)
    refused.ended, refused.error_type = 1.5, "Overloaded"
    figures.note(refused)
    overdue = ended(error_type="FunctionTimeout")
    overdue.handler_at, overdue.handled_at = 1.25, 0.0  # its thread has not come back
    figures.note(overdue)
    figures.settle()
    families = on(figures.page)
    counts = {name: family.samples.get((f"{name}_count", ())) for name, family in families.items()}
    assert counts["fc_call_duration_seconds"] == 2
    assert counts["fc_call_queue_seconds"] == counts["fc_call_handler_seconds"] == 1
    handler = families["fc_call_handler_seconds"].samples
    assert handler["fc_call_handler_seconds_sum", ()] == 0.25
    assert counted(figures.page) == {
        ("refused", "Overloaded"): 1,
        ("timeout", "FunctionTimeout"): 1,
    }


def test_a_call_that_was_answered_without_its_handler_counts_no_time_of_it() -> None:
    """What is around it has met a failure that came before the handler, and answers."""
    figures, answered = Counted(), ended()
    answered.handler_at = answered.handled_at = 0.0
    figures.note(answered)
    figures.settle()
    handler = on(figures.page)["fc_call_handler_seconds"].samples
    assert handler["fc_call_handler_seconds_count", ()] == 0
    assert counted(figures.page) == {("success", ""): 1}


def test_error_types_without_number_are_one() -> None:
    """A function that makes classes of exceptions does not make series for ever."""
    figures = Counted()
    for number in range(2 * MOST_ERROR_TYPES):
        figures.note(ended(error_type=f"Error{number}" * 50))
    figures.settle()
    found = counted(figures.page)
    assert len(found) == MOST_ERROR_TYPES + 1
    assert found["function_error", "other"] == MOST_ERROR_TYPES
    assert figures.totals() == {"calls": 200, "failed": 200}


def test_a_successor_counts_on() -> None:
    """Calls, starts and totals never go down; a page full of error types takes others as one."""
    page = Page(OF_CALLS)
    for life in (1, 2):
        figures = Counted()
        figures.use(page)
        figures.note(ended())
        figures.note(ended(error_type="KeyError"))
        assert figures.totals() == {"calls": 2 * life, "failed": life}
        figures.set_total(REFUSED, 5)
        figures.set_total(REFUSED, 7)
        families = on(page)
        assert families["fc_calls_refused_total"].samples["fc_calls_refused_total", ()] == 7 * life
        assert families["fc_worker_starts_total"].samples["fc_worker_starts_total", ()] == life
