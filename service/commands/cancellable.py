"""Run one piece of work to its end, or to the signal that cancels it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from ..calls.threads import ThreadPool
from ..process.beside import run_beside
from ..process.loop import (
    call_soon_unless_closed,
    new_loop,
    wind_up,
    woken_by_signals,
)
from ..process.signals import SIGNALS

T = TypeVar("T")


def run_cancellable(
    work: Coroutine[Any, Any, T], loop_kind: str = "auto", threads: ThreadPool | None = None
) -> T:
    """Return what `work` returns. SIGTERM or SIGINT cancels it and raises Stopped. The thread of
    `threads`, if that is given, is the one that calls this.
    """
    main: asyncio.Task[T] | None = None
    try:
        loop = new_loop(loop_kind)

        def run() -> T:
            nonlocal main
            asyncio.set_event_loop(loop)
            try:
                main = loop.create_task(work)
                with woken_by_signals(loop):
                    return loop.run_until_complete(main)
            finally:
                wind_up(loop)

        return _cancelled_by_signals(loop, run, lambda: main and main.cancel(), threads)
    finally:
        if main is None:  # a stop came first
            work.close()


def _cancelled_by_signals(
    loop: asyncio.AbstractEventLoop,
    run: Callable[[], T],
    cancel: Callable[[], object],
    threads: ThreadPool | None,
) -> T:
    """Return what `run` returns, which runs the loop; a signal has the loop `cancel` it."""

    def on_signal(number: signal.Signals) -> None:
        # Said at once: a handler that blocks the loop hears of its cancellation later, or never.
        os.write(2, f"{number.name}: the call is cancelled; once more to end at once\n".encode())
        call_soon_unless_closed(loop, cancel)

    SIGNALS.to_main = loop.call_soon_threadsafe
    try:
        with SIGNALS.told(on_signal):
            return run() if threads is None else run_beside(run, threads)
    except asyncio.CancelledError:
        SIGNALS.check()
        raise
    finally:
        SIGNALS.to_main = None
        loop.close()
