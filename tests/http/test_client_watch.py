"""The time limits of a slow client, on a clock of their own."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from service.errors import RequestTimeout
from service.http.backend import Limits
from service.http.client_watch import ClientWatch
from service.http.flow import Flow
from tests.http.transport import Transport
from tests.virtual_clock import VirtualLoop

HEADER, BODY = 20, 60
"""Seconds for a head, and for which a body or an answer may stand still."""


class Watched:
    """A watch, and what it found too late at which second."""

    def __init__(self, clock: VirtualLoop, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = clock
        self.flow = Flow()
        self.late: list[tuple[str, int]] = []
        self.watch = ClientWatch(clock, Limits(HEADER, BODY, 1), self.flow, self._note)
        time = SimpleNamespace(monotonic=clock.time)
        monkeypatch.setattr("service.http.client_watch.time", time)

    def _note(self, error: RequestTimeout) -> None:
        self.late.append((str(error), int(self.clock.time())))

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.run_until_complete(asyncio.sleep(seconds))


@pytest.fixture
def watched(clock: VirtualLoop, monkeypatch: pytest.MonkeyPatch) -> Watched:
    """A watch that begins at second 0."""
    return Watched(clock, monkeypatch)


def test_a_head_has_its_time_however_it_drips(watched: Watched) -> None:
    """Bytes that come before its end give it no more."""
    for _ in range(HEADER - 1):
        watched.watch.see(head=True, body=False)
        watched.wait(1)
    assert watched.watch.is_on
    assert not watched.late
    watched.wait(BODY)
    assert watched.late == [("the head was not complete within 20 seconds", HEADER)]


def test_a_body_has_its_time_after_each_part(watched: Watched) -> None:
    """It may take as long as it likes if it goes on, and stands still for its limit only."""
    for _ in range(10):
        watched.watch.see(head=False, body=True)
        watched.wait(BODY - 1)
    watched.watch.see(head=False, body=True)
    assert not watched.late
    watched.wait(10 * BODY)
    ((text, at),) = watched.late
    assert text == "the body stood still for 60 seconds"
    assert at == 10 * (BODY - 1) + BODY


@pytest.mark.parametrize("reason", ["body_full", "queue_full"])
def test_time_in_which_nothing_is_read_does_not_count(watched: Watched, reason: str) -> None:
    """If it is the service that does not read, the body's time begins when it does again."""
    watched.watch.see(head=False, body=True)
    setattr(watched.flow, reason, True)
    watched.wait(100 * BODY)
    assert not watched.late
    setattr(watched.flow, reason, False)
    watched.wait(3 * BODY)
    assert len(watched.late) == 1


def test_what_has_arrived_whole_is_not_watched(watched: Watched) -> None:
    """Neither a head nor a body that has ended is too late, and an idle connection never is."""
    watched.watch.see(head=True, body=False)
    watched.watch.see(head=False, body=True)
    watched.wait(HEADER + 1)
    watched.watch.see(head=False, body=False)
    assert not watched.watch.is_on
    watched.wait(100 * BODY)
    assert not watched.late


def test_a_client_that_takes_something_is_waited_for(watched: Watched) -> None:
    """Its connection is reset when it has taken nothing for as long as a body may stand still."""
    transport = Transport()
    transport.waiting = 10
    watched.watch.must_take(transport)
    while transport.waiting:
        watched.wait(BODY - 1)
        transport.waiting -= 1
    assert not transport.aborted
    watched.wait(3 * BODY)
    assert transport.aborted


def test_a_client_that_has_taken_its_answer_is_left_alone(watched: Watched) -> None:
    """So is one whose connection is lost, whatever it had begun."""
    transport = Transport()
    watched.watch.must_take(transport)
    watched.watch.has_taken()
    watched.wait(3 * BODY)
    watched.watch.must_take(transport)
    watched.watch.see(head=True, body=True)
    watched.watch.stop()
    watched.wait(3 * BODY)
    assert not transport.aborted
    assert not watched.late
