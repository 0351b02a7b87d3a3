"""The parent of several workers: it starts, replaces and stops them, and runs none of their code.

gunicorn's arbiter makes the processes. What it does with them is done here instead: its own loop
wakes up every second, takes a handler's `os._exit(3)` for a worker that cannot start, waits in
wall-clock time, which runs on while the instance is frozen, and has no second signal.

A worker is never killed for being silent: that is what a frozen instance looks like. One that hangs
takes no connections (the others do), and `/health` is 503 until it answers: what to do then is the
platform's decision.
"""

from __future__ import annotations

import logging
import math
import os
import select
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

import msgspec

from ..calls.lifecycle import ANSWERED
from ..errors import StartError, UsageError
from ..instance.duties import SLACK
from ..logs.log import Logs
from ..process.serve import LAST_BYTES
from ..process.signals import SAME_SIGNAL, SIGNALS, STOPS
from ..protocol import INITED, SERVICE_LOGGER
from ..settings.table import Settings
from .fair_listener import Tally
from .forking import Forked, Recruit
from .peers import LARGEST, mailboxes
from .worker import News, Seat, give_back

STABLE = 1.0
"""Seconds after which a worker that serves counts as well started."""

TRIES = 6
"""A worker's place is given up, and the instance with it, when so many in a row were not stable."""

FIRST_DELAY = 0.25
"""Seconds before the third try; each further one waits twice as long. The second waits not at all.
"""

WATCHED = (*STOPS, signal.SIGCHLD)

_log = logging.getLogger(SERVICE_LOGGER)


class Signals:
    """The parent's signals, as bytes to wait for: nothing is done inside of a handler."""

    def __init__(self) -> None:
        self.reader, self._writer = os.pipe()
        for end in (self.reader, self._writer):
            os.set_blocking(end, False)
        self._before = {number: signal.signal(number, _noted) for number in WATCHED}
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        SIGNALS.check()

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


@dataclass
class Worker:
    """A process that the parent started; `since` is when it began to serve."""

    place: int
    since: float | None = None
    failure: StartError | None = None


class Parent:
    """Keeps `number` workers serving on `sock`. It runs no user code, no loop and no thread."""

    def __init__(
        self, number: int, settings: Settings, sock: socket.socket, arbiter: Any, logs: Logs
    ) -> None:
        self._number = number
        self._sock = sock
        self._arbiter = arbiter
        self._logs = logs
        self._boxes = mailboxes(number)
        self._tally = Tally(number)
        self._alive, self._alive_writer = os.pipe()
        self._news, self._tell = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._news.setblocking(False)
        self._signals = Signals()
        self._workers: dict[int, Worker] = {}
        self._due = dict.fromkeys(range(number), 0.0)  # places without a worker, and since when
        self._unstable = dict.fromkeys(range(number), 0)
        self._announced = False
        self._first_signal: float | None = None
        self._stopping: float | None = None  # when what has not ended by then is killed
        self._overdue = False
        self._stop_time = 2 * settings.drain_timeout + ANSWERED + LAST_BYTES + SLACK
        self._failure: StartError | None = None
        self._code = 0

    def run(self) -> int:
        """Keep the workers until a signal; return the exit code. Raises StartError when they do not
        start, or end again and again; in a new worker, raises Forked.
        """
        try:
            while self._stopping is None or self._workers:
                self._hire()
                self._wait()
                for number in self._signals.arrived():
                    self._on_signal(number)
                self._read_news()
                self._reap()
                self._kill_overdue()
        finally:
            if os.getpid() == self._arbiter.pid:
                self._signals.leave()
                give_back(self._sock, self._tell, self._boxes)
                self._news.close()
        if self._failure is not None:
            raise self._failure
        return self._code

    def _wait(self) -> None:
        """Wait for a signal, for news, or for the next thing that is due."""
        times = [*self._due.values()] if self._stopping is None else [self._stopping]
        left = max(0.0, min(times) - time.monotonic()) if times else None
        events = select.poll()
        events.register(self._signals.reader, select.POLLIN)
        events.register(self._news, select.POLLIN)
        events.poll(None if left is None else math.ceil(left * 1000))

    # --- hiring

    def _hire(self) -> None:
        if self._stopping is not None:
            return
        now = time.monotonic()
        for place in [place for place, due in self._due.items() if due <= now]:
            del self._due[place]
            self._fork(place)

    def _fork(self, place: int) -> None:
        def begin() -> NoReturn:
            self._signals.leave()
            os.close(self._alive_writer)  # while a worker has it, no other one sees the parent end
            self._news.close()
            raise Forked(self._seat(place))

        self._arbiter.worker_class = lambda *_: Recruit(begin)
        # A signal for the new process must not reach the parent's pipe, which it has as well.
        signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
        try:
            pid = self._arbiter.spawn_worker()
            self._workers[pid] = Worker(place)
        except OSError as reason:  # no memory, or as many processes as there may be
            self._replace(Worker(place), f"could not be started: {reason.strerror}")
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, WATCHED)

    def _seat(self, place: int) -> Seat:
        return Seat(
            place=place,
            number=self._number,
            sock=self._sock,
            boxes=self._boxes,
            tally=self._tally,
            alive=self._alive,
            news=self._tell,
        )

    # --- what workers tell

    def _read_news(self) -> None:
        with suppress(BlockingIOError):
            while True:
                news = msgspec.json.decode(self._news.recv(LARGEST), type=News)
                worker = self._workers.get(news.pid)
                if worker is None:
                    continue
                if news.failure is not None:
                    kind = UsageError if news.exit_code == UsageError.exit_code else StartError
                    worker.failure = kind(news.failure)
                else:
                    worker.since = time.monotonic()
                    self._announce(news, worker)

    def _announce(self, news: News, worker: Worker) -> None:
        if self._announced:
            _log.info("worker %d serves again", worker.place + 1)
        elif all(each.since is not None for each in self._workers.values()) and not self._due:
            self._announced = True
            for line in (INITED, *news.banner):
                self._logs.marker(line)

    # --- their end

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = ended
                self._arbiter.WORKERS.pop(pid, None)
                worker = self._workers.pop(pid, None)
                if worker is not None:  # process 1 of a container gets other processes' orphans
                    self._note_end(worker, status)

    def _note_end(self, worker: Worker, status: int) -> None:
        how = _how(status)
        if self._stopping is not None:
            if status and self._code == 0 and self._failure is None:
                self._code = 1
                _log.warning("worker %d %s: its calls are lost", worker.place + 1, how)
        elif worker.failure is not None:
            self._stop(worker.failure)
        elif not self._announced:
            self._stop(StartError(f"a worker {how} before it served: see the log above"))
        else:
            self._replace(worker, how)

    def _replace(self, worker: Worker, how: str) -> None:
        place, now = worker.place, time.monotonic()
        stable = worker.since is not None and now - worker.since >= STABLE
        tries = self._unstable[place] = 0 if stable else self._unstable[place] + 1
        if tries >= TRIES:
            self._stop(
                StartError(
                    f"a worker ended {tries} times in a row right after its start (it {how}):"
                    " see the log above"
                )
            )
            return
        delay = FIRST_DELAY * 2 ** (tries - 2) if tries > 1 else 0.0
        self._due[place] = now + delay
        _log.error("worker %d %s: its calls are lost, another one takes its place", place + 1, how)

    # --- the end

    def _on_signal(self, number: signal.Signals) -> None:
        if number == signal.SIGCHLD:
            return
        if self._first_signal is None:
            self._first_signal = time.monotonic()
            _log.info("%s: stopping, no new connections, calls in flight are finished", number.name)
            self._stop()
        elif time.monotonic() - self._first_signal >= SAME_SIGNAL:
            _log.warning("%s again: ended with calls in flight", number.name)
            self._code = 128 + number
            self._signal_all(signal.SIGKILL)

    def _stop(self, failure: StartError | None = None) -> None:
        """Tell every worker to drain, by closing the pipe that says that the parent lives: the
        signal may have reached them as well, and a second one would end them at once.
        """
        if self._stopping is not None:
            return
        self._failure = failure
        self._stopping = time.monotonic() + self._stop_time
        os.write(self._alive_writer, b"." * self._number)  # one each: this end is meant
        os.close(self._alive_writer)
        self._sock.close()
        for pid, worker in self._workers.items():
            if worker.since is None:  # it reads the pipe later, when it serves
                os.kill(pid, signal.SIGTERM)

    def _kill_overdue(self) -> None:
        if self._stopping is None or time.monotonic() < self._stopping:
            return
        if not self._overdue:  # after a freeze it is, and the workers have not run either
            self._overdue = True
            self._stopping = time.monotonic() + LAST_BYTES
            return
        _log.warning("%d workers did not end in %g s", len(self._workers), self._stop_time)
        self._stopping = math.inf
        self._signal_all(signal.SIGKILL)

    def _signal_all(self, number: signal.Signals) -> None:
        for pid in self._workers:
            os.kill(pid, number)  # not reaped yet: it is there


def _how(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
