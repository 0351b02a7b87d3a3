"""The steps of a run, and how far it is: one line on stderr."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

from benchmarks.lineup import Contender
from benchmarks.works import Work


@dataclass(frozen=True)
class Step:
    """One contender does one work once; round 0 is the check that it does all of it."""

    work: Work
    contender: Contender
    round: int
    seconds: int
    stands_for: tuple[Work, ...]
    """The works that are over for the contender when the step fails."""


class Progress:
    """One line on stderr: what runs now, and how long the rest will take."""

    def __init__(self, steps: list[Step]) -> None:
        self._left = list(steps)
        self._took: dict[tuple[str, str, bool], float] = {}
        self._began = time.monotonic()
        self._rounds = max((step.round for step in steps), default=0)
        self._width = 0

    def tell(self, step: Step) -> None:
        """Show the step that begins."""
        self._began = time.monotonic()
        minutes, seconds = divmod(round(sum(map(self._expected, self._left))), 60)
        turn = f"round {step.round} of {self._rounds}" if step.round else "check"
        line = f"{turn}  {step.work.name}  {step.contender.title}  {minutes}:{seconds:02d} left"
        if sys.stderr.isatty():
            print(f"\r{line:<{self._width}}", end="", file=sys.stderr, flush=True)
            self._width = len(line)
        else:
            print(line, file=sys.stderr, flush=True)

    def done(self, step: Step) -> None:
        """Learn from how long the step took."""
        self._left.remove(step)
        self._took[_kind(step)] = time.monotonic() - self._began
        self._began = time.monotonic()

    def clear(self) -> None:
        """Leave an empty line."""
        if sys.stderr.isatty():
            print(f"\r{'':<{self._width}}\r", end="", file=sys.stderr, flush=True)

    def _expected(self, step: Step) -> float:
        """Return the time of the same step before, or a guess."""
        guess = 0.8 if step.round == 0 else 1.0 + (step.seconds if step.work.seconds > 1 else 0.5)
        return self._took.get(_kind(step), guess)


def _kind(step: Step) -> tuple[str, str, bool]:
    return (step.work.name, step.contender.name, step.round == 0)
