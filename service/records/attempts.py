"""One record's tries: its handler is called, and called again as a back-off of stamina's says."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Awaitable, Callable
from typing import Any

from ..calls.deadline import CANCELLED
from ..calls.threads import ThreadOutcome, ThreadPool, end_fork
from ..errors import InvalidEvent
from .outcomes import Drop, Retry

Try = Callable[[], Awaitable[BaseException | None]]
"""Calls a handler once. Returns None if it is content, Drop, or a failure that no try mends; raises
any other failure.
"""

Worth = Callable[[Exception], bool | float]
"""Says whether a failure is worth another try, or in how many seconds."""

Tries = Callable[[Worth, Try], Awaitable[BaseException | None]]

MISSING = (
    "@each(retry=...) needs stamina: install fc-event-service[batches], or pip install stamina"
)


def tries_of(retry: Any) -> Tries:
    """Return what tries a record as often as `retry` says: None, a number of tries, or a caller of
    stamina's with waits of the user's own.

    Raises TypeError and ValueError for anything else, ImportError if stamina is missing.
    """
    if retry is None or (type(retry) is int and retry == 1):
        return _once
    try:
        import stamina
    except ImportError as missing:
        raise ImportError(MISSING, name="stamina") from missing
    if isinstance(retry, stamina.AsyncRetryingCaller):
        return retry
    if isinstance(retry, stamina.BoundAsyncRetryingCaller):
        return lambda _worth, attempt: retry(attempt)
    if isinstance(retry, bool) or not isinstance(retry, int):
        raise TypeError(
            f"retry is {type(retry).__name__}: say how many tries a record has, 3 for example, or"
            " give a stamina.AsyncRetryingCaller"
        )
    if retry < 1:
        raise ValueError(f"retry is {retry}: a record has one try at least")
    return stamina.AsyncRetryingCaller(attempts=retry, timeout=None)


async def _once(_worth: Worth, attempt: Try) -> BaseException | None:
    return await attempt()


def is_worth(failure: Exception, remaining: float) -> bool | float:
    """Return whether a failure is worth another try, with so many seconds left. All are, but those
    of the record itself.
    """
    if isinstance(failure, Retry) and failure.after is not None:
        return failure.after if failure.after < remaining else False
    return not isinstance(failure, InvalidEvent)


async def call_user_code(
    call: Callable[..., Any], pool: ThreadPool | None, *arguments: Any
) -> ThreadOutcome:
    """Call user code, in a thread of `pool` if there is one. Nothing that it raises passes; what
    cancels the task that runs here does.
    """
    here = os.getpid()
    outcome = await _called(call, pool, *arguments)
    if os.getpid() != here:
        end_fork(outcome.failure)
    return outcome


async def _called(
    call: Callable[..., Any], pool: ThreadPool | None, *arguments: Any
) -> ThreadOutcome:
    try:
        if pool is None:
            result = call(*arguments)
        else:
            outcome = await pool.run(call, *arguments)
            if outcome.failure is not None:
                return outcome
            result = outcome.result
        if inspect.isawaitable(result):
            result = await result
    except GeneratorExit:
        raise
    except BaseException as failure:
        if isinstance(failure, asyncio.CancelledError):
            if _is_cancelled():
                raise
            failure.args = failure.args or (CANCELLED,)
        return ThreadOutcome(None, failure)
    return ThreadOutcome(result, None)


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def verdict(outcome: ThreadOutcome) -> BaseException | None:
    """Return what a handler's outcome means: None if it is content, Drop, Retry, or its failure."""
    if outcome.failure is not None:
        return outcome.failure
    said = outcome.result
    if said is Retry or said is Drop:
        return Retry() if said is Retry else Drop()
    return said if isinstance(said, Retry | Drop) else None
