"""One clear line for each kind of handler that is not as it should be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from service.sizing.findings import explained, size_findings
from service.sizing.fit import fit
from service.sizing.report import SizeReport
from tests.sizing.measured import report


def lines(given: SizeReport) -> list[str]:
    """What is said of a report."""
    return size_findings(given, fit(given.levels))


def changed(given: SizeReport, **changes: Any) -> SizeReport:
    """The report with each level changed."""
    return replace(given, levels=[replace(each, **changes) for each in given.levels])


def test_nothing_is_said_against_a_good_handler() -> None:
    """Neither for one that waits, nor for one that computes."""
    assert lines(report(0.001, 0.1)) == []
    assert lines(report(0.05, 0.000_1)) == []


def test_a_handler_that_blocks_the_loop_is_told_apart_from_one_that_computes() -> None:
    """Others do not get on, and it is no CPU."""
    (line,) = lines(changed(report(0.1, 0.001), cpu=0.002))
    assert line.startswith("blocks: for ")
    assert "plain `def`" in line


def test_a_leak_is_told_with_the_calls_that_an_instance_lasts() -> None:
    """From what memory grew a call, and what the file gives the instance."""
    (line,) = lines(changed(report(0.001, 0.1), growth=0.01))
    assert line.startswith("leaks: memory grows by 10.00 MB per 1,000 calls")
    assert "512 MB is full after about 47,000 calls" in line


@pytest.mark.parametrize("growth", [0.000_1, 0.001], ids=["a-little", "little-in-all"])
def test_growth_that_allocators_have_is_no_leak(growth: float) -> None:
    """Less than a page in twenty calls, or hardly anything in all."""
    assert lines(changed(report(0.001, 0.1), growth=growth)) == []


def test_failures_are_told_at_their_worst() -> None:
    """How many, at which concurrency, and the first of them."""
    given = report(0.001, 0.1)
    levels = [
        *given.levels[:-1],
        replace(given.levels[-1], errors=400, error="OSError: [Errno 24] Too many open files"),
    ]
    line = lines(replace(given, levels=levels))[0]
    assert "400 of 1,000 calls with 200 at once" in line
    assert "Too many open files" in line


def test_stalls_name_the_first_concurrency() -> None:
    """And where file and line are told."""
    given = report(0.001, 0.1)
    levels = [*given.levels[:-2], *(replace(each, stalls=3) for each in given.levels[-2:])]
    (line,) = lines(replace(given, levels=levels))
    assert "with 100 at once the loop stood still 3 times" in line


def test_a_load_that_limits_says_so() -> None:
    """The instance may do more than was seen."""
    given = report(0.000_1, 0.01)
    levels = [*given.levels[:-1], replace(given.levels[-1], driven=0.97)]
    (line,) = lines(replace(given, levels=levels))
    assert "from 200 at once on" in line


def test_what_is_missing_is_named() -> None:
    """An interrupted run says how to go on."""
    (line,) = lines(report(0.001, 0.1, levels=(1, 2, 5)))
    assert line == "not measured yet: 10, 20, 50, 100, 200; --resume goes on"


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        ("KeyError: 'order'", "(event {}): name an event that it takes with --event"),
        (
            "ClientConnectorDNSError: Cannot connect to host db.internal:5432",
            "it needs something of its network: let its address come from environmentVariables",
        ),
        ("gaierror: [Errno -2] Name or service not known", "it needs something of its network"),
        ("FunctionTimeout: Function time out after 60 seconds", "raise `timeout` in s.yaml, or"),
    ],
    ids=["the-event", "a-client", "a-name", "its-time"],
)
def test_a_handler_that_fails_at_once_is_told_what_to_do(failure: str, told: str) -> None:
    """In one line: the failure, and what it looks like."""
    line = explained(failure, b"{}")
    assert line.startswith(f"the handler fails: {failure}")
    assert told in line
    assert "\n" not in line


def test_a_busy_machine_is_told_in_place_of_a_handler_that_blocks() -> None:
    """What waits for a CPU looks like what blocks the loop; most levels have to show it."""
    given = report(0.1, 0.001)
    busy = changed(given, cpu=0.002, kept_waiting=0.06)
    (line,) = lines(busy)
    assert line.startswith("this machine was busy: ready to go on, a call waited up to 60.0 ms")
    levels = [*busy.levels[:2], *given.levels[2:]]
    assert lines(replace(given, levels=levels)) == []


def test_a_handler_that_blocks_far_longer_than_a_busy_machine_is_told() -> None:
    """Without the time that its calls waited for a CPU."""
    told = lines(changed(report(0.1, 0.001), cpu=0.002, kept_waiting=0.02))
    assert [line.partition(":")[0] for line in told] == ["this machine was busy", "blocks"]
    assert "for 78 ms of each call" in told[1]
