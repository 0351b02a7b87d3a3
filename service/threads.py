"""The threads that run plain `def` handlers: as many as calls may run, made as needed, never waited
for at exit.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, NamedTuple


class Outcome(NamedTuple):
    """What a piece of user code came to: its result, or what it raised."""

    result: Any
    failure: BaseException | None


def attempt(work: Callable[..., Any], *arguments: Any) -> Outcome:
    """Run user code. Nothing it raises passes, SystemExit included."""
    try:
        return Outcome(work(*arguments), None)
    except BaseException as failure:
        return Outcome(None, failure)


_Job = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Outcome]", Callable[[], Outcome]]


class ThreadPool:
    """At most `size` daemon threads. A thread that never comes back keeps its place, and does not
    hold up the exit.

    `concurrent.futures` joins its threads when the interpreter ends: one handler that hangs would
    hang the stop.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.threads = 0
        self._idle = threading.Semaphore(0)
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()

    def run(self, work: Callable[..., Any], *arguments: Any) -> asyncio.Future[Outcome]:
        """Run `work` in a thread, under a copy of the caller's context variables. Called from the
        loop.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()
        context = copy_context()
        if not self._idle.acquire(blocking=False) and self.threads < self.size:
            self._grow()
        self._jobs.put((loop, future, lambda: context.run(attempt, work, *arguments)))
        return future

    def _grow(self) -> None:
        name = f"handler-{self.threads + 1}"
        try:
            threading.Thread(target=self._serve, name=name, daemon=True).start()
        except RuntimeError:  # the instance's limit of 1,024 threads (fc-platform.md section 8)
            if not self.threads:
                raise
        else:
            self.threads += 1

    def close(self) -> None:
        """Let the idle threads end."""
        for _ in range(self.threads):
            self._jobs.put(None)

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            loop, future, work = job
            # Answered while it waited for a thread: it must not run any more.
            outcome = None if future.cancelled() else work()
            self._idle.release()  # first: who gets the outcome may want a thread at once
            if outcome is not None:
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                    loop.call_soon_threadsafe(_deliver, future, outcome)
            del job, loop, future, work, outcome  # an idle thread keeps no call's event alive


def _deliver(future: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if not future.done():
        future.set_result(outcome)
