"""The asynchronous tasks of an emulator, as its console knows them: the newest, without events and
results.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from ..queue.store import Store
from ..queue.task import FINISHED, AsyncTask

KNOWN_TASKS = 1_000
"""Tasks that are known: of more, the newest."""

STEPS = 30
"""Steps of a task that are shown: the newest."""


@dataclass(frozen=True, slots=True)
class TaskView:
    """What is kept of a task: all but its event and its result."""

    task_id: str
    request_id: str
    function: str
    status: str
    runs: int
    submitted: float
    due: float
    destination: str
    steps: tuple[Any, ...]
    seen: float

    def row(self) -> dict[str, Any]:
        """Return what the page shows; times in Unix seconds."""
        shown: dict[str, Any] = {
            "id": self.task_id,
            "request_id": self.request_id,
            "function": self.function,
            "status": self.status,
            "tries": self.runs,
            "submitted": self.submitted,
            "events": [
                {"t": step.time, "text": f"{step.status} {_told(step.detail)}".strip()}
                for step in self.steps[-STEPS:]
            ],
        }
        if self.status not in FINISHED and self.due > self.seen:
            shown["next_at"] = self.due
        if self.destination:
            shown["destination"] = self.destination
        return shown


class KnownTasks:
    """The newest tasks, the oldest first."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._tasks: dict[str, TaskView] = {}  # by their request ids
        self._rows: dict[str, tuple[TaskView, dict[str, Any]]] = {}

    def note(self, task: AsyncTask) -> None:
        """Take note of a task, or of a change of one."""
        self._tasks[task.request_id] = TaskView(
            task.id,
            task.request_id,
            task.function,
            str(task.status),
            task.runs,
            task.submitted,
            task.due,
            task.destination,
            task.steps,
            time.time(),
        )
        if len(self._tasks) > KNOWN_TASKS:
            oldest = next(iter(self._tasks))
            del self._tasks[oldest]
            self._rows.pop(oldest, None)
        self._wake()

    def begun(self, request_id: str, now: float) -> tuple[str, float]:
        """Return the id of a request's task, which is run now (Unix seconds), and for how many
        seconds it waited for room since it was due; "" for one that is not known.
        """
        task = self._tasks.get(request_id)
        if task is None:
            return "", 0.0
        return task.task_id, max(now - max(task.submitted, task.due), 0.0)

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each; those of tasks that have not changed are the same as before."""
        found = []
        for request_id, task in self._tasks.items():
            known = self._rows.get(request_id)
            if known is None or known[0] is not task:
                known = self._rows[request_id] = (task, task.row())
            found.append(known[1])
        return found


class NotedStore(Store):
    """A file of asynchronous calls whose changes are noted."""

    def __init__(self, path: Path, tasks: KnownTasks) -> None:
        """Raises StoreError."""
        super().__init__(path)
        self._known = tasks

    def add(self, task: AsyncTask) -> tuple[AsyncTask, asyncio.Future[None]]:
        """Queue a new task for writing. Raises TaskExists."""
        added = super().add(task)
        self._known.note(added[0])
        return added

    def save(self, task: AsyncTask) -> None:
        """Queue a change for writing."""
        super().save(task)
        self._known.note(task)

    def load(self, number: int) -> AsyncTask | None:
        """Return a task: the first news of those that an emulator before this one has left."""
        task = super().load(number)
        if task is not None:
            self._known.note(task)
        return task


def _told(detail: str) -> str:
    """Return a step's detail without its JSON."""
    try:
        said: Any = orjson.loads(detail)
    except orjson.JSONDecodeError:
        return detail
    return ": ".join(map(str, said.values())) if isinstance(said, Mapping) else detail
