"""The figures of each second."""

from __future__ import annotations

from service.console.second_figures import CHARTED, TIMED, SecondFigures


def test_a_second_has_the_calls_that_ended_in_it_and_what_there_was() -> None:
    """Durations are in milliseconds; a refusal is an error that is counted apart."""
    now = [1000.2]
    figures = SecondFigures(lambda: now[0])
    for seconds, status in ((0.1, "ok"), (0.2, "error"), (0.3, "refused")):
        figures.begin("fn")
        figures.end("fn", seconds, status)
    figures.begin("fn")
    assert figures.roll({"fn": (2, 1)})[0]["in_flight"] == 1  # of the second before
    now[0] = 1001.3
    (row,) = figures.roll({"fn": (2, 1)})
    assert row == {
        **{"t": 1000, "function": "fn", "in_flight": 1, "instances": 2, "frozen": 1},
        **{"calls": 3, "errors": 2, "throttled": 1, "p50": 200.0, "p95": 300.0, "p99": 300.0},
    }
    assert figures.roll({"fn": (2, 1)}) == []


def test_a_second_in_which_nothing_happened_has_no_figures() -> None:
    """The last ones hold on; a change of instances alone is told."""
    now = [1000.0]
    figures = SecondFigures(lambda: now[0])
    assert len(figures.roll({"fn": (0, 0)})) == 1
    now[0] = 1050.0
    assert figures.roll({"fn": (0, 0)}) == []
    now[0] = 1051.0
    assert [row["instances"] for row in figures.roll({"fn": (1, 0)})] == [1]


def test_figures_are_kept_for_a_quarter_of_an_hour() -> None:
    """Older ones are let go of."""
    now = [1000.0]
    figures = SecondFigures(lambda: now[0])
    for second in range(2 * CHARTED):
        now[0] = 1000.0 + second
        figures.end("fn", 0.1, "ok")
        figures.roll({"fn": (1, 0)})
    assert CHARTED - 2 <= len(figures.rows()) <= CHARTED + 1


def test_the_durations_of_a_second_are_bounded() -> None:
    """A second of more calls has the figures of some of them."""
    now = [1000.0]
    figures = SecondFigures(lambda: now[0])
    for number in range(3 * TIMED):
        figures.end("fn", 0.001 if number % 2 else 0.003, "ok")
    now[0] = 1001.0
    (row,) = figures.roll({"fn": (1, 0)})
    assert (row["calls"], row["p50"], row["p99"]) == (3 * TIMED, 3.0, 3.0)
