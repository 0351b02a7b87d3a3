"""What the console is a console of: an emulator with its functions, or one running service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from .entry import CallEntry
from .history import CallHistory
from .second_figures import SecondFigures

PageRow = dict[str, Any]
"""What the page is told of one thing, as it becomes JSON."""

ConsoleOperation = Callable[[Mapping[str, Any]], Awaitable[PageRow]]


class ConsoleSource(Protocol):
    """Everything that is shown. Rows are made anew when they are asked for; those of one thing have
    the same `id`, or the same `name`.
    """

    history: CallHistory
    figures: SecondFigures

    def about(self) -> PageRow:
        """Return what does not change: `source`, `spec`, `started`, and what it `offers`."""

    def functions(self) -> Sequence[PageRow]:
        """Return a row for each function."""

    def instances(self) -> Sequence[PageRow]:
        """Return a row for each instance that is there."""

    def counts(self) -> Mapping[str, tuple[int, int]]:
        """Return for each function how many instances it has, and how many of them are frozen."""

    def tasks(self) -> Sequence[PageRow]:
        """Return a row for each asynchronous task that is known, the oldest first."""

    def faults(self) -> PageRow:
        """Return the faults that are switched on."""

    def marks(self) -> Sequence[PageRow]:
        """Return what happened to instances, the oldest first; each has a number `n`."""

    def detail(self, entry: CallEntry) -> PageRow:
        """Return what only this source knows of a call: `headers`, for example."""

    def copied(self, entry: CallEntry, form: str) -> str:
        """Return a call as something to paste: `curl`, `sdk` or `pytest`. Raises ConsoleRefusal."""

    @property
    def operations(self) -> Mapping[str, ConsoleOperation]:
        """What it can do, by name: `send`, `again`, `timers`, `faults`."""
