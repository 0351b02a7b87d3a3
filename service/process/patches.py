"""All that is changed of Python itself while a function is served, and the one hook of forks.

`install` is called once, before the function's module is imported; what it returns undoes it. The
other modules hold the parts that are put in here, and change nothing by themselves.
"""

from __future__ import annotations

import _thread
import asyncio
import concurrent.futures
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import cache
from typing import Any

from ..calls.left_behind import function_tasks
from ..calls.threads import giving_loops, mark_copies
from ..errors import StartError
from ..logs import below, capture
from ..logs.attribution import leave_call_in_pools, starting, submitting
from ..logs.log import FUNCTIONS, Logs, begin_anew
from ..protocol import SERVICE_LOGGER
from .signals import SIGNALS

Undo = Callable[[], None]

LoggerLevels = Iterable[tuple[str, str]]
"""Levels of single loggers, by their names."""

_THREADS = (_thread.allocate_lock, _thread.get_ident)
"""What threads are made of. A debugger may patch the start of one, and not these."""


def install(
    logs: Logs, level: str, levels: LoggerLevels = (), *, lets_all_through: bool = False
) -> Undo:
    """Change what a function's code uses, so that each call keeps to itself; return what undoes it.

    Output and log records go to `logs`; threads and jobs of executors belong to the call that
    starts them; `asyncio.all_tasks` knows no task of the service's; a handler's thread has an event
    loop once it asks; the stop signals stay with the service. Forks are heeded from now on: that
    cannot be undone.
    """
    changes = ExitStack()
    changes.callback(route(logs, level, levels, lets_all_through=lets_all_through))
    executor = concurrent.futures.ThreadPoolExecutor
    _replace(changes, threading.Thread, "start", starting(threading.Thread.start))
    _replace(changes, executor, "submit", submitting(executor.submit))
    for module in (asyncio, asyncio.tasks):
        _replace(changes, module, "all_tasks", function_tasks)
    for module in (asyncio, asyncio.events):
        _replace(changes, module, "get_event_loop", giving_loops(module.get_event_loop))
    for name in ("stdout", "stderr"):
        redirect = capture.redirecting(getattr(contextlib, f"redirect_{name}"), name)
        _replace(changes, contextlib, f"redirect_{name}", redirect)
    _replace(changes, signal, "signal", SIGNALS.keep)
    return changes.close


def heed_stops() -> None:
    """Heed the stop signals from now on, also where Python drops what their handler raises. Called
    from the main thread, once; nothing undoes it.
    """
    sys.unraisablehook = SIGNALS.taking_dropped(sys.unraisablehook)
    SIGNALS.heed()


def route(
    logs: Logs, level: str, levels: LoggerLevels = (), *, lets_all_through: bool = False
) -> Undo:
    """Route `logging`, `sys.stdout` and `sys.stderr` to `logs`; return what undoes it.

    With `lets_all_through` records from DEBUG up are made also if they are below the level, and
    come to our own handler alone, which knows which of them are wanted.
    """
    heed_forks()
    changes = ExitStack()
    for name, label in (("stdout", "STDOUT"), ("stderr", "STDERR")):
        _replace(changes, sys, name, capture.Route(logs, label, getattr(sys, name)))
    root, service = logging.getLogger(), logging.getLogger(SERVICE_LOGGER)
    for logger in (root, service):
        changes.callback(logger.setLevel, logger.level)
        _replace(changes, logger, "handlers", [capture.RouteRecords(logs)])
        logger.setLevel(level)
    if lets_all_through and root.level > logging.DEBUG:
        handler: Any = root.handlers[0]
        shielded = below.shielding(logging.Logger.callHandlers, handler, root.level)
        _replace(changes, logging.Logger, "callHandlers", shielded)
        root.setLevel(logging.DEBUG)
    for name, its_level in levels:
        single = logging.getLogger(name)
        changes.callback(single.setLevel, single.level)
        single.setLevel(its_level)
    _replace(changes, logging.getLogger(FUNCTIONS), "__class__", capture.Kept)
    _replace(changes, service, "__class__", capture.KeptService)
    return changes.close


def check_threads() -> None:
    """Raise StartError if a module has put something else in the place of Python's threads, as
    `gevent.monkey.patch_all()` does: an event loop cannot run beside it.
    """
    if (_thread.allocate_lock, _thread.get_ident) != _THREADS:
        by = getattr(_thread.allocate_lock, "__module__", "a module").partition(".")[0]
        raise StartError(
            f"the function's module makes green threads of Python's ({by} patches `threading`), and"
            " the service cannot run on these: take the patch out; plain handlers have threads, and"
            " calls run at the same time without it"
        )


def _replace(changes: ExitStack, owner: Any, name: str, value: Any) -> None:
    changes.callback(setattr, owner, name, getattr(owner, name))
    setattr(owner, name, value)


# --- forks

_masks = threading.local()
"""The signals that a thread which forks had blocked before."""


@cache
def heed_forks() -> None:
    """Let forked processes be what they are: no second service. Done once in a process.

    No signal is lost meanwhile: one for the child that came before the child has Python's own
    handlers again would be dropped, and `Process.terminate` would wait for ever.
    """
    os.register_at_fork(before=_hold, after_in_parent=_let_go, after_in_child=_begin_child)


def _hold() -> None:
    _masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS.heeded)


def _let_go() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _masks.before)


def _begin_child() -> None:
    mark_copies()
    begin_anew()
    leave_call_in_pools()
    signal.signal = SIGNALS.pythons
    SIGNALS.leave_to_child()
    _let_go()
