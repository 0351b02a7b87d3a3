"""What is decided about workers that start, serve, end and are to stop: without any process."""

from __future__ import annotations

import signal

import pytest

from service.errors import StartError, UsageError
from service.protocol import INITED
from service.workers.decisions import (
    FIRST_DELAY,
    KILL_AGAIN,
    STABLE,
    TRIES,
    Action,
    Announce,
    Decisions,
    Fork,
    Say,
    Send,
    StopWorkers,
)
from service.workers.messages import WorkerReport

EXIT_1 = 1 << 8
"""The status of a process that ended with code 1."""


def started(*serving: int) -> Decisions:
    """Two workers, with the processes 11 and 12, of which some serve since the time 0."""
    decisions = Decisions(2, stop_seconds=10.0)
    assert decisions.due(0.0) == [Fork(0), Fork(1)]
    decisions.forked(0, 11)
    decisions.forked(1, 12)
    for pid in serving:
        decisions.reported(WorkerReport(pid, ["banner"]), 0.0)
    return decisions


def said(actions: list[Action]) -> list[str]:
    """The log's lines among the actions."""
    return [action.text for action in actions if isinstance(action, Say)]


def test_the_start_is_announced_once_when_all_serve() -> None:
    """The first worker that serves is not announced; the last one's banner is shown."""
    decisions = started()
    assert decisions.reported(WorkerReport(11, ["one"]), 1.0) == []
    assert decisions.reported(WorkerReport(12, ["two"]), 2.0) == [Announce((INITED, "two"))]
    assert decisions.wakes_at is None


def test_a_report_of_a_process_that_is_not_known_is_passed_over() -> None:
    """It ended before its report was read."""
    decisions = started(11)
    assert decisions.reported(WorkerReport(99), 1.0) == []
    assert decisions.ended(99, 0, 1.0, was_busy=False) == []
    assert decisions.place_of(99) is None
    assert decisions.place_of(12) == 1


@pytest.mark.parametrize(
    ("was_busy", "text"),
    [
        (True, "worker 1 was killed by SIGKILL: its calls are lost; another one takes its place"),
        (False, "worker 1 was killed by SIGKILL; another one takes its place"),
    ],
)
def test_a_worker_that_served_is_replaced_at_once(was_busy: bool, text: str) -> None:
    """The log says that calls are lost if there were any."""
    decisions = started(11, 12)
    actions = decisions.ended(11, signal.SIGKILL, 50.0, was_busy=was_busy)
    assert actions == [Say("error", text)]
    assert decisions.wakes_at == 50.0
    assert decisions.due(50.0) == [Fork(0)]
    decisions.forked(0, 13)
    assert decisions.due(50.0) == []
    assert said(decisions.reported(WorkerReport(13), 51.0)) == ["worker 1 serves again"]


def test_a_worker_that_dies_while_a_slower_one_starts_is_replaced() -> None:
    """The instance goes on, and is announced when both serve."""
    decisions = started(11)
    assert len(said(decisions.ended(11, EXIT_1, 1.5, was_busy=False))) == 1
    assert decisions.due(1.5) == [Fork(0)]
    decisions.forked(0, 13)
    assert decisions.reported(WorkerReport(12), 2.0) == []
    assert decisions.reported(WorkerReport(13), 3.0) == [Announce((INITED,))]
    assert decisions.failure is None


def test_a_worker_that_never_served_stops_the_instance() -> None:
    """Nothing is tried again at the start; the other one is asked to end."""
    decisions = started(12)
    assert decisions.ended(11, 7 << 8, 1.0, was_busy=False) == [StopWorkers()]
    assert str(decisions.failure) == (
        "a worker ended with code 7 before it served: see the log above"
    )
    assert not decisions.is_over
    assert decisions.ended(12, 0, 2.0, was_busy=False) == []
    assert decisions.is_over


@pytest.mark.parametrize(("code", "kind"), [(2, UsageError), (3, StartError)])
def test_a_failure_that_a_worker_tells_is_the_instances(code: int, kind: type[StartError]) -> None:
    """With its message and its exit code."""
    decisions = started()
    assert decisions.reported(WorkerReport(11, failure="no module", exit_code=code), 1.0) == []
    actions = decisions.ended(11, code << 8, 1.0, was_busy=False)
    assert actions == [StopWorkers(), Send(12, signal.SIGTERM)]
    assert type(decisions.failure) is kind
    assert str(decisions.failure) == "no module"


def test_a_place_is_given_up_after_six_bad_starts() -> None:
    """The waits in between grow; one worker that lasted begins the count anew."""
    decisions, pid, waits = started(11, 12), 11, []
    decisions.ended(pid, EXIT_1, STABLE, was_busy=False)  # it had lasted
    for _ in range(TRIES - 1):
        pid += 10
        decisions.forked(0, pid)
        decisions.ended(pid, EXIT_1, 100.0, was_busy=False)
        waits.append(decisions.wakes_at)
    delays = [0.0, *(FIRST_DELAY * 2**n for n in range(TRIES - 2))]
    assert waits == [100.0 + delay for delay in delays]
    decisions.forked(0, 99)
    assert decisions.ended(99, signal.SIGSEGV, 200.0, was_busy=False) == [StopWorkers()]
    assert "6 times in a row right after its start (it was killed by SIGSEGV)" in str(
        decisions.failure
    )


def test_a_successor_that_cannot_start_is_tried_again() -> None:
    """What went wrong may pass; the other worker serves meanwhile. In the end its reason counts."""
    decisions = started(11, 12)
    decisions.ended(11, EXIT_1, 0.5, was_busy=False)
    for pid in range(20, 20 + TRIES - 1):
        decisions.forked(0, pid)
        decisions.reported(WorkerReport(pid, failure="no memory", exit_code=3), 1.0)
        actions = decisions.ended(pid, 3 << 8, 1.0, was_busy=False)
    assert decisions.is_over is False
    assert str(decisions.failure) == "no memory"
    assert actions == [StopWorkers()]


def test_a_process_that_cannot_be_made_is_a_bad_start() -> None:
    """There are as many processes as there may be: it is tried again later."""
    decisions = started(11, 12)
    decisions.ended(12, EXIT_1, 10.0, was_busy=False)
    (text,) = said(decisions.not_forked(1, "Resource temporarily unavailable", 10.0))
    assert text.startswith("worker 2 could not be made: Resource temporarily unavailable")
    assert decisions.due(10.0) == [Fork(1)]
    decisions.not_forked(1, "Resource temporarily unavailable", 10.0)
    assert decisions.due(10.0) == []
    assert decisions.wakes_at == 10.0 + FIRST_DELAY


def test_the_first_signal_stops_and_its_echo_is_no_second_one() -> None:
    """Workers that serve are told to end; one that still starts gets SIGTERM."""
    decisions = started(11)
    actions = decisions.signalled(signal.SIGTERM, 5.0)
    assert actions[1:] == [StopWorkers(), Send(12, signal.SIGTERM)]
    assert decisions.signalled(signal.SIGTERM, 5.4) == []
    assert decisions.due(5.4) == []
    assert decisions.wakes_at == 15.0


def test_the_second_signal_kills_and_is_the_exit_code() -> None:
    """128 and the signal's number, however the workers end."""
    decisions = started(11, 12)
    decisions.signalled(signal.SIGTERM, 5.0)
    actions = decisions.signalled(signal.SIGINT, 6.0)
    assert actions[1:] == [Send(11, signal.SIGKILL), Send(12, signal.SIGKILL)]
    for pid in (11, 12):
        assert decisions.ended(pid, signal.SIGKILL, 6.0, was_busy=True) == []
    assert decisions.is_over
    assert decisions.exit_code == 130


def test_a_worker_that_is_killed_while_all_stop_is_told_in_the_exit_code() -> None:
    """That is not a clean stop; one that ends by itself is."""
    decisions = started(11, 12)
    decisions.signalled(signal.SIGTERM, 5.0)
    assert decisions.ended(11, 0, 6.0, was_busy=False) == []
    assert decisions.exit_code == 0
    actions = decisions.ended(12, signal.SIGKILL, 6.0, was_busy=True)
    assert actions == [Say("warning", "worker 2 was killed by SIGKILL: its calls are lost")]
    assert decisions.exit_code == 1


def test_a_worker_that_is_stopped_while_it_starts_is_no_failure() -> None:
    """It had no calls, whatever SIGTERM ended it by."""
    decisions = started(11)
    decisions.signalled(signal.SIGTERM, 5.0)
    assert decisions.ended(12, signal.SIGTERM, 5.0, was_busy=False) == []
    assert decisions.exit_code == 0


def test_a_worker_that_sigterm_reaches_as_it_leaves_is_no_failure() -> None:
    """It told too late that it serves, heard of the end by the pipe, and was sent SIGTERM as well:
    that reached it when its handlers were gone. One that was sent none was killed by others.
    """
    for place, lines in ((12, []), (11, ["worker 1 was killed by SIGTERM"])):
        decisions = started(11)
        decisions.signalled(signal.SIGTERM, 5.0)
        decisions.reported(WorkerReport(12), 5.0)
        assert said(decisions.ended(place, signal.SIGTERM, 5.0, was_busy=False)) == lines
        assert decisions.exit_code == len(lines)


def test_what_does_not_end_is_killed_once_its_time_is_up_twice() -> None:
    """After a freeze it is up at once, and the workers have not run either."""
    decisions = started(11, 12)
    decisions.signalled(signal.SIGTERM, 5.0)
    assert decisions.due(14.9) == []
    assert decisions.due(1000.0) == []
    assert decisions.wakes_at == 1000.0 + KILL_AGAIN
    actions = decisions.due(1000.0 + KILL_AGAIN)
    assert said(actions) == ["2 workers did not end in 10 s: they are killed"]
    assert actions[1:] == [Send(11, signal.SIGKILL), Send(12, signal.SIGKILL)]
    assert decisions.due(2000.0) == []


def test_a_death_by_a_real_time_signal_has_a_number() -> None:
    """Not every signal has a name."""
    decisions = started(11, 12)
    (text,) = said(decisions.ended(11, 40, 1.0, was_busy=False))
    assert text.startswith("worker 1 was killed by signal 40")
