"""The threads that run plain `def` handlers: as many as calls may run, made as needed, never waited
for at exit.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import traceback
import weakref
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import copy_context
from functools import wraps
from typing import Any, NoReturn, TypeVar

import msgspec

from .bell import Bell

ForkingT = TypeVar("ForkingT")


class ThreadOutcome(msgspec.Struct, frozen=True):
    """What a piece of user code came to: its result, or what it raised."""

    result: Any
    failure: BaseException | None


def attempt(work: Callable[..., Any], *arguments: Any) -> ThreadOutcome:
    """Run user code. Nothing it raises passes, SystemExit included."""
    try:
        return ThreadOutcome(work(*arguments), None)
    except BaseException as failure:
        return ThreadOutcome(None, failure)


_Future = asyncio.Future[ThreadOutcome]


class ThreadJob(msgspec.Struct, eq=False):
    """What a thread is to do, and who waits for it."""

    loop: asyncio.AbstractEventLoop
    future: _Future
    work: Callable[[], ThreadOutcome]
    is_told: bool = False
    """Whether its outcome was taken note of."""


def end_fork(failure: BaseException | None = None) -> NoReturn:
    """End a process that user code has forked and that has left its handler, by a failure or not.

    It has the sockets and the queues of the one that serves, and would take calls from it.
    """
    code: object = 0
    if isinstance(failure, SystemExit):
        code = 0 if failure.code is None else failure.code
    elif failure is not None:
        traceback.print_exception(failure)
        code = 1
    if not isinstance(code, int):
        print(code, file=sys.stderr)  # noqa: T201 - as Python does
        code = 1
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(code)


async def end_with_forks(work: Awaitable[ForkingT]) -> ForkingT:
    """Wait for user code on the event loop, and return what it comes to; a process that it has
    forked, and that comes back too, ends.
    """
    process = os.getpid()
    try:
        result = await work
    except BaseException as failure:
        if os.getpid() != process:
            end_fork(failure)
        raise
    if os.getpid() != process:
        end_fork()
    return result


_POOLS: weakref.WeakSet[ThreadPool] = weakref.WeakSet()


def mark_copies() -> None:
    """Let every pool know that it is a copy. Called in a process that was just forked."""
    for pool in tuple(_POOLS):
        pool.is_copy = True


GetLoop = Callable[[], asyncio.AbstractEventLoop]

_here = threading.local()


def giving_loops(get: GetLoop) -> GetLoop:
    """Return an `asyncio.get_event_loop` that gives a handler's thread an event loop if its code
    asks for one, as the main thread has one, which plain handlers of the built-in runtime run in.

    A policy would do so, too: Python 3.14 warns of any, and 3.16 has none.
    """

    @wraps(get)
    def get_event_loop() -> asyncio.AbstractEventLoop:
        is_handlers = getattr(_here, "is_handlers", False)
        try:
            loop = get()
        except RuntimeError:
            if not is_handlers:
                raise
        else:
            if not (is_handlers and loop.is_closed()):
                return loop
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        return loop

    return get_event_loop


class ThreadPool:
    """At most `size` daemon threads. A thread that never comes back keeps its place, and does not
    hold up the exit.

    `concurrent.futures` joins its threads when the interpreter ends: one handler that hangs would
    hang the stop.
    """

    def __init__(self, size: int, name: str = "handler") -> None:
        self.size = size
        self._name = name
        self.is_copy = False
        """Whether this is the copy in a process that user code has forked."""
        _POOLS.add(self)
        self.measures_cpu = False
        """Whether it is noted for how long its threads work for a call."""
        self.is_lent = False
        """Whether its one thread is a thread of the process's, which `serve_here` runs in."""
        self._in_hand: ThreadJob | None = None
        self._main = 0  # the main thread's number, if that is lent
        self.threads = 0
        self._busy = 0  # calls that have a thread or wait for one
        self._jobs: deque[ThreadJob | None] = deque()
        self._bell = Bell()  # is rung for each job
        self._done: deque[tuple[ThreadJob, ThreadOutcome | None]] = deque()
        self._told = False  # the loop will look at what is done

    @property
    def busy(self) -> int:
        """How many jobs have a thread or wait for one."""
        return self._busy

    def run(self, work: Callable[..., Any], *arguments: Any) -> _Future:
        """Run `work` in a thread, under a copy of the caller's context variables. Called from the
        loop, always the same one.
        """
        loop = asyncio.get_running_loop()
        future: _Future = loop.create_future()
        context = copy_context()
        self._busy += 1
        if self._busy > self.threads < self.size:
            self._grow()
        self._put(ThreadJob(loop, future, lambda: context.run(attempt, work, *arguments)))
        return future

    def _put(self, job: ThreadJob | None) -> None:
        self._jobs.append(job)
        self._bell.ring()

    def _get(self) -> ThreadJob | None:
        while True:
            if self._main and threading.get_ident() == self._main:
                self._bell.let_signals_ring()  # each time: a function may have set another one
            self._bell.wait()
            try:
                return self._taken_in_hand() if self.is_lent else self._jobs.popleft()
            except IndexError:  # rung once more, after a signal's handler raised
                continue

    def _taken_in_hand(self) -> ThreadJob | None:
        """Take a job in the lent thread, or see that it may end. Whichever step a signal's handler
        raises in: a job is in the queue or in hand, and that it may end is not forgotten.
        """
        job = self._in_hand = self._jobs[0]
        if job is not None:
            self._jobs.popleft()
        return job

    def _grow(self) -> None:
        name = f"{self._name}-{self.threads + 1}"
        try:
            threading.Thread(target=self._serve, name=name, daemon=True).start()
        except RuntimeError:  # the instance's limit of 1,024 threads (docs/platform.md section 8)
            if not self.threads:
                self._busy -= 1
                raise
        else:
            self.threads += 1

    def lend_thread(self) -> None:
        """Count on a thread that calls `serve_here`: the pool starts none in its place."""
        self.threads += 1
        self.is_lent = True

    def replace_lent(self) -> None:
        """Count on the lent thread no more, since a hook does not come back from it: the next job
        gets a thread of the pool's own.
        """
        self.size += 1
        self.is_lent = False

    def serve_here(self) -> None:
        """Run in this thread what is asked for, until `close`. What a signal's handler raises ends
        the job that runs, and nothing else.
        """
        if threading.current_thread() is threading.main_thread():
            self._main = threading.get_ident()
        while True:
            try:
                self._serve()
                if self._main:
                    self._bell.let_no_signal_ring()
                return
            except BaseException as failure:
                if self.is_copy:
                    end_fork(failure)
                self._end_in_hand(failure)
                self._bell.ring()  # it may have been heard, and nothing taken

    def _end_in_hand(self, failure: BaseException) -> None:
        """End the job that a signal's handler has interrupted, unless it waits in the queue still.
        If it was over already, that is what counts; the loop may not have been told yet.
        """
        job, self._in_hand = self._in_hand, None
        if job is not None and job not in self._jobs:
            self._told = False
            self._finish(job, ThreadOutcome(None, failure))

    def close(self) -> None:
        """Let the idle threads end."""
        for _ in range(self.threads):
            self._put(None)

    def _serve(self) -> None:
        _here.is_handlers = True
        while (job := self._get()) is not None:
            # Answered while it waited for a thread: it must not run any more.
            outcome = None if job.future.cancelled() else job.work()
            if outcome is not None and self.is_copy:
                end_fork(outcome.failure)
            self._finish(job, outcome)
            if self._in_hand is job:
                self._in_hand = None
            del job, outcome  # an idle thread keeps no call's event alive

    def _finish(self, job: ThreadJob, outcome: ThreadOutcome | None) -> None:
        self._done.append((job, outcome))
        if not self._told:  # to wake the loop costs more than a small handler
            self._told = True
            try:
                job.loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:  # the loop is closed: nobody waits
                self._told = False

    def _deliver(self) -> None:
        self._told = False  # first: what is done from here on is told again
        while self._done:
            job, outcome = self._done.popleft()
            if job.is_told:
                continue
            job.is_told = True
            self._busy -= 1
            if outcome is not None and not job.future.done():
                job.future.set_result(outcome)
