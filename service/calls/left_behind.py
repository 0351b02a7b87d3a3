"""The tasks that a call starts: known as its own, and settled when it ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Literal
from weakref import WeakSet

from ..protocol import SERVICE_LOGGER
from . import tracebacks
from .serving import serving_others
from .tasks import KNOWS_CONTEXTS, new_task, note_current_task, variable_of

Policy = Literal["wait", "warn", "cancel"]


Tasks = set["asyncio.Task[Any]"]


class HookTasks(Tasks):
    """The tasks that a hook has made."""

    __slots__ = ()


_TASKS: ContextVar[Tasks] = ContextVar("fc_tasks")
_LOOPS: WeakSet[asyncio.AbstractEventLoop] = WeakSet()
_SHOWN = 5
_TURNS = 5
"""Turns of the loop in which a task that was told to end, and what it waits for, ends."""

_ENDING = 1.0
"""Seconds that a call's answer waits for its cancelled tasks to end."""

_log = logging.getLogger(SERVICE_LOGGER)


def track_on(loop: asyncio.AbstractEventLoop) -> None:
    """Know from now on whose each task of a loop is."""
    loop.set_task_factory(task_factory)
    _LOOPS.add(loop)


def track() -> Tasks:
    """Return the set that holds the tasks that are made from here on in this call and still run."""
    tasks: Tasks = set()
    _TASKS.set(tasks)
    if not KNOWS_CONTEXTS:
        note_current_task()
    return tasks


def track_hook() -> None:
    """Know the tasks that are made from here on in this hook."""
    _TASKS.set(HookTasks())
    if not KNOWS_CONTEXTS:
        note_current_task()


def task_factory(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **options: Any
) -> asyncio.Task[Any]:
    """Make a task, for `loop.set_task_factory`, and note it as its call's."""
    task = new_task(work, loop, **options)
    tasks = _TASKS.get(None)
    if tasks is not None and not task.done():
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    return task


every_task = asyncio.all_tasks
"""`asyncio.all_tasks` as Python has it."""


def function_tasks(loop: asyncio.AbstractEventLoop | None = None) -> set[asyncio.Task[Any]]:
    """Return what `asyncio.all_tasks` does for a function: none of the service's tasks.

    Who cancels all tasks, or waits for them, means those that it has started. In a call these are
    the call's, its own one included; in a hook, and outside of calls, all that the function's code
    has started, but not the calls themselves.
    """
    loop = loop or asyncio.get_running_loop()
    found = every_task(loop)
    if loop not in _LOOPS:
        return found
    here = _TASKS.get(None)
    return {task for task in found if _is_for(task, variable_of(task, _TASKS), here)}


def _is_for(task: asyncio.Task[Any], owner: Tasks | None, here: Tasks | None) -> bool:
    if owner is here or owner is None:
        return owner is not None
    return (here is None or isinstance(here, HookTasks)) and task in owner


async def settle(tasks: Tasks, policy: Policy) -> None:
    """Do what the setting `background` says with the tasks that a call has left running.

    Function Compute freezes an instance after its answer, and such a task stops where it is.
    """
    if not tasks:
        return
    for _ in range(_TURNS):  # a task that has nothing left to do is no work left behind
        await asyncio.sleep(0)
        left = [task for task in tasks if not task.done()]
        if not left:
            return
    if policy == "wait":
        while left := list(tasks):
            await asyncio.wait(left)
        return
    left = _without_those_of_others(left)
    if not left:
        return
    names = ", ".join(map(_named, left[:_SHOWN])) + (", ..." if len(left) > _SHOWN else "")
    if policy == "cancel":
        for task in left:
            task.cancel()
        _log.info("cancelled %d tasks that the call left running: %s", len(left), names)
        await asyncio.wait(left, timeout=_ENDING)
        return
    _log.warning(
        "the call left %d tasks running: %s; an instance freezes after the answer, and they stop:"
        ' await them, or set background to "wait"',
        len(left),
        names,
    )


def _without_those_of_others(tasks: list[asyncio.Task[Any]]) -> list[asyncio.Task[Any]]:
    """Return the tasks without those that work for other calls, too. These are told of and go on:
    to end them with this call would leave the others waiting for ever.
    """
    shared: dict[asyncio.Task[Any], int] = {}
    with suppress(Exception):  # a stand-in for an object, whose `__class__` raises, for example
        shared = serving_others(tasks, every_task())
    for task, calls in shared.items():
        _log.warning(
            "the call has started a task that works for other calls, too: %s, for which %d of them"
            " wait; it goes on, with this call's id: start it with fc_event_service.spawn, and it"
            " is the instance's",
            _named(task),
            calls,
        )
    return [task for task in tasks if task not in shared]


def _named(task: asyncio.Task[Any]) -> str:
    work = task.get_coro()
    place = tracebacks.awaited_by(work)
    name = getattr(work, "__qualname__", type(work).__name__)
    return f"{name} at {place.file}:{place.line}" if place else name
