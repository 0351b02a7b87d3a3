"""Threads and processes that a call starts write under its id."""

from __future__ import annotations

import concurrent.futures
import concurrent.futures.thread
import os
import sys
import threading
from collections.abc import Callable
from contextvars import copy_context
from functools import cache
from types import FrameType
from typing import Any

from ..context import RUNNING


def inherit_in_threads() -> Callable[[], None]:
    """Let threads and executor jobs that a call starts run in its context, and processes that it
    forks. Returns what undoes it for threads.

    `contextvars` are not inherited by threads before Python 3.14. Done once, at start, so that a
    line such a thread writes carries the id of the call that started it.
    """
    _heed_forks()
    start = threading.Thread.start
    submit = concurrent.futures.ThreadPoolExecutor.submit

    def start_in_context(thread: threading.Thread) -> None:
        if RUNNING.get(None) is not None and not _is_pooled(thread):
            _run_in_context(thread)
        try:
            start(thread)
        except RuntimeError:  # no thread can be started now: this one may be, later
            thread.__dict__.pop("run", None)
            raise

    def submit_in_context(
        executor: concurrent.futures.ThreadPoolExecutor,
        work: Callable[..., Any],
        /,
        *arguments: Any,
        **named: Any,
    ) -> concurrent.futures.Future[Any]:
        if RUNNING.get(None) is None:
            return submit(executor, work, *arguments, **named)
        return submit(executor, copy_context().run, work, *arguments, **named)

    threading.Thread.start = start_in_context  # type: ignore
    concurrent.futures.ThreadPoolExecutor.submit = submit_in_context  # type: ignore

    def undo() -> None:
        threading.Thread.start = start  # type: ignore[method-assign]
        concurrent.futures.ThreadPoolExecutor.submit = submit  # type: ignore[method-assign]

    return undo


def _is_pooled(thread: threading.Thread) -> bool:
    """Say whether a thread is an executor's: it outlives the call, and each job has a context."""
    return getattr(thread, "_target", None) is concurrent.futures.thread._worker


def _run_in_context(thread: threading.Thread) -> None:
    context = copy_context()
    run = thread.run

    def run_in_context() -> None:
        try:
            context.run(run)
        except SystemExit:
            pass  # ends the thread, as it does without us
        except BaseException:
            # Reported here: outside of the context the traceback would belong to no call.
            hook = threading.ExceptHookArgs((*sys.exc_info(), thread))
            context.run(threading.excepthook, hook)
        finally:
            thread.__dict__.pop("run", None)  # no cycle through the context

    thread.run = run_in_context  # type: ignore[method-assign]


_POOLS = {"concurrent.futures.process", "multiprocessing.pool"}


def _leave_call_in_pools() -> None:
    """Let a process that a handler forks be its call's, unless it is a pool's: that one works for
    other calls, too.
    """
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_globals.get("__name__") in _POOLS:
            RUNNING.set(None)  # type: ignore[arg-type] # no call: a context variable has no "unset"
            return
        frame = frame.f_back


@cache
def _heed_forks() -> None:
    os.register_at_fork(after_in_child=_leave_call_in_pools)
