"""Tasks: started at once, and each known by its call."""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from ..context.call import RUNNING, Context

T = TypeVar("T")


KNOWS_CONTEXTS = sys.version_info >= (3, 12)
"""Python 3.11 has no `Task.get_context`."""

_CONTEXTS: WeakKeyDictionary[asyncio.Task[Any], contextvars.Context] = WeakKeyDictionary()
"""The contexts of the tasks, if Python does not know them."""


def new_task(
    work: Coroutine[Any, Any, T],
    loop: asyncio.AbstractEventLoop,
    context: contextvars.Context | None = None,
    **options: Any,
) -> asyncio.Task[T]:
    """Return a task, in `context` or a copy of the current one, which `variable_of` knows."""
    if KNOWS_CONTEXTS:
        return asyncio.Task(work, loop=loop, context=context, **options)
    context = contextvars.copy_context() if context is None else context
    task = asyncio.Task(work, loop=loop, context=context, **options)
    _CONTEXTS[task] = context
    return task


def eager_task(
    work: Coroutine[Any, Any, T],
    loop: asyncio.AbstractEventLoop,
    context: contextvars.Context | None = None,
) -> asyncio.Task[T]:
    """Return a task, in `context` or a copy of the current one, that has run up to its first wait:
    work that never waits costs no turn of the loop then. On Python 3.11 a task that another one
    makes begins in the next turn.
    """
    if sys.version_info >= (3, 12):
        return asyncio.Task(work, loop=loop, context=context, eager_start=True)
    if asyncio.current_task(loop) is not None:
        return loop.create_task(work, context=context)
    return _begun(work, loop, contextvars.copy_context() if context is None else context)


def _begun(
    work: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop, context: contextvars.Context
) -> asyncio.Task[T]:
    """Make a task, which gives the loop its first step, and take that step now. What others give
    the loop meanwhile, as garbage that is found then may, it gets before.
    """
    given: list[tuple[Callable[..., object], tuple[Any, ...], contextvars.Context | None]] = []

    def take(
        step: Callable[..., object], *arguments: Any, context: contextvars.Context | None = None
    ) -> None:
        given.append((step, arguments, context))

    try:
        loop.call_soon = take  # type: ignore[method-assign, assignment] # of this loop alone
        task = new_task(work, loop, context)
    finally:
        vars(loop).pop("call_soon", None)  # its kind's is its own again
    for step, arguments, its_context in given:
        if getattr(step, "__self__", None) is task:
            first = step
        else:
            loop.call_soon(step, *arguments, context=its_context)
    context.run(first)
    return task


def note_current_task() -> None:
    """Let `variable_of` know what the context of the task that runs here is by now, if no loop of
    ours has made it.
    """
    task = asyncio.current_task()
    if task is not None and task not in _CONTEXTS:
        _CONTEXTS[task] = contextvars.copy_context()


def variable_of(task: asyncio.Task[Any], variable: contextvars.ContextVar[T]) -> T | None:
    """Return what a context variable is in a task, None if it is not set there."""
    if sys.version_info >= (3, 12):
        return task.get_context().get(variable)
    context = _CONTEXTS.get(task)
    return None if context is None else context.get(variable)


def context_of(task: asyncio.Task[Any]) -> Context | None:
    """Return the context of the call that a task belongs to."""
    return variable_of(task, RUNNING)
