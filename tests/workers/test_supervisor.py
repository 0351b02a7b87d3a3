"""`parent`: what the parent of several workers makes of their ends, without any process."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from service.errors import StartError, UsageError
from service.process.serve import listen
from service.settings.table import Settings
from service.workers.supervisor import WATCHED, Parent, Worker
from service.workers.worker import News, give_back
from tests.assembly import logged


@pytest.fixture
def parent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Parent]:
    """A parent of two workers that serve; nothing is forked, and the time does not run."""
    settings = Settings(host="127.0.0.1", port=0)
    before = {number: signal.getsignal(number) for number in WATCHED}
    with logged() as (logs, _):
        made = Parent(
            2, settings, listen(settings), SimpleNamespace(WORKERS={}, pid=os.getpid()), logs
        )
        made._due.clear()
        made._workers = {11: Worker(0, since=0.0), 12: Worker(1, since=0.0)}
        made._announced = True
        monkeypatch.setattr(
            "service.workers.supervisor.time", SimpleNamespace(monotonic=lambda: 1000.0)
        )
        yield made
        made._signals.leave()
        give_back(made._sock, made._tell, made._boxes)
        made._news.close()
        os.close(made._alive)
        if made._stopping is None:
            os.close(made._alive_writer)
    assert {number: signal.getsignal(number) for number in WATCHED} == before


def test_a_place_is_given_up_after_six_bad_starts(parent: Parent) -> None:
    """The waits in between grow; one worker that lasted begins the count anew."""
    parent._workers.clear()
    waits = []
    for _ in range(5):
        parent._replace(Worker(0), "ended with code 1")
        waits.append(parent._due[0])
    assert waits == [1000.0, 1000.25, 1000.5, 1001.0, 1002.0]
    parent._replace(Worker(0, since=0.0), "ended with code 1")
    assert parent._stopping is None
    for _ in range(6):
        parent._replace(Worker(0), "was killed by SIGSEGV")
    assert parent._stopping is not None
    assert "6 times in a row" in str(parent._failure)
    assert "was killed by SIGSEGV" in str(parent._failure)


def test_a_process_that_cannot_be_made_is_a_bad_start(parent: Parent) -> None:
    """No memory for another process: it is tried again later."""

    def spawn_worker() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    parent._arbiter.spawn_worker = spawn_worker
    del parent._workers[12]
    parent._due[1] = 0.0
    parent._hire()
    assert 1 in parent._due
    assert not set(WATCHED) & signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.parametrize(("code", "kind"), [(2, UsageError), (3, StartError)])
def test_a_failure_that_a_worker_tells_is_raised_in_the_parent(
    parent: Parent, code: int, kind: type[StartError]
) -> None:
    """With its message and its exit code; news of a process that is not known are passed over."""
    seat = parent._seat(0)
    seat._tell(News(99, failure="of a stranger", exit_code=3))
    seat._tell(News(11, failure="no such thing", exit_code=code))
    parent._read_news()
    worker = parent._workers.pop(11)
    parent._workers.clear()
    parent._note_end(worker, code << 8)
    assert type(parent._failure) is kind
    assert str(parent._failure) == "no such thing"


def test_a_worker_that_is_killed_while_all_stop_is_told_in_the_exit_code(parent: Parent) -> None:
    """Calls were lost: that is not a clean stop."""
    parent._stop()
    parent._note_end(parent._workers.pop(11), 0)
    assert parent._code == 0
    parent._note_end(parent._workers.pop(12), signal.SIGKILL)
    assert parent._code == 1
    parent._stop(StartError("too late"))
    assert parent._failure is None


def test_what_does_not_end_is_killed_at_last(
    parent: Parent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the time is up twice: after a freeze it is up at once."""
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *call: killed.append(call))
    parent._kill_overdue()
    parent._stop()
    for _ in range(2):
        parent._kill_overdue()
        assert killed == []
        parent._stopping = 0.0
        parent._kill_overdue()
    assert killed == [(11, signal.SIGKILL), (12, signal.SIGKILL)]


def test_an_echo_of_the_first_signal_is_no_second_one(
    parent: Parent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second signal kills; within half a second it is the first one, sent twice."""
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *call: killed.append(call))
    parent._on_signal(signal.SIGCHLD)
    assert parent._stopping is None
    parent._on_signal(signal.SIGTERM)
    parent._on_signal(signal.SIGTERM)
    assert (killed, parent._code) == ([], 0)
    parent._first_signal = 0.0
    parent._on_signal(signal.SIGINT)
    assert (len(killed), parent._code) == (2, 130)
