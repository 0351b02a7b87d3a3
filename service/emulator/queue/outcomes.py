"""What came of a try of an asynchronous call, and what follows."""

from __future__ import annotations

from typing import Any

import orjson

from ..calls import Outcome, PlatformError
from ..spec.model import AsyncConfig
from ..texts import readable
from .task import MAX_RESULT, AsyncTask, Status

RETRIED = frozenset({429, 500, 503})
"""Refusals after which a call is tried again later."""


BROKEN = frozenset({412, 502})
"""What the API answers if the function did not start, or its process ended in the call. The
platform's table of retries names neither; its pages on errors show such an end as the function's
own error, so it is retried as one.
"""


FIRST_RETRY_DELAY = 0.5
"""Seconds before the first try after a refusal; each further one waits twice as long."""


GIVE_UP = 5 * 3600.0
"""Seconds for which refused calls are tried again."""


def answered(task: AsyncTask, outcome: Outcome, config: AsyncConfig, now: float) -> AsyncTask:
    """Return the task after a run that the function answered, with success or with an error."""
    result = outcome.body if len(outcome.body) <= MAX_RESULT else b""
    facts: dict[str, Any] = {
        "code": 200,
        "refusals": 0,
        "duration": outcome.duration,
        "instance_id": outcome.instance_id,
        "error": readable(outcome.error_type),
        "result": result,
    }
    if not outcome.error_type:
        return task.moved(Status.SUCCEEDED, now, **facts)
    detail = detail_of(facts["error"])
    if task.retries < config.retries:
        # The documents name no wait after a function's own error: it is run again at once.
        return task.moved(Status.RETRYING, now, detail, **facts, due=now, retries=task.retries + 1)
    return task.moved(Status.FAILED, now, detail, **facts)


def refused_try(
    task: AsyncTask, error: PlatformError, config: AsyncConfig, now: float
) -> AsyncTask:
    """Return the task after the platform had no place for it, or could not run it."""
    detail = detail_of(error.code, str(error))
    facts: dict[str, Any] = {"code": error.status, "error": error.code}
    if error.status in BROKEN and task.retries < config.retries:
        facts |= {"due": now, "refusals": 0, "retries": task.retries + 1}
        return task.moved(Status.RETRYING, now, detail, **facts)
    since = task.refused if task.refusals else now
    due = now + FIRST_RETRY_DELAY * 2.0**task.refusals
    if error.status not in RETRIED or due > since + GIVE_UP:
        return task.moved(Status.FAILED, now, detail, **facts)
    return task.moved(
        Status.RETRYING,
        now,
        detail,
        **facts,
        refusals=task.refusals + 1,
        refused=since,
        due=min(due, task.submitted + config.max_age),
    )


def failure_of_try(error: Exception) -> PlatformError:
    """Return what a run failed with, as the platform would call it."""
    if isinstance(error, PlatformError):
        return error
    return PlatformError(500, "InternalServerError", f"{type(error).__name__}: {error}")


def detail_of(error: str, message: str = "") -> str:
    """Return a step's detail in the form of the SDK's documentation."""
    detail = {"Error": error, "Message": readable(message)} if message else {"Error": error}
    return orjson.dumps(detail).decode()
