"""What a call spawns stays the call's: threads and processes log under its id, tasks are known."""

from __future__ import annotations

import asyncio
import concurrent.futures
import concurrent.futures.thread
import logging
import os
import sys
import threading
from collections.abc import Callable, Coroutine
from contextvars import ContextVar, copy_context
from functools import cache
from types import FrameType
from typing import Any, Literal

from service import frames
from service.calls import note_task
from service.context import RUNNING

Policy = Literal["wait", "warn", "cancel"]
Tasks = set["asyncio.Task[Any]"]

_TASKS: ContextVar[Tasks] = ContextVar("fc_tasks")
_SHOWN = 5
_TURNS = 5
"""Turns of the loop in which a task that was told to end, and what it waits for, ends."""

_ENDING = 1.0
"""Seconds that a call's answer waits for its cancelled tasks to end."""

_log = logging.getLogger("service")


# --- tasks


def track() -> Tasks:
    """Return the set that holds the tasks that are made from here on in this call and still run."""
    tasks: Tasks = set()
    _TASKS.set(tasks)
    return tasks


def task_factory(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **options: Any
) -> asyncio.Task[Any]:
    """Make a task, for `loop.set_task_factory`, and note it as its call's."""
    task = asyncio.Task(work, loop=loop, **options)
    note_task(task)
    tasks = _TASKS.get(None)
    if tasks is not None and not task.done():
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    return task


async def settle(tasks: Tasks, policy: Policy) -> None:
    """Do what the setting `background` says with the tasks that a call has left running.

    Function Compute freezes an instance after its answer, and such a task stops where it is.
    """
    if not tasks:
        return
    for _ in range(_TURNS):  # a task that has nothing left to do is no work left behind
        await asyncio.sleep(0)
        left = [task for task in tasks if not task.done()]
        if not left:
            return
    if policy == "wait":
        while left := list(tasks):
            await asyncio.wait(left)
        return
    names = ", ".join(map(_named, left[:_SHOWN])) + (", ..." if len(left) > _SHOWN else "")
    if policy == "cancel":
        for task in left:
            task.cancel()
        _log.info("cancelled %d tasks that the call left running: %s", len(left), names)
        await asyncio.wait(left, timeout=_ENDING)
        return
    _log.warning(
        "the call left %d tasks running: %s; an instance freezes after the answer, and they stop:"
        ' await them, or set background to "wait"',
        len(left),
        names,
    )


def _named(task: asyncio.Task[Any]) -> str:
    work = task.get_coro()
    place = frames.awaited_by(work)
    name = getattr(work, "__qualname__", type(work).__name__)
    return f"{name} at {place.file}:{place.line}" if place else name


# --- threads


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


# --- processes

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
