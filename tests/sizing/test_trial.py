"""Whether a second worker helps, as it was measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.sizing.fit import fit
from service.sizing.page import size_page
from service.sizing.recommend import recommend
from service.sizing.report import SizeReport, WorkersTrial, read_report, write_report
from service.sizing.trial import trial_plan, trial_text
from tests.sizing.measured import report

LEVELS = (1, 2, 5, 10, 20)


def computing(cpu: float = 0.02, **changes: Any) -> SizeReport:
    """What is measured of a handler that computes."""
    return report(0.02, 0.001, LEVELS, cpu=cpu, driven=0.05, **changes)


def tried(given: SizeReport, gain: float, **changes: Any) -> SizeReport:
    """The same with two workers that do so many times the calls a second."""
    one = next(each for each in given.levels if each.at_once == 10)
    two = replace(one, throughput=gain * one.throughput, memory=one.memory + 30, **changes)
    return replace(given, trial=WorkersTrial(2, two))


def test_the_best_level_at_which_both_have_work_is_measured_again() -> None:
    """The least one that does about as much as any."""
    plan = trial_plan(computing())
    assert plan.level is not None
    assert plan.level.at_once == 10


@pytest.mark.parametrize(
    ("given", "against"),
    [
        (report(0.001, 0.1, LEVELS), ""),
        (report(0.02, 0.001, LEVELS, cpu=0.001), ""),
        (report(0.02, 0.001, LEVELS, stalls=None), ""),
        (report(0.02, 0.001, LEVELS, errors=1000), ""),
        (report(0.02, 0.001, LEVELS, driven=0.6), "sending the calls takes 60% of one of this"),
        (report(0.02, 0.001, (1, 2), driven=0.1), "it needs a level of 4 or more calls at once"),
        (replace(computing(), cpus=1), "this machine has one CPU"),
    ],
    ids=["waits", "blocks", "another server", "fails", "much driven", "low levels", "one CPU"],
)
def test_it_is_measured_only_if_the_cpu_is_the_limit_and_tells_something(
    given: SizeReport, against: str
) -> None:
    """Else it is said why not."""
    plan = trial_plan(given)
    assert plan.level is None
    assert plan.against.startswith(against)
    assert (against in trial_text(given)) if against else (trial_text(given) == "")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            tried(computing(), 1.9),
            "30 MB more): one process uses one CPU; with cpu: 2 a call costs",
        ),
        (tried(computing(), 1.02, cpu=0.04), "15% are noise: stay with 1; a call takes more CPU"),
        (tried(computing(), 1.02), "stay with 1; their calls wait for something that they have in"),
        (tried(computing(0.04), 1.0), "stay with 1; one process uses 2.0 CPUs already"),
        (tried(computing(), 1.3, cpu=0.03), "less than a second vCPU costs: stay with 1"),
        (tried(computing(), 1.1, kept_waiting=0.02), "this machine had no second CPU free"),
        (tried(computing(), 1.9, errors=900), "with 2 workers calls fail"),
        (computing(), "was not measured: --resume measures it"),
    ],
    ids=["twice", "more cpu", "shared", "threads", "some", "busy", "fails", "not yet"],
)
def test_it_is_said_from_what_was_measured(given: SizeReport, expected: str) -> None:
    """With both figures, the margin and the reason."""
    assert expected in trial_text(given)
    assert trial_text(given) in recommend(given, fit(given.levels)).reasons


def test_the_table_has_it_as_one_more_row(tmp_path: Path) -> None:
    """Also once it has been kept in a file."""
    given = tried(computing(), 1.9)
    write_report(given, tmp_path / "size.json")
    kept = read_report(tmp_path / "size.json")
    assert kept is not None
    lines = size_page(kept, None, []).splitlines()
    assert lines[len(LEVELS) + 1].split()[:2] == ["(2)", "10"]
    assert "(2): with 2 workers." in lines[len(LEVELS) + 4]
    assert kept.trial == given.trial
