"""Threads and processes that a call starts write under its id."""

from __future__ import annotations

import concurrent.futures.thread
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from types import FrameType
from typing import Any

from ..context.call import RUNNING


def starting(start: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
    """Return a `Thread.start` by which threads that a call starts run in its context.

    `contextvars` are not inherited by threads before Python 3.14. A line that such a thread writes
    carries the id of the call that started it.
    """

    def start_in_context(thread: threading.Thread) -> None:
        if RUNNING.get(None) is not None and not _is_pooled(thread):
            _run_in_context(thread)
        try:
            start(thread)
        except RuntimeError:  # no thread can be started now: this one may be, later
            thread.__dict__.pop("run", None)
            raise

    return start_in_context


def submitting(submit: Callable[..., Future[Any]]) -> Callable[..., Future[Any]]:
    """Return a `ThreadPoolExecutor.submit` by which each job runs in the context of the call that
    hands it in.
    """

    def submit_in_context(
        executor: ThreadPoolExecutor, work: Callable[..., Any], /, *arguments: Any, **named: Any
    ) -> Future[Any]:
        if RUNNING.get(None) is None:
            return submit(executor, work, *arguments, **named)
        return submit(executor, copy_context().run, work, *arguments, **named)

    return submit_in_context


def _is_pooled(thread: threading.Thread) -> bool:
    """Return whether a thread is an executor's: it outlives the call, each job has a context."""
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


def leave_call_in_pools() -> None:
    """Let a process that a handler has forked be its call's, unless it is a pool's: that one works
    for other calls, too.
    """
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_globals.get("__name__") in _POOLS:
            RUNNING.set(None)  # type: ignore[arg-type] # no call: a context variable has no "unset"
            return
        frame = frame.f_back
