"""Timers that a freeze does not make overdue."""

from __future__ import annotations

import asyncio

import pytest

from service.http.timeouts import SECOND_LOOK, Timeout
from tests.virtual_clock import VirtualLoop


def test_it_ends_after_its_seconds_and_a_second_look(clock: VirtualLoop) -> None:
    """What it was set for is called once, with its arguments, and it runs until then."""
    timeout, ended = Timeout(clock), list[tuple[str, float]]()
    timeout.set(3600, lambda what: ended.append((what, clock.time())), "head")
    assert timeout.timer
    clock.run_until_complete(asyncio.sleep(3600))
    assert timeout.timer
    assert not ended
    clock.run_until_complete(asyncio.sleep(10))
    ((what, at),) = ended
    assert what == "head"
    assert at == pytest.approx(3600 + SECOND_LOOK)
    assert timeout.timer is None


def test_the_last_setting_counts(clock: VirtualLoop) -> None:
    """Setting it again takes the first time back; stopping it takes back the last."""
    timeout, ended = Timeout(clock), list[str]()
    timeout.set(1, ended.append, "first")
    timeout.set(2, ended.append, "second")
    clock.run_until_complete(asyncio.sleep(60))
    assert ended == ["second"]
    timeout.set(1, ended.append, "third")
    timeout.stop()
    timeout.stop()
    clock.run_until_complete(asyncio.sleep(60))
    assert ended == ["second"]


def test_what_was_read_in_the_second_look_counts(clock: VirtualLoop) -> None:
    """A timer that is overdue when the process thaws ends nothing that has arrived meanwhile."""
    timeout, ended = Timeout(clock), list[str]()
    timeout.set(1, ended.append, "overdue")
    clock.call_later(1 + SECOND_LOOK / 2, timeout.stop)  # the read that a freeze held up
    clock.run_until_complete(asyncio.sleep(60))
    assert not ended


def test_it_can_be_set_again_when_it_ends(clock: VirtualLoop) -> None:
    """What is called at the end may give more time."""
    timeout, ended = Timeout(clock), list[float]()

    def end() -> None:
        ended.append(clock.time())
        if len(ended) < 3:
            timeout.set(10, end)

    timeout.set(10, end)
    clock.run_until_complete(asyncio.sleep(100))
    assert ended == [pytest.approx((10 + SECOND_LOOK) * number) for number in (1, 2, 3)]
    assert timeout.timer is None
