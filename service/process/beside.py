"""At concurrency 1: the function's code in the main thread, and the event loop beside it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from typing import TypeVar

from ..calls.threads import ThreadPool
from ..instance.assembly import Service

T = TypeVar("T")

LEAVES_WITHIN = 1.0
"""Seconds in which a handler comes back once the service has stopped."""


def runs_here(service: Service) -> bool:
    """Return whether the function's code runs in the main thread, as in the built-in runtime: a
    plain handler, one call at a time. What the import has made for its thread serves the calls
    then: a connection of sqlite3, a `threading.local`, an alarm.
    """
    handler = service.handlers.handler
    kinds = {each.kind for each in handler.routes or (handler,)}
    return service.settings.concurrency == 1 and kinds == {"sync"}


def run_beside(work: Callable[[], T], threads: ThreadPool) -> T:
    """Run `work`, which runs an event loop, in a thread of its own, and the jobs of `threads` in
    this one meanwhile. Return what it returns, or raise what it raises.

    The process ends if a job does not come back after that: nobody waits for it any more.
    """
    outcome: Future[T] = Future()
    left = threading.Event()
    context = copy_context()

    def run() -> None:
        try:
            outcome.set_result(context.run(work))
        except BaseException as failure:
            outcome.set_exception(failure)
        threads.close()
        if not left.wait(LEAVES_WITHIN):
            code = None if outcome.exception() else outcome.result()
            os._exit(code if isinstance(code, int) else 1)

    threads.lend_thread()
    threading.Thread(target=run, name="loop", daemon=True).start()
    threads.serve_here()
    left.set()
    return outcome.result()
