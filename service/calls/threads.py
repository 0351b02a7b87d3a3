"""The threads that run plain `def` handlers: as many as calls may run, made as needed, never waited
for at exit.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import traceback
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from functools import wraps
from typing import Any, NamedTuple, NoReturn


class ThreadOutcome(NamedTuple):
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
_Job = tuple[asyncio.AbstractEventLoop, _Future, Callable[[], ThreadOutcome]]


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


_POOLS: weakref.WeakSet[ThreadPool] = weakref.WeakSet()


def mark_copies() -> None:
    """Let every pool know that it is a copy. Called in a process that was just forked."""
    for pool in tuple(_POOLS):
        pool.is_copy = True


class Bell:
    """Wakes one of the threads that wait, for each time that it is rung.

    A pipe, since writing to it lets go of the interpreter: the thread that wakes up runs at once. A
    lock would wake it while the loop holds the interpreter, and it would wait a second time, for
    that: one switch more between threads at each call (237 to 222 us of CPU time for one that
    sleeps).
    """

    def __init__(self) -> None:
        self._heard, self._rung = os.pipe()
        os.set_blocking(self._rung, False)  # as `set_wakeup_fd` wants it; it is never full
        # Once nobody waits any more, or rings; not at the exit, where threads still wait.
        weakref.finalize(self, _close, self._heard, self._rung).atexit = False

    def ring(self) -> None:
        """Wake a thread, or let the next one that waits go on at once."""
        os.write(self._rung, b"\0")

    def wait(self) -> None:
        """Return once it was rung for this thread."""
        os.read(self._heard, 1)

    def let_signals_ring(self) -> None:
        """Let a signal end a wait of the main thread. One that comes just before the wait begins
        would not end it by itself, and its handler would not run before the next job.
        """
        signal.set_wakeup_fd(self._rung, warn_on_full_buffer=False)


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


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
        self._in_hand: _Job | None = None
        self._main = 0  # the main thread's number, if that is lent
        self.threads = 0
        self._busy = 0  # calls that have a thread or wait for one
        self._jobs: deque[_Job | None] = deque()
        self._bell = Bell()  # is rung for each job
        self._done: deque[tuple[_Future, ThreadOutcome | None]] = deque()
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
        self._put((loop, future, lambda: context.run(attempt, work, *arguments)))
        return future

    def _put(self, job: _Job | None) -> None:
        self._jobs.append(job)
        self._bell.ring()

    def _get(self) -> _Job | None:
        while True:
            if self._main and threading.get_ident() == self._main:
                self._bell.let_signals_ring()  # each time: a function may have set another one
            self._bell.wait()
            try:
                return self._jobs.popleft()
            except IndexError:  # rung once more, after a signal's handler raised
                continue

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
        self.measures_cpu = False
        """Whether it is noted for how long its threads work for a call."""
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
                    signal.set_wakeup_fd(-1)
                return
            except BaseException as failure:
                if self.is_copy:
                    end_fork(failure)
                job, self._in_hand = self._in_hand, None
                if job is not None:
                    self._finish(job, ThreadOutcome(None, failure))
                self._bell.ring()  # it may have been heard, and nothing taken

    def close(self) -> None:
        """Let the idle threads end."""
        for _ in range(self.threads):
            self._put(None)

    def _serve(self) -> None:
        _here.is_handlers = True
        while (job := self._get()) is not None:
            if self.is_lent:
                self._in_hand = job
            _, future, work = job
            # Answered while it waited for a thread: it must not run any more.
            outcome = None if future.cancelled() else work()
            if outcome is not None and self.is_copy:
                end_fork(outcome.failure)
            if self._in_hand is job:
                self._in_hand = None
            self._finish(job, outcome)
            del job, future, work, outcome  # an idle thread keeps no call's event alive

    def _finish(self, job: _Job, outcome: ThreadOutcome | None) -> None:
        loop, future, _ = job
        self._done.append((future, outcome))
        if not self._told:  # to wake the loop costs more than a small handler
            self._told = True
            try:
                loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:  # the loop is closed: nobody waits
                self._told = False

    def _deliver(self) -> None:
        self._told = False  # first: what is done from here on is told again
        while self._done:
            future, outcome = self._done.popleft()
            self._busy -= 1
            if outcome is not None and not future.done():
                future.set_result(outcome)
