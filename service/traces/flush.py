"""When what was recorded is sent: in a thread, never on the loop, and waited for no longer than
`telemetry_flush`.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass

from ..protocol import SERVICE_LOGGER

_log = logging.getLogger(SERVICE_LOGGER)


@dataclass(eq=False, slots=True)
class FlushWaiter:
    """Who waits for a flush, by its number, and the timer that ends the wait."""

    number: int
    then: Callable[[], None]
    timer: asyncio.TimerHandle | None = None


class Flusher:
    """Sends what was recorded when it is asked to, one flush after the other, in a daemon thread.

    `dirty` says that something was recorded since the last flush began; `behind` that a flush was
    not done in time and still goes on. Nobody waits for the next ones then: a collector that is
    down or slow holds up an answer now and then, and not each.
    """

    def __init__(self, send: Callable[[bool], None], seconds: float) -> None:
        """`send` is told whether all is to be sent, metrics included; it takes its time."""
        self.dirty = False
        self.behind = False
        self.seconds = seconds
        self._send = send
        self._news = threading.Condition()
        self._begun = self._done = 0  # flushes
        self._all_of_it = False  # the next one sends metrics, too
        self._waiting: list[FlushWaiter] = []
        self._thread: threading.Thread | None = None

    def before(self, then: Callable[[], None]) -> None:
        """Call `then` once all that was recorded is sent, or `seconds` are over. Called from the
        loop.
        """
        if not self.dirty or not self.seconds:
            then()
            return
        number = self._begin()
        if self.behind:
            then()
        else:
            self._wait(number, then, self.seconds)

    async def flush(self, seconds: float) -> None:
        """Send everything, metrics included, and wait up to so many seconds until that is done; no
        longer than usual while an earlier flush is not done.
        """
        done = asyncio.Event()
        number = self._begin(all_of_it=True)
        self._wait(number, done.set, self.seconds if self.behind else seconds)
        await done.wait()

    def _begin(self, *, all_of_it: bool = False) -> int:
        """Have the thread send what there is; return the number of that flush."""
        self.dirty = False
        if self._thread is None:
            loop = asyncio.get_running_loop()
            work = Context().run  # in no call's context
            self._thread = threading.Thread(
                target=work, args=(self._work, loop), name="telemetry", daemon=True
            )
            self._thread.start()
        with self._news:
            self._begun += 1
            self._all_of_it = self._all_of_it or all_of_it
            self._news.notify()
            return self._begun

    def _wait(self, number: int, then: Callable[[], None], seconds: float) -> None:
        loop = asyncio.get_running_loop()
        waiting = FlushWaiter(number, then)
        waiting.timer = loop.call_later(seconds, self._give_up, waiting, context=Context())
        self._waiting.append(waiting)

    def _give_up(self, waiting: FlushWaiter) -> None:
        self._waiting.remove(waiting)
        self.behind = True
        waiting.then()

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        taken = 0
        while True:
            with self._news:
                self._news.wait_for(lambda: self._begun > taken)  # noqa: B023 - called at once
                taken, all_of_it, self._all_of_it = self._begun, self._all_of_it, False
            try:
                self._send(all_of_it)
            except Exception as failure:  # of an exporter that is not ours
                _log.warning("OpenTelemetry: sending failed: %s", type(failure).__name__)
            try:
                loop.call_soon_threadsafe(self._deliver, taken, context=Context())
            except RuntimeError:  # the loop is closed: nobody waits
                return

    def _deliver(self, number: int) -> None:
        """Take note that a flush is done, and with it those before."""
        self._done = number
        if self._done == self._begun:
            self.behind = False
        ready = [each for each in self._waiting if each.number <= number]
        self._waiting = [each for each in self._waiting if each.number > number]
        for each in ready:
            if each.timer is not None:
                each.timer.cancel()
            each.then()
