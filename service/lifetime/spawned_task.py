"""A task of the instance, from its start to its result: `spawn` returns it."""

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

from ..calls import tracebacks
from ..calls.threads import end_with_forks
from ..protocol import SERVICE_LOGGER
from .backoff import Backoff

T = TypeVar("T")
Spawnable = Coroutine[Any, Any, T] | Callable[[], Coroutine[Any, Any, T]]

MAX_TASK_NAME = 40
"""Characters of a task's name in its id."""

_log = logging.getLogger(SERVICE_LOGGER)


class SpawnedTask(Generic[T]):
    """A task of the instance, as `spawn` returns it. `await` it for its result: whoever is
    cancelled while waiting does not cancel it.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        enter: Callable[[str], None],
        work: Spawnable[T],
        name: str,
        restart: bool,
        before_freeze: Callable[[], Any] | None,
    ) -> None:
        """`enter` lets the task that has an id begin."""
        self.name = name
        self.id = f"task-{_plain(name)}-{secrets.token_hex(4)}"
        """What its lines carry in the place of a request id."""
        self.restarts = 0
        """How often it was started again."""
        self.before_freeze = before_freeze
        self._loop = loop
        self._enter = enter
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
            self._loop.call_soon_threadsafe(self._cancel, context=contextvars.Context())

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
        self._task = self._loop.create_task(self._run(), name=self.name)
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
        self._enter(self.id)
        backoff = Backoff()
        try:
            while True:
                began = self._loop.time()
                failure = await self._run_once()
                if not self._restart:
                    break
                wait = backoff.after(self._loop.time() - began)
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
            result = await end_with_forks(work)
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
