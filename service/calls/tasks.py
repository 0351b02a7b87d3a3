"""Tasks: started at once, and each known by its call."""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from ..context.call import RUNNING, Context

T = TypeVar("T")


EAGER = KNOWS_CONTEXTS = sys.version_info >= (3, 12)
"""Python 3.11 starts no task at once, and has no `Task.get_context`."""


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


_CONTEXTS: WeakKeyDictionary[asyncio.Task[Any], contextvars.Context] = WeakKeyDictionary()


def note_task(task: asyncio.Task[Any], context: contextvars.Context | None = None) -> None:
    """Let `variable_of` know the context of a task, by default a copy of the current one, if Python
    does not.
    """
    if not KNOWS_CONTEXTS:
        _CONTEXTS[task] = context or contextvars.copy_context()


def note_current_task() -> None:
    """Let `variable_of` know what the context of the task that runs here is by now."""
    if (task := asyncio.current_task()) is not None:
        note_task(task)


def variable_of(task: asyncio.Task[Any], variable: contextvars.ContextVar[T]) -> T | None:
    """Return what a context variable is in a task, None if it is not set there."""
    if sys.version_info >= (3, 12):
        return task.get_context().get(variable)
    context = _CONTEXTS.get(task)
    return None if context is None else context.get(variable)


def context_of(task: asyncio.Task[Any]) -> Context | None:
    """Return the context of the call that a task belongs to."""
    return variable_of(task, RUNNING)
