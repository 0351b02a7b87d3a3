"""What a small event takes in instructions, which no clock and no load changes."""

from __future__ import annotations

import sys

import pytest

from benchmarks import instructions
from benchmarks.interpreters import RUNNING

WORK = "small event on asyncio"


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_small_event_takes_no_more_instructions_than_are_written_down() -> None:
    """A change that makes an event 2% dearer on a build of Python that was counted is refused."""
    if missing := instructions.valgrind_is_missing():
        pytest.skip(missing)
    before = instructions.kept()["builds"].get(instructions.build(RUNNING), {})
    if WORK not in before:
        pytest.skip(f"nothing is written down for {instructions.build(RUNNING)}")
    found = instructions.measured(sys.executable, ["small event"], ["asyncio"], ["ours"])
    assert instructions.grown(found, before) == []
