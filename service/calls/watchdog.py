"""Sees that the loop stands still, while it does, and names the line that blocks it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from functools import partial

from ..context.call import Context
from . import tracebacks
from .tasks import context_of

IDLE = 5.0
"""Seconds without a call after which the watch sleeps until the next one: an idle instance does
nothing, and a frozen one has nothing overdue.
"""

SLICES = 5
"""Parts in which the watch waits for a sign of life: a freeze of the whole process, however short
or long, is found in one of them and counts for no more than that part.
"""

Report = Callable[[tracebacks.CodePlace | None, Context | None, float], None]


class Watchdog:
    """A thread that asks the loop for a sign of life while calls run.

    `busy` says whether there are calls. `report` is called once for each stall, from the thread,
    with the line that runs, the context of its call, and for how many seconds the loop has stood
    still so far.
    """

    def __init__(self, stall_after: float, busy: Callable[[], bool], report: Report) -> None:
        self.stalls = 0
        self._after = stall_after
        self._busy = busy
        self._report = report
        self._awake = threading.Event()
        self._ended = threading.Event()
        self._sign = threading.Event()
        self._thread: threading.Thread | None = None
        self._loops_time: Callable[[], float] = float

    def start(self) -> None:
        """Watch over the running loop; `stall_after` 0 watches over nothing."""
        if self._after:
            loop, thread = asyncio.get_running_loop(), threading.get_ident()
            self._loops_time = partial(time.clock_gettime, time.pthread_getcpuclockid(thread))
            self._thread = threading.Thread(
                target=self._watch, args=(loop, thread), name="watchdog", daemon=True
            )
            self._thread.start()

    def wake(self) -> None:
        """Watch from now on: a call has arrived. Cheap when it watches already."""
        if not self._awake.is_set():
            self._awake.set()

    def stop(self) -> None:
        """End the watch."""
        self._ended.set()
        self._awake.set()
        self._sign.set()  # the loop, which stops us, cannot give it
        if self._thread is not None:
            self._thread.join(self._after * 2)

    def _watch(self, loop: asyncio.AbstractEventLoop, thread: int) -> None:
        last_call = time.monotonic()
        while not self._ended.is_set():
            if not self._awake.is_set():
                self._awake.wait()
                last_call = time.monotonic()
            if not self._alive(loop, thread):
                return
            now = time.monotonic()
            if self._busy():
                last_call = now
            elif now - last_call > IDLE:
                self._awake.clear()
                if self._busy():  # a call came between the look and the clearing
                    self._awake.set()
            pause = self._after / 2
            held = self._wait(self._ended, pause)
            # Code that lets no thread run holds us up as well; it has just let go.
            if held and held - pause >= self._after and asyncio.current_task(loop):
                self._stalled(loop, thread, held - pause)

    def _alive(self, loop: asyncio.AbstractEventLoop, thread: int) -> bool:
        """Wait for one sign of life, reporting a stall; return False when the loop is closed."""
        sign = self._sign = threading.Event()
        try:
            loop.call_soon_threadsafe(sign.set)
        except RuntimeError:
            return False
        stood, task = 0.0, asyncio.current_task(loop)
        while not self._ended.is_set():
            waited = self._wait(sign, self._after / SLICES)
            if waited is None:
                break
            before, task = task, asyncio.current_task(loop)
            # Another task runs: the loop goes on, if slowly, and none of them blocks it.
            stood = stood + waited if task is before or waited >= self._after else 0.0
            if stood >= self._after:
                self._stalled(loop, thread, stood)
                sign.wait()  # one line for one stall
                break
        return not self._ended.is_set()

    def _wait(self, event: threading.Event, seconds: float) -> float | None:
        """Wait for an event; return None when it came, else how long nothing happened meanwhile.

        A wait that took much longer than asked for, with no CPU time spent, was a freeze of the
        process. One with CPU time was code that did not let go of the interpreter. Where CPU time
        is scarce, that which the loop's thread got says for how long it ran at least.
        """
        began, cpu, loops = time.monotonic(), time.process_time(), self._loops_time()
        if event.wait(seconds):
            return None
        took = time.monotonic() - began
        if took <= seconds * 2 or time.process_time() - cpu >= took / 2:
            return took
        return max(seconds, self._loops_time() - loops)

    # Code that holds the interpreter lets go of it at its very end, to who waits for it: most often
    # to us, who then see its line.
    def _stalled(self, loop: asyncio.AbstractEventLoop, thread: int, seconds: float) -> None:
        self.stalls += 1
        self._report(*_blocking(loop, thread), seconds)


def _blocking(
    loop: asyncio.AbstractEventLoop, thread: int
) -> tuple[tracebacks.CodePlace | None, Context | None]:
    """Return the line that the loop's thread runs now, and the context of its call."""
    task = asyncio.current_task(loop)
    context = context_of(task) if task is not None else None
    return tracebacks.running_in(thread), context
