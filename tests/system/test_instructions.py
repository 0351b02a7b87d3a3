"""What an event takes in instructions, which no clock and no load changes."""

from __future__ import annotations

import sys

import pytest

from benchmarks import instructions
from benchmarks.interpreters import RUNNING

SMALL, WAITING, LOOP = "small event", "event that waits among 200", "asyncio"
WORK = f"{SMALL} on {LOOP}"
PYTHON = sys.executable

TOLD = 1.01
"""What a small event may take in the default settings, of what it takes when nothing is told of
calls: no lines, no metrics.
"""

AGAIN = 0.002
"""The share by which two runs may differ."""


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("work", [SMALL, WAITING])
def test_an_event_takes_no_more_instructions_than_are_written_down(work: str) -> None:
    """A change that makes an event 2% dearer on a build of Python that was counted is refused."""
    if missing := instructions.valgrind_is_missing():
        pytest.skip(missing)
    before = instructions.kept()["builds"].get(instructions.build(RUNNING), {})
    if f"{work} on {LOOP}" not in before:
        pytest.skip(f"nothing is written down for {instructions.build(RUNNING)}")
    found = instructions.measured(PYTHON, [work], [LOOP], ["ours"])
    assert instructions.grown(found, before) == []


@pytest.mark.long
@pytest.mark.timeout(600)
def test_what_is_told_of_calls_costs_a_small_event_next_to_nothing() -> None:
    """Metrics, and a line for a call that is slow, which none is: the default settings."""
    if missing := instructions.valgrind_is_missing():
        pytest.skip(missing)
    found = instructions.measured(PYTHON, [SMALL], [LOOP], ["ours", "all off"])[WORK]
    assert found["ours"] <= TOLD * found["all off"], found


@pytest.mark.long
@pytest.mark.timeout(600)
def test_two_runs_take_the_same_instructions() -> None:
    """Whatever the clock shows, and whatever else the machine does meanwhile."""
    if missing := instructions.valgrind_is_missing():
        pytest.skip(missing)
    instructions.compile_all(PYTHON, [(SMALL, LOOP, "ours")])
    one, other = (
        instructions.collected(PYTHON, "ours", SMALL, LOOP, instructions.FEW) for _ in range(2)
    )
    assert one == pytest.approx(other, rel=AGAIN)
