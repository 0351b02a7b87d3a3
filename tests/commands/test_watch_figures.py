"""What two looks at a service tell of the time between them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.commands.watch import cells, duration, table, text_table
from service.commands.watch_figures import Look, WatchedSamples, grown, quantile, rows_of
from service.context.record import CallRecord
from service.counting.families import of_worker
from service.instance.call_figures import CountedCalls


def look(at: float, *workers: CountedCalls, silent: int = 0) -> Look:
    """What is told of workers that have counted calls, and of silent ones behind them."""
    samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]()
    for number, worker in enumerate(workers, 1):
        worker.settle()
        for family in of_worker(worker.page.families(), number):
            samples |= family.samples
        samples["fc_calls_in_flight", (("worker", str(number)),)] = 3
    for number in range(1, len(workers) + silent + 1):
        samples["fc_worker_up", (("worker", str(number)),)] = float(number <= len(workers))
    return Look(at, samples)


def call(figures: CountedCalls, took: float, error_type: str = "") -> None:
    """Count a call."""
    record = CallRecord(0.0)
    record.ended, record.error_type = took, error_type
    figures.note_unusual(record)


def test_each_worker_has_a_row_and_all_together_have_one() -> None:
    """Calls a second and percentiles are of the time between the looks, the others of now."""
    workers = CountedCalls(), CountedCalls()
    call(workers[0], 100)
    before = look(10, *workers)
    for _ in range(8):
        call(workers[0], 0.02)
    call(workers[1], 2, "KeyError")
    call(workers[1], 2)
    one, two, everyone = rows_of(before, look(12, *workers))
    assert (one.who, one.calls_a_second, one.calls, one.errors) == ("1", 4, 9, 0)
    assert 0.01 < one.p50 < one.p99 <= 0.025
    assert (two.who, two.calls_a_second, two.calls, two.errors) == ("2", 1, 2, 1)
    assert (everyone.who, everyone.calls_a_second, everyone.in_flight) == ("all", 5, 6)
    assert (everyone.calls, everyone.errors) == (11, 1)
    assert 1 < everyone.p99 <= 2.5


def test_what_no_service_of_ours_says_is_passed_over() -> None:
    """Workers without a number, and numbers that are none: a terminal is shown neither."""
    said = {
        ("fc_worker_up", (("worker", "1"),)): 1.0,
        ("fc_worker_up", (("worker", "[red]\x1b[2J"),)): 1.0,
        ("fc_worker_up", ()): 1.0,
        ("fc_calls_in_flight", (("worker", "1"),)): math.inf,
        ("fc_calls_queued", (("worker", "1"),)): math.nan,
    }
    (row,) = rows_of(Look(0, {}), Look(1, said))
    assert (row.who, row.in_flight, row.queued) == ("1", 0, 0)


def test_the_title_is_the_address_as_it_was_given() -> None:
    """Nothing of it is markup, as the brackets of IPv6 would be."""
    assert table("http://[fe80::1]:9000", []).title.plain.startswith("http://[fe80::1]:9000, ")


def test_one_worker_is_all() -> None:
    """One row says it; without a call there is no percentile."""
    figures = CountedCalls()
    (row,) = rows_of(look(0, figures), look(1, figures))
    assert cells(row) == ["1", "0.0", "-", "-", "3", "0", "0", "0"]


def test_a_worker_that_does_not_answer_is_told_to() -> None:
    """In its row of the table."""
    one, two, _ = rows_of(look(0, CountedCalls(), silent=1), look(1, CountedCalls(), silent=1))
    assert (one.up, two.up) == (True, False)
    text = text_table([one, two])
    assert "does not answer" in text.splitlines()[2]
    assert len({len(line) for line in text.splitlines()}) == 1


def test_a_service_that_has_begun_anew_counts_from_nothing() -> None:
    """What it has by then is what has grown."""
    assert grown({1.0: 5, math.inf: 9}, {1.0: 1, math.inf: 2}) == {1.0: 1, math.inf: 2}
    assert grown({}, {1.0: 1, math.inf: 2}) == {1.0: 1, math.inf: 2}


@given(st.lists(st.floats(0, 9.9), min_size=1, max_size=50), st.sampled_from([0.5, 0.99]))
def test_a_percentile_is_in_the_bucket_of_its_call(values: list[float], share: float) -> None:
    """Between the ends of the bucket in which the call is that so many are not slower than."""
    ends = {e: float(sum(v <= e for v in values)) for e in (1.0, 2.0, 5.0, 10.0, math.inf)}
    found = quantile(ends, share)
    exact = sorted(values)[math.ceil(share * len(values)) - 1]
    upper = min(end for end in ends if exact <= end)
    lower = max((end for end in ends if end < upper), default=0.0)
    assert lower <= found <= upper or found == pytest.approx(lower)


def test_what_is_slower_than_the_last_end_is_told_as_that() -> None:
    """Nothing is known beyond it."""
    assert quantile({1.0: 0, math.inf: 5}, 0.5) == 1.0


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0123, "12.3 ms"), (1.5, "1.50 s"), (math.nan, "-")]
)
def test_times_are_read_at_a_glance(seconds: float, text: str) -> None:
    """In the unit that fits."""
    assert duration(seconds) == text


def test_workers_are_in_the_order_of_their_numbers() -> None:
    """The tenth comes behind the ninth."""
    samples: WatchedSamples = {("fc_worker_up", (("worker", n),)): 1.0 for n in ("10", "9", "1")}
    assert Look(0, samples).workers == ["1", "9", "10"]
