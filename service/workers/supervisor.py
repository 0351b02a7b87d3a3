"""The supervisor of several workers: it starts, replaces and stops them, and runs none of their
code.

It is the process that was started. It makes everything that the workers share before the first of
them: the listening socket, an inbox for each, counts in shared memory, and a pipe whose other end
it alone has, so that every worker sees its end. It has no event loop and no thread, and imports
nothing of the function's: a fork copies nothing that is under way. A new worker leaves `run` and
goes on as a server of its own (`start.py`).

It waits for four things at once: signals, which arrive as bytes in a pipe and do nothing in a
handler; reports of workers; ends of processes; and the next time that something is due. What
follows is decided in `decisions.py`, and done here. Times are monotonic: wall-clock time runs on
while the instance is frozen.

A worker is never killed for being silent: that is what a frozen instance looks like. One that hangs
takes no connections (the others do), and `/health` is 503 until it answers: what to do then is the
platform's decision.

A stop is told by the pipe, with a byte for each worker, and not by SIGTERM: that may have reached
them as well, as one of a group, and a second one would end them at once. A worker that still starts
reads no pipe: it gets SIGTERM. Signals arrive while the supervisor waits and at no other time: a
new worker is made with them blocked, until it has handlers of its own.
"""

from __future__ import annotations

import logging
import math
import os
import select
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import assert_never

from ..calls.lifecycle import ANSWERED
from ..counting.pages import new_pages
from ..instance.duties import SLACK
from ..logs.log import Logs
from ..process.serve import LAST_BYTES
from ..process.signals import SIGNALS, STOPS
from ..protocol import SERVICE_LOGGER
from ..settings.table import Settings
from .decisions import Action, Announce, Decisions, Fork, Say, Send, StopWorkers
from .fair_listener import SharedCounts
from .messages import WorkerReport, new_inbox, received
from .worker import WorkerShare

WATCHED = (*STOPS, signal.SIGCHLD)

_log = logging.getLogger(SERVICE_LOGGER)


@contextmanager
def blocked() -> Iterator[None]:
    """Within this, the signals wait."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def unblocked() -> Iterator[None]:
    """Within this, the signals arrive."""
    before = signal.pthread_sigmask(signal.SIG_UNBLOCK, WATCHED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class SignalPipe:
    """This process's signals, as bytes to wait for. Made and left with the signals blocked."""

    def __init__(self) -> None:
        self.reader, self._writer = os.pipe()
        for end in (self.reader, self._writer):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        watched = (*SIGNALS.heeded, signal.SIGCHLD)  # no SIGHUP if it was ignored
        self._before = {number: signal.signal(number, _noted) for number in watched}

    def arrived(self) -> list[signal.Signals]:
        """Return the signals since the last time."""
        with suppress(BlockingIOError):
            return [signal.Signals(number) for number in os.read(self.reader, 4096)]
        return []

    def leave(self) -> None:
        """Let signals do again what they did before."""
        signal.set_wakeup_fd(-1)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self.reader)
        os.close(self._writer)


def _noted(_number: int, _frame: object) -> None:
    """Do nothing: Python has written the signal's number to the pipe."""


class Supervisor:
    """Keeps `number` workers serving on `sock`."""

    def __init__(self, number: int, settings: Settings, sock: socket.socket, logs: Logs) -> None:
        stop_seconds = 2 * settings.drain_timeout + ANSWERED + LAST_BYTES + SLACK
        self._decisions = Decisions(number, stop_seconds)
        self._number = number
        self._sock = sock
        self._logs = logs
        self._inboxes = [new_inbox() for _ in range(number)]
        self._reports = new_inbox()
        self._counts = SharedCounts(number)
        self._pages = new_pages(number) if settings.metrics else None
        self._alive, self._alive_writer = os.pipe()

    def run(self) -> int | WorkerShare:
        """Keep the workers until a signal; return the exit code. In a new worker, return its share.
        Signals are blocked before and after.

        Raises StartError when workers do not start, or end again and again, and Stopped if a stop
        was asked for before.
        """
        signals = SignalPipe()
        try:
            SIGNALS.check()
            while not self._decisions.is_over:
                for action in self._decisions.due(time.monotonic()):
                    if isinstance(action, Fork):
                        if share := self._fork(action.place):
                            return share
                    else:
                        self._do(action)
                self._wait(signals)
                for action in self._happened(signals):
                    self._do(action)
        finally:
            signals.leave()
        self._close()
        # A signal that comes when all have ended changes nothing.
        while pending := signal.sigpending() & set(WATCHED):
            signal.sigwait(pending)
        if self._decisions.failure is not None:
            raise self._decisions.failure
        return self._decisions.exit_code

    def _wait(self, signals: SignalPipe) -> None:
        """Wait for a signal, for a report, or for the next thing that is due."""
        wakes_at = self._decisions.wakes_at
        left = None if wakes_at in (None, math.inf) else max(0.0, wakes_at - time.monotonic())
        events = select.poll()
        events.register(signals.reader, select.POLLIN)
        events.register(self._reports.reading, select.POLLIN)
        with unblocked():
            events.poll(None if left is None else math.ceil(left * 1000))

    def _happened(self, signals: SignalPipe) -> Iterator[Action]:
        """Yield what is to be done about all that has happened."""
        decisions, now = self._decisions, time.monotonic()
        for number in signals.arrived():
            if number in STOPS:
                yield from decisions.signalled(number, now)
        for report in received(self._reports, WorkerReport):
            yield from decisions.reported(report, now)
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                yield from self._ended(*ended, now)

    def _ended(self, pid: int, status: int, now: float) -> list[Action]:
        place = self._decisions.place_of(pid)
        was_busy = place is not None and self._counts.is_busy(place)
        if place is not None:
            self._counts.forget(place)
        return self._decisions.ended(pid, status, now, was_busy=was_busy)

    # --- what is done

    def _do(self, action: Action) -> None:
        match action:
            case Say(level, text):
                getattr(_log, level)("%s", text)
            case Announce((inited, *banner)):
                self._logs.marker(inited)
                self._logs.banner(banner)
            case Announce():
                raise AssertionError("there is a line that marks the start")
            case Send(pid, number):
                os.kill(pid, number)
            case StopWorkers():
                os.write(self._alive_writer, b"." * self._number)  # one each: this end is meant
                os.close(self._alive_writer)
                self._alive_writer = -1
                self._sock.close()
            case Fork():
                raise AssertionError("a worker is made when it is due")
            case _:
                assert_never(action)

    def _fork(self, place: int) -> WorkerShare | None:
        """Make a worker; return its share in the new process."""
        try:
            pid = os.fork()
        except OSError as reason:
            why = reason.strerror or str(reason)
            for action in self._decisions.not_forked(place, why, time.monotonic()):
                self._do(action)
            return None
        if pid:
            self._decisions.forked(place, pid)
            return None
        os.close(self._alive_writer)  # while a worker has it, no other one sees our end
        self._reports.reading.close()
        return WorkerShare(
            place=place,
            number=self._number,
            sock=self._sock,
            inboxes=self._inboxes,
            counts=self._counts,
            alive=self._alive,
            reports=self._reports.writing,
            pages=self._pages,
        )

    def _close(self) -> None:
        """Give back what the workers shared."""
        self._sock.close()
        for inbox in (*self._inboxes, self._reports):
            inbox.close()
        os.close(self._alive)
