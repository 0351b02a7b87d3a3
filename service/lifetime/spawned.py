"""`spawn`: the function's way to tasks of the instance, and the service's own."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from .instance_tasks import tasks_here
from .spawned_task import Spawnable, SpawnedTask, T

__all__ = ["SpawnedTask", "spawn"]


def spawn(
    work: Spawnable[T],
    *,
    name: str = "",
    restart: bool = False,
    before_freeze: Callable[[], Any] | None = None,
) -> SpawnedTask[T]:
    """Start a task of the instance, and return it. It belongs to no call: it is not counted among
    what a call has left behind, its lines carry an id of its own, `current_context()` raises in it,
    and it sees no context variable of the call that starts it. At the stop, when no call runs any
    more and `pre_stop` has returned, it is cancelled and waited for.

    `work` is a coroutine, or a function that returns one. With `restart` it must be the function:
    it is called again when the task fails or ends, after a wait that grows from 0.1 to 30 seconds.
    `before_freeze` is called, and awaited if it is async, before the instance freezes.

    May be called in any thread. Raises RuntimeError if no instance is served here, or if it stops;
    TypeError for what cannot be started so.
    """
    try:
        _check(work, restart=restart)
        tasks = tasks_here()
        named = name or _name_of(work)
        spawned = SpawnedTask(tasks.loop, tasks.enter, work, named, restart, before_freeze)
        tasks.begin(spawned)
    except BaseException:
        if inspect.iscoroutine(work):
            work.close()
        raise
    return spawned


def _check(work: object, *, restart: bool) -> None:
    if inspect.iscoroutine(work):
        if restart:
            raise TypeError(
                "a coroutine runs once: to have it started again hand in the function,"
                " spawn(poll, restart=True) or spawn(lambda: poll(queue), restart=True)"
            )
    elif not callable(work) or inspect.isclass(work):
        raise TypeError(
            f"spawn takes a coroutine or a function that returns one, not {type(work).__name__}"
        )


def _name_of(work: object) -> str:
    name = getattr(work, "__qualname__", None) or type(work).__qualname__
    return str(name).rpartition(".<locals>.")[2]
