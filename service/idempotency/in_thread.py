"""Runs a plain function in a thread, to its end."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any

from ..calls.threads import ThreadOutcome, attempt, end_fork


async def in_thread(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Return what a plain function returns, or raise what it raises.

    A thread cannot be stopped: if whoever waits here is cancelled while the function runs, it is
    waited for all the same, and what it returns is returned. Only a second cancellation ends that.
    """
    process, context = os.getpid(), copy_context()
    begins = [True]  # taken by the thread, or by who lets it not begin

    def work() -> ThreadOutcome | None:
        if not _take(begins):
            return None
        outcome = context.run(attempt, partial(function, *arguments, **named))
        if os.getpid() != process:
            end_fork(outcome.failure)
        return outcome

    future = asyncio.get_running_loop().run_in_executor(None, work)
    cancellations = 0
    while not future.done():
        try:
            await asyncio.wait((future,))
        except asyncio.CancelledError:
            cancellations += 1
            if cancellations > 1 or _take(begins):
                raise
    outcome = future.result()
    assert outcome is not None
    if outcome.failure is not None:
        raise outcome.failure
    return await outcome.result if inspect.iscoroutine(outcome.result) else outcome.result


def _take(begins: list[bool]) -> bool:
    try:
        return begins.pop()
    except IndexError:
        return False
