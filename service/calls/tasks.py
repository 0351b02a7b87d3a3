"""Tasks: started at once, the service's own kept apart, and each known by its call."""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, WeakSet

from ..context import RUNNING, Context

T = TypeVar("T")


EAGER = sys.version_info >= (3, 12)


def eager_task(
    work: Coroutine[Any, Any, T],
    loop: asyncio.AbstractEventLoop,
    context: contextvars.Context | None = None,
) -> asyncio.Task[T]:
    """Return a task, in `context` or a copy of the current one, that has run up to its first wait
    on Python 3.12 and later: work that never waits costs no turn of the loop then.
    """
    if EAGER:
        return asyncio.Task(work, loop=loop, context=context, eager_start=True)
    return loop.create_task(work, context=context)


_OWN: WeakSet[asyncio.Task[Any]] = WeakSet()


def own(task: asyncio.Task[T]) -> asyncio.Task[T]:
    """Keep a task of the service's out of `asyncio.all_tasks()`: who cancels all tasks there, or
    waits for them, means those of the function.
    """
    asyncio.tasks._unregister_task(task)
    _OWN.add(task)
    return task


def own_tasks(loop: asyncio.AbstractEventLoop) -> set[asyncio.Task[Any]]:
    """Return the tasks of the service's own that are not done."""
    return {task for task in tuple(_OWN) if not task.done() and task.get_loop() is loop}


_CONTEXTS: WeakKeyDictionary[asyncio.Task[Any], Context] = WeakKeyDictionary()


def note_task(task: asyncio.Task[Any]) -> None:
    """Let `context_of` know a new task: Python 3.11 has no `Task.get_context`."""
    if sys.version_info < (3, 12) and (context := RUNNING.get(None)) is not None:
        _CONTEXTS[task] = context


def context_of(task: asyncio.Task[Any]) -> Context | None:
    """Return the context of the call that a task belongs to."""
    if sys.version_info >= (3, 12):
        return task.get_context().get(RUNNING)
    return _CONTEXTS.get(task)
