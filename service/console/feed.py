"""What the page is told: everything when it comes, then what has changed."""

from __future__ import annotations

import time
from collections.abc import Sequence

from .history import LISTED_CALLS
from .source import ConsoleSource, PageRow

_LISTED_TASKS = 200
"""Tasks of which a page is told at once: the newest."""


class ConsoleFeed:
    """Tells what a source has, and what of it has changed since it was asked last."""

    def __init__(self, source: ConsoleSource, version: str) -> None:
        self._source = source
        self._version = version
        self._functions: Sequence[PageRow] = ()
        self._instances: dict[str, PageRow] = {}
        self._tasks: dict[str, PageRow] = {}
        self._faults: PageRow = {}
        self._marked = 0

    def snapshot(self) -> PageRow:
        """Return everything, for a page that knows nothing."""
        source = self._source
        return {
            **source.about(),
            "version": self._version,
            "now": time.time(),
            "functions": source.functions(),
            "instances": source.instances(),
            "calls": [entry.row() for entry in source.history.newest(LISTED_CALLS)],
            "figures": source.figures.rows(),
            "tasks": source.tasks()[-_LISTED_TASKS:],
            "faults": source.faults(),
            "marks": source.marks(),
        }

    def change(self, *, calls: bool) -> PageRow | None:
        """Return what has changed since the last time, for all pages; None if nothing has. The rows
        of `calls` are made for pages alone: thousands may have changed.
        """
        source = self._source
        functions, faults = source.functions(), source.faults()
        instances = {each["id"]: each for each in source.instances()}
        tasks = {each["request_id"]: each for each in source.tasks()}
        changed, skipped = source.history.take_changed()
        found: PageRow = {
            "functions": [] if functions == self._functions else functions,
            "instances": _differing(instances, self._instances),
            "gone": [each for each in self._instances if each not in instances],
            "calls": [entry.row() for entry in changed] if calls else [],
            "skipped": skipped,
            "figures": source.figures.roll(source.counts()),
            "tasks": _differing(tasks, self._tasks)[-_LISTED_TASKS:],
            "marks": [each for each in source.marks() if each["n"] > self._marked],
        }
        found = {name: value for name, value in found.items() if value}
        if faults != self._faults:
            found["faults"] = faults
        if marks := found.get("marks"):
            self._marked = marks[-1]["n"]
        self._functions, self._faults = functions, faults
        self._instances, self._tasks = instances, tasks
        return {"now": time.time(), **found} if found else None


def _differing(rows: dict[str, PageRow], before: dict[str, PageRow]) -> list[PageRow]:
    return [row for name, row in rows.items() if row != before.get(name)]
