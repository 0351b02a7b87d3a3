"""One fetch: it runs by itself, whoever began it and whoever still waits for it."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from ..calls.threads import ThreadOutcome, attempt, end_fork
from ..context.call import RUNNING, TaskContext
from ..context.derived import work_context
from ..errors import own_copy
from ..lifetime.spawned import SpawnedTask, spawn

WITHIN: contextvars.ContextVar[tuple[Fetch, ...]] = contextvars.ContextVar("fc_within")
"""The fetches that the code here runs in: none of them can be waited for."""


class Fetch:
    """One run of a shared function. Whoever wants its outcome waits for `done`.

    It is a task of the instance: no call's end, deadline or cancellation ends it, and its lines
    have an id of its own.
    """

    def __init__(self, name: str, timeout: float) -> None:
        self.began = time.monotonic()
        self.value: Any = None
        self.error: BaseException | None = None
        self.waiting = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._name = name
        self._timeout = timeout
        self._caller = RUNNING.get(None)
        self._within = (*WITHIN.get(()), self)
        self._task: SpawnedTask[None] | None = None

    def start(self, work: Callable[[], Awaitable[Any]], ended: Callable[[Fetch], None]) -> None:
        """Begin; `ended` is called once there is a value or an error. Raises RuntimeError if the
        instance stops.
        """
        # On the loop that runs here, and not on that of the call's instance: a plain handler may
        # run a loop of its own in its thread.
        here = contextvars.Context()
        self._task = here.run(spawn, self._run(work, ended), name=self._name)

    def is_overdue(self, now: float) -> bool:
        """Return whether it had its time: it stood still while the instance was frozen, and what it
        waits for is gone.
        """
        return not self.done.done() and now - self.began > self._timeout

    def abandon(self) -> None:
        """End it as a time-out: nobody is to wait for it any more, even if it does not end."""
        self._settle(self._too_late())
        if self._task is not None:
            self._task.cancel()

    async def outcome(self) -> Any:
        """Wait for the value and return it, or raise an error of the caller's own."""
        if self in WITHIN.get(()):
            raise RuntimeError(f"{self._name} waits for itself: it calls itself as it was called")
        self.waiting += 1
        try:
            await asyncio.shield(self.done)
        finally:
            self.waiting -= 1
        if self.error is not None:
            raise own_copy(self.error)
        return self.value

    def _enter(self) -> None:
        """Have the fields and the credentials of the call that began it, and nothing else of it."""
        WITHIN.set(self._within)
        caller, own = self._caller, RUNNING.get()
        if caller is not None and not isinstance(caller, TaskContext):
            RUNNING.set(work_context(caller, own.request_id))

    async def _run(
        self, work: Callable[[], Awaitable[Any]], ended: Callable[[Fetch], None]
    ) -> None:
        self._enter()
        limit = asyncio.timeout(self._timeout)
        error: BaseException | None = None
        try:
            async with limit:
                self.value = await work()
        except asyncio.CancelledError:
            error = RuntimeError(f"{self._name} was cancelled while it fetched")
        except BaseException as failure:
            late = limit.expired() and isinstance(failure, TimeoutError)
            error = self._too_late() if late else failure
        self.error = self.error or error
        try:
            ended(self)
        finally:
            self._settle(self.error)

    def _settle(self, error: BaseException | None) -> None:
        """Let those who wait have the outcome."""
        self.error = error
        if not self.done.done():
            self.done.set_result(None)

    def _too_late(self) -> TimeoutError:
        return TimeoutError(
            f"{self._name} was not done within {self._timeout:g} s: let what it waits for take"
            " less, or give it more with @shared(timeout=...)"
        )


async def fetched_in_thread(work: Callable[[], Any], name: str) -> Any:
    """Run a plain function in a thread of its own, in the context of the task, and return what it
    returns or raise what it raises. The exit does not wait for such a thread.
    """
    loop, process = asyncio.get_running_loop(), os.getpid()
    future: asyncio.Future[ThreadOutcome] = loop.create_future()
    context = contextvars.copy_context()

    def deliver(outcome: ThreadOutcome) -> None:
        if not future.done():
            future.set_result(outcome)

    def run() -> None:
        outcome = context.run(attempt, work)
        if os.getpid() != process:
            end_fork(outcome.failure)
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(deliver, outcome)

    threading.Thread(target=run, name=f"shared-{name}", daemon=True).start()
    outcome = await future
    if outcome.failure is not None:
        raise outcome.failure
    return outcome.result
