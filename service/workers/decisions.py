"""What the supervisor decides: pure, so that each decision can be read and tried without a process.

Something happens (a worker reports, a process ends, a signal arrives, a time comes), and a method
says what is to be done about it, as a list of actions. `now` is a monotonic time in seconds.
"""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from ..errors import StartError, UsageError
from ..process.signals import SAME_SIGNAL
from ..protocol import INITED
from .messages import WorkerReport

STABLE = 1.0
"""Seconds after which a worker that serves counts as well started."""

TRIES = 6
"""A worker's place is given up, and the instance with it, when so many in a row were not stable."""

FIRST_DELAY = 0.25
"""Seconds before the third try; each further one waits twice as long. The second waits not at all.
"""

KILL_AGAIN = 5.0
"""Seconds that workers get when their time is up: after a freeze it is, and they have not run."""


@dataclass(frozen=True)
class Fork:
    """Make a process for a worker's place."""

    place: int


@dataclass(frozen=True)
class Send:
    """Send a process a signal. It has not been waited for: it is there."""

    pid: int
    number: signal.Signals


@dataclass(frozen=True)
class StopWorkers:
    """Take no connections any more, and let every worker that serves finish its calls and end."""


@dataclass(frozen=True)
class Say:
    """Write a line of the log."""

    level: Literal["info", "warning", "error"]
    text: str


@dataclass(frozen=True)
class Announce:
    """Write the lines that say that the instance serves."""

    lines: tuple[str, ...]


Action = Fork | Send | StopWorkers | Say | Announce


@dataclass
class WorkerPlace:
    """One of the places that are kept filled with a worker.

    `pid` is the process in it, `serves_since` when that began to serve, `failure` why it cannot,
    and `is_stopped` says that it was sent SIGTERM. `due` is when the next one is made, if there is
    none.
    """

    number: int
    due: float | None = 0.0
    pid: int | None = None
    serves_since: float | None = None
    failure: StartError | None = None
    is_stopped: bool = False
    has_served: bool = False
    bad_starts: int = 0

    @property
    def name(self) -> str:
        """How the log calls its worker."""
        return f"worker {self.number + 1}"


@dataclass
class Decisions:
    """The state of an instance of several workers, and what follows from what happens to it.

    `stop_seconds` is how long workers may take to end. `exit_code` is the instance's, and `failure`
    why it ends if it does so by itself; both count once it `is_over`.
    """

    workers: int
    stop_seconds: float
    exit_code: int = 0
    failure: StartError | None = None
    _places: list[WorkerPlace] = field(init=False)
    _is_announced: bool = False
    _first_signal: float | None = None
    _kill_at: float | None = None  # the instance stops, and what has not ended by then is killed
    _is_overdue: bool = False

    def __post_init__(self) -> None:
        self._places = [WorkerPlace(number) for number in range(self.workers)]

    @property
    def is_over(self) -> bool:
        """True once all workers have ended and none is to follow."""
        return self._kill_at is not None and not any(self._filled())

    @property
    def wakes_at(self) -> float | None:
        """When there is something to do though nothing happens: call `due` then."""
        if self._kill_at is not None:
            return self._kill_at
        return min((p.due for p in self._places if p.due is not None), default=None)

    def place_of(self, pid: int) -> int | None:
        """Return the place of a worker's process; None for a process that is no worker."""
        place = self._find(pid)
        return None if place is None else place.number

    # --- what happens

    def due(self, now: float) -> list[Action]:
        """Return what the time has come for: workers to be made, or to be killed."""
        if self._kill_at is not None:
            return self._kill_overdue(now) if now >= self._kill_at else []
        places = [p for p in self._places if p.due is not None and p.due <= now]
        return [Fork(place.number) for place in places]

    def forked(self, number: int, pid: int) -> None:
        """Note the process that was made for a place."""
        place = self._places[number]
        place.pid, place.due, place.serves_since, place.failure = pid, None, None, None

    def not_forked(self, number: int, why: str, now: float) -> list[Action]:
        """Return what follows when a process cannot be made: there is no memory, or there are as
        many as there may be.
        """
        return self._try_again(self._places[number], f"could not be made: {why}", now)

    def reported(self, report: WorkerReport, now: float) -> list[Action]:
        """Return what follows from what a worker says: that it serves, or why it cannot."""
        place = self._find(report.pid)
        if place is None:
            return []
        if report.failure is not None:
            is_usage = report.exit_code == UsageError.exit_code
            place.failure = (UsageError if is_usage else StartError)(report.failure)
            return []
        place.serves_since, place.has_served = now, True
        if self._is_announced:
            return [Say("info", f"{place.name} serves again")]
        if any(p.serves_since is None for p in self._places):
            return []
        self._is_announced = True
        return [Announce((INITED, *report.banner))]

    def ended(self, pid: int, status: int, now: float, *, was_busy: bool) -> list[Action]:
        """Return what follows from the end of a process; `status` is of `os.wait`, and `was_busy`
        says whether it had calls in flight.
        """
        place = self._find(pid)
        if place is None:  # process 1 of a container gets other processes' orphans
            return []
        place.pid = None
        how, lost = _how(status), ": its calls are lost" if was_busy else ""
        if self._kill_at is not None:
            return self._ended_in_stop(place, status, how + lost)
        if place.has_served:
            return self._try_again(place, how, now, lost)
        if place.failure is not None:
            return self._stop(now, place.failure)
        why = f"a worker {how} before it served: see the log above"
        return self._stop(now, StartError(why))

    def signalled(self, number: signal.Signals, now: float) -> list[Action]:
        """Return what follows from SIGTERM or SIGINT: the first one stops, the second one kills."""
        if self._first_signal is None:
            self._first_signal = now
            text = f"{number.name}: stopping, no new connections, calls in flight are finished"
            return [Say("info", text), *self._stop(now)]
        if now - self._first_signal < SAME_SIGNAL:
            return []
        self.exit_code = 128 + number
        text = f"{number.name} again: ended with calls in flight"
        return [Say("warning", text), *_sent(signal.SIGKILL, self._filled())]

    # --- what follows

    def _try_again(self, place: WorkerPlace, how: str, now: float, lost: str = "") -> list[Action]:
        since, failure = place.serves_since, place.failure
        is_stable = since is not None and now - since >= STABLE
        place.serves_since = place.failure = None
        place.bad_starts = 0 if is_stable else place.bad_starts + 1
        if failure is not None:
            how = f"cannot start: {failure}"
        if place.bad_starts >= TRIES:
            why = (
                f"a worker ended {TRIES} times in a row right after its start (it {how}): see the"
                " log above"
            )
            return self._stop(now, failure or StartError(why))
        waits = place.bad_starts - 2
        place.due = now + (FIRST_DELAY * 2**waits if waits >= 0 else 0.0)
        return [Say("error", f"{place.name} {how}{lost}; another one takes its place")]

    def _stop(self, now: float, failure: StartError | None = None) -> list[Action]:
        if self._kill_at is not None:
            return []
        self.failure = failure
        self._kill_at = now + self.stop_seconds
        for place in self._places:
            place.due = None
        # One that starts hears of the end only when it serves.
        starting = [place for place in self._filled() if place.serves_since is None]
        for place in starting:
            place.is_stopped = True
        return [StopWorkers(), *_sent(signal.SIGTERM, starting)]

    def _ended_in_stop(self, place: WorkerPlace, status: int, what: str) -> list[Action]:
        if status == 0 or place.serves_since is None or self.exit_code or self.failure:
            return []
        if place.is_stopped and status == signal.SIGTERM:
            return []  # it serves since, heard of the end, and had left its handlers: that is clean
        self.exit_code = 1
        return [Say("warning", f"{place.name} {what}")]

    def _kill_overdue(self, now: float) -> list[Action]:
        if not self._is_overdue:
            self._is_overdue = True
            self._kill_at = now + KILL_AGAIN
            return []
        self._kill_at = math.inf
        left = len(list(self._filled()))
        text = f"{left} workers did not end in {self.stop_seconds:g} s: they are killed"
        return [Say("warning", text), *_sent(signal.SIGKILL, self._filled())]

    def _filled(self) -> Iterator[WorkerPlace]:
        return (place for place in self._places if place.pid is not None)

    def _find(self, pid: int) -> WorkerPlace | None:
        return next((place for place in self._filled() if place.pid == pid), None)


def _sent(number: signal.Signals, places: Iterable[WorkerPlace]) -> list[Action]:
    return [Send(place.pid, number) for place in places if place.pid is not None]


def _how(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:  # one of the real-time signals
        return f"was killed by signal {-code}"
