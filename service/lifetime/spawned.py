"""Tasks of the instance: no call's, and ended with it. `spawn` is the function's way to them, and
the service's own.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import inspect
import logging
import re
import secrets
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from typing import Any, Generic, TypeVar

from ..calls import left_behind, tracebacks
from ..calls.lifecycle import HERE, Lifecycle, lifecycle_here
from ..context.call import RUNNING, TaskContext
from ..protocol import SERVICE_LOGGER
from .backoff import Backoff

T = TypeVar("T")
Spawnable = Coroutine[Any, Any, T] | Callable[[], Coroutine[Any, Any, T]]

MAX_TASK_NAME = 40
"""Characters of a task's name in its id."""

LEAST_ENDING = 1.0
"""Seconds that a task has to end at the stop, and to do what is to be done before a freeze, even if
the time for it is up.
"""

_KEPT: set[asyncio.Task[None]] = set()
"""Tasks that belong to no instance: a loop knows its tasks, and does not keep them."""

_log = logging.getLogger(SERVICE_LOGGER)


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
        tasks = _tasks_here()
        spawned = SpawnedTask(tasks, work, name or _name_of(work), restart, before_freeze)
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


class SpawnedTask(Generic[T]):
    """A task of the instance, as `spawn` returns it. `await` it for its result: whoever is
    cancelled while waiting does not cancel it.
    """

    def __init__(
        self,
        tasks: InstanceTasks,
        work: Spawnable[T],
        name: str,
        restart: bool,
        before_freeze: Callable[[], Any] | None,
    ) -> None:
        self.name = name
        self.id = f"task-{_plain(name)}-{secrets.token_hex(4)}"
        """What its lines carry in the place of a request id."""
        self.restarts = 0
        """How often it was started again."""
        self.before_freeze = before_freeze
        self._tasks = tasks
        self._work = work
        self._restart = restart
        self._outcome: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_done(self) -> bool:
        """True once it has ended, and is not started again."""
        return self._outcome.done()

    def cancel(self) -> None:
        """End it, from any thread; it is not started again."""
        with suppress(RuntimeError):  # the loop is closed: it has ended
            self._tasks.loop.call_soon_threadsafe(self._cancel, context=contextvars.Context())

    def result(self, timeout: float | None = None) -> T:
        """Return its result, or raise its failure, once it has ended: for threads, which wait here.

        Raises TimeoutError after `timeout` seconds, CancelledError of `concurrent.futures` if it
        was cancelled.
        """
        return self._outcome.result(timeout)

    def __await__(self) -> Generator[Any, None, T]:
        return asyncio.shield(asyncio.wrap_future(self._outcome)).__await__()

    def __repr__(self) -> str:
        return f"<SpawnedTask {self.id}{' done' if self.is_done else ''}>"

    # --- on the loop

    def begin(self) -> asyncio.Task[None]:
        """Start it, in the context that is the current one."""
        self._task = self._tasks.loop.create_task(self._run(), name=self.name)
        self._task.add_done_callback(self._ended)
        return self._task

    def _ended(self, _task: asyncio.Task[None]) -> None:
        if not self.is_done:  # it was cancelled before it had begun
            self.refuse()

    def refuse(self) -> None:
        """End it before it has begun."""
        if inspect.iscoroutine(self._work):
            self._work.close()
        self._outcome.cancel()

    def _cancel(self) -> None:
        if self._task is None:
            self.refuse()
        else:
            self._task.cancel()

    def waits_at(self) -> str:
        """Return where it waits now, " at FILE:LINE in FUNCTION" for a message, or ""."""
        place = tracebacks.awaited_by(self._task.get_coro()) if self._task else None
        return f" at {place}" if place else ""

    async def _run(self) -> None:
        self._tasks.enter(self.id)
        backoff = Backoff()
        try:
            while True:
                began = self._tasks.loop.time()
                failure = await self._run_once()
                if not self._restart:
                    break
                wait = backoff.after(self._tasks.loop.time() - began)
                self._tell(failure, f", and is started again in {wait:.1f} s")
                await asyncio.sleep(wait)
                self.restarts += 1
        except asyncio.CancelledError:
            self._outcome.cancel()
            raise
        if failure is not None:
            self._tell(failure, "")
            self._outcome.set_exception(failure)

    async def _run_once(self) -> BaseException | None:
        """Run the work; return how it failed. Raises CancelledError if the task was told to end."""
        work = self._work
        try:
            if not inspect.iscoroutine(work):
                assert callable(work)
                work = work()
            if not inspect.isawaitable(work):
                raise TypeError(
                    f"the task {self.name}: the function returned {type(work).__name__}, not a"
                    " coroutine: write `async def`, or hand in lambda: asyncio.to_thread(function)"
                )
            result = await work
        except GeneratorExit:
            raise
        except BaseException as failure:
            if isinstance(failure, asyncio.CancelledError) and _is_told_to_end():
                raise
            return failure
        if _is_told_to_end():  # it has met its cancellation by returning
            self._settle(result)
            raise asyncio.CancelledError
        if not self._restart:
            self._settle(result)
        return None

    def _settle(self, result: T) -> None:
        if not self._outcome.done():
            self._outcome.set_result(result)

    def _tell(self, failure: BaseException | None, then: str) -> None:
        if failure is None:
            _log.warning("the task %s has ended%s", self.name, then)
            return
        story = tracebacks.story(failure)
        _log.error("the task %s failed%s:\n%s", self.name, then, story, exc_info=failure)


def _is_told_to_end() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _plain(name: str) -> str:
    """Return a name as a part of an id: no space and no control character forges a line."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", name)[:MAX_TASK_NAME].strip("-") or "unnamed"


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


def _tasks_here() -> InstanceTasks:
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
