"""One asynchronous call as a value: its states, its history, and what is asked of lists of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

MAX_RESULT = 1024 * 1024
"""Bytes of a result that are kept with a task: the platform's limit of `returnPayload`."""


class Status(StrEnum):
    """The states of an asynchronous task by the platform's names (the SDK's ListAsyncTasks)."""

    ENQUEUED = "Enqueued"
    DEQUEUED = "Dequeued"
    RUNNING = "Running"
    RETRYING = "Retrying"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    STOPPING = "Stopping"
    STOPPED = "Stopped"
    EXPIRED = "Expired"
    INVALID = "Invalid"


FINISHED = frozenset(
    {Status.SUCCEEDED, Status.FAILED, Status.STOPPED, Status.EXPIRED, Status.INVALID}
)


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of a task's `events`: which state it reached, when (Unix seconds), and why."""

    status: Status
    time: float
    detail: str = ""


@dataclass(frozen=True, slots=True)
class AsyncTask:
    """One asynchronous call. All times are Unix seconds, 0.0 for what has not been."""

    function: str
    id: str
    request_id: str
    event: bytes
    submitted: float
    number: int = 0
    """Its place in the queue, given by the Store."""
    status: Status = Status.ENQUEUED
    steps: tuple[Step, ...] = ()
    due: float = 0.0
    """It is not run before."""
    runs: int = 0
    """How often it was handed to an instance."""
    retries: int = 0
    """How often it was run again after a function error: the call's `x-fc-retry-count`."""
    refusals: int = 0
    """How often the platform had no place for it, since it last had one."""
    refused: float = 0.0
    """Since when."""
    ended: float = 0.0
    duration: float = 0.0
    """Seconds that the last run took."""
    instance_id: str = ""
    code: int = 200
    """What the API would have answered to the last run: 200 for function errors too."""
    error: str = ""
    """`X-Fc-Error-Type` of the last run, or the platform's error code; "" when it succeeded."""
    result: bytes = b""
    destination: str = ""
    """What became of its destination: "", `Succeeded` (handed over), `Failed`."""

    def moved(self, status: Status, now: float, detail: str = "", **changes: Any) -> AsyncTask:
        """Return the task in another state, with a further step."""
        steps = (*self.steps, Step(status, now, detail))
        ended = now if status in FINISHED else 0.0
        return replace(self, status=status, steps=steps, ended=ended, **changes)


@dataclass(frozen=True, slots=True)
class TaskQuery:
    """Which tasks of a function to list. `after` is the number of the last one of the page before.

    `begin` and `end` (Unix seconds) bound the time at which a task was submitted.
    """

    function: str
    status: str = ""
    prefix: str = ""
    begin: float = 0.0
    end: float = math.inf
    ascending: bool = False
    limit: int = 20
    after: int | None = None
