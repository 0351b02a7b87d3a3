"""All spawned tasks of one instance: whose they are, how they end at the stop, and how they are
told of a freeze.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
from typing import Any

from ..calls import left_behind, tracebacks
from ..calls.lifecycle import HERE, Lifecycle, lifecycle_here
from ..context.call import RUNNING, TaskContext
from ..protocol import SERVICE_LOGGER
from .spawned_task import SpawnedTask

LEAST_ENDING = 1.0
"""Seconds that a task has to end at the stop, and to do what is to be done before a freeze, even if
the time for it is up.
"""

_KEPT: set[asyncio.Task[None]] = set()
"""Tasks that belong to no instance: a loop knows its tasks, and does not keep them."""

_log = logging.getLogger(SERVICE_LOGGER)


class InstanceTasks:
    """The spawned tasks of one instance, or of a loop that no instance is served in."""

    def __init__(self, loop: asyncio.AbstractEventLoop, lifecycle: Lifecycle | None) -> None:
        self.loop = loop
        self._lifecycle = lifecycle
        self._running: dict[asyncio.Task[None], SpawnedTask[Any]] = {}
        self._is_over = False
        if lifecycle is not None:
            lifecycle.at_stop.append(self.stop)
            lifecycle.at_freeze.append(self.tell_freeze)

    def begin(self, spawned: SpawnedTask[Any]) -> None:
        """Start a task: now in the loop's thread, as soon as it can be from another one.

        Raises RuntimeError if the instance has stopped.
        """
        if self._is_over or self.loop.is_closed():
            raise RuntimeError(f"the instance stops: the task {spawned.name} is not started")
        # In a context of its own: it has nothing of the call's.
        variables = contextvars.Context()
        if _running_loop() is self.loop:
            variables.run(self._begin, spawned)
        else:
            self.loop.call_soon_threadsafe(self._begin, spawned, context=variables)

    def _begin(self, spawned: SpawnedTask[Any]) -> None:
        if self._is_over or spawned.is_done:
            spawned.refuse()
            return
        task = spawned.begin()
        self._running[task] = spawned
        task.add_done_callback(self._running.pop)
        if self._lifecycle is None:  # nobody else keeps it
            _KEPT.add(task)
            task.add_done_callback(_KEPT.discard)

    def enter(self, task_id: str) -> None:
        """Let the task that runs here begin: with an id of its own, and with the context variables
        that calls begin with.
        """
        left_behind.track()
        if self._lifecycle is not None:
            self._lifecycle.enter_variables()
            HERE.set(self._lifecycle)
        RUNNING.set(TaskContext({}, task_id))

    async def stop(self, seconds: float) -> None:
        """Cancel all tasks, and wait up to so many seconds until they have ended."""
        self._is_over = True
        if not self._running:
            return
        for task in tuple(self._running):
            task.cancel()
        await asyncio.wait(tuple(self._running), timeout=max(seconds, LEAST_ENDING))
        for spawned in tuple(self._running.values()):
            _log.warning(
                "the task %s has not ended when it was cancelled: it is left%s",
                spawned.id,
                spawned.waits_at(),
            )

    async def tell_freeze(self, seconds: float) -> None:
        """Have each task do what it does before a freeze, all at once, in so many seconds."""
        told = [each for each in self._running.values() if each.before_freeze is not None]
        limit = max(seconds, LEAST_ENDING)
        tasks = [
            contextvars.Context().run(self.loop.create_task, self._tell_freeze(each))
            for each in told
        ]
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=limit)
        for each, task in zip(told, tasks, strict=True):
            if task in late:
                task.cancel()
                _log.warning("the task %s: before_freeze took more than %g s", each.id, limit)

    async def _tell_freeze(self, spawned: SpawnedTask[Any]) -> None:
        self.enter(spawned.id)
        assert spawned.before_freeze is not None
        try:
            said = spawned.before_freeze()
            if inspect.isawaitable(said):
                await said
        except asyncio.CancelledError:
            raise
        except BaseException as failure:
            story = tracebacks.story(failure)
            _log.error("before_freeze of the task failed:\n%s", story, exc_info=failure)


def tasks_here() -> InstanceTasks:
    """Return the tasks of the instance that the caller is of; in a test without one, some of the
    loop that runs.
    """
    lifecycle = lifecycle_here()
    if lifecycle is not None and lifecycle.loop is not None:
        if lifecycle.tasks is None:
            lifecycle.tasks = InstanceTasks(lifecycle.loop, lifecycle)
        found: InstanceTasks = lifecycle.tasks
        return found
    loop = _running_loop()
    if loop is None:
        raise RuntimeError(
            "no instance is served here yet: spawn in `lifespan`, in `initialize` or in a call, not"
            " while the module is imported"
        )
    return InstanceTasks(loop, None)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
