"""Timers, by a clock that a test puts on and back."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.emulator.queue.timers import NAP, Timers, WallClock, event
from service.emulator.spec.model import DeployedFunction, Timer
from service.events.sample import sample
from service.events.timer import TimerEvent

NOON = datetime(2026, 3, 11, 12, tzinfo=UTC)


class Clock:
    """A clock that a test sets. Sleepers count the seconds in which it goes, and not those by which
    it is set.
    """

    def __init__(self) -> None:
        self.time = NOON
        self.sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        """The time that was set."""
        return self.time

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has gone on for so long."""
        assert 0 < seconds <= NAP
        awake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.sleepers.append((seconds, awake))
        await awake

    def set(self, seconds: float) -> None:
        """Put the clock on, or back: nobody wakes up by that."""
        self.time += timedelta(seconds=seconds)

    async def go(self, seconds: float) -> None:
        """Let time pass, from one waking to the next."""
        while seconds > 0:
            await settled()
            step = min([seconds, *(left for left, _ in self.sleepers)])
            self.time += timedelta(seconds=step)
            seconds -= step
            asleep = [(left - step, awake) for left, awake in self.sleepers]
            self.sleepers = [each for each in asleep if each[0] > 1e-6]
            for left, awake in asleep:
                if left <= 1e-6 and not awake.done():
                    awake.set_result(None)
        await settled()


async def settled() -> None:
    """Every task has gone on to where it waits: none has more than a few steps to there."""
    for _ in range(20):
        await asyncio.sleep(0)


class Sent:
    """What was fired."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, str]] = []
        """Function, trigger, and the time of day in the event."""

    async def __call__(self, function: str, event: bytes) -> None:
        """Keep a call."""
        value = json.loads(event)
        day, _, time = value["triggerTime"].partition("T")
        assert day == f"{NOON:%Y-%m-%d}"
        self.calls.append((function, value["triggerName"], time.removesuffix("Z")))

    @property
    def times(self) -> list[str]:
        """The times alone."""
        return [time for _, _, time in self.calls]


def timed(name: str, *timers: Timer) -> DeployedFunction:
    """A function with timers."""
    return DeployedFunction(name, "cn-hangzhou", "custom", Path(), (), timers=timers)


def every(cron: str, name: str = "t", *, enabled: bool = True) -> Timer:
    """A timer."""
    return Timer(name, cron, enabled=enabled)


@pytest.fixture
def clock() -> Clock:
    """A clock that shows noon."""
    return Clock()


@pytest.fixture
def sent() -> Sent:
    """What is fired in the test."""
    return Sent()


Start = Callable[..., Timers]


@pytest.fixture
async def start(clock: Clock, sent: Sent) -> AsyncIterator[Start]:
    """Starts timers, and stops them after the test."""
    started: list[Timers] = []

    def begin(*functions: DeployedFunction, fire: object = sent) -> Timers:
        started.append(Timers(functions, fire, clock))  # type: ignore[arg-type]
        started[-1].start()
        return started[-1]

    yield begin
    for timers in started:
        await timers.stop()


def test_the_event_is_the_platforms() -> None:
    """The same keys in the same order as the sample; the time has seconds, in UTC."""
    zone = datetime.fromisoformat("2026-03-11T16:30:00.5+08:00")
    body = event(Timer("nightly-rollup", "@every 5m", '{"job":"rollup","day":"2026-03-10"}'), zone)
    assert json.loads(body) == json.loads(sample("timer"))
    assert [*json.loads(body)] == [*json.loads(sample("timer"))]
    assert json.loads(event(Timer("é", "@every 5m", "ü"), NOON))["payload"] == "ü"
    assert TimerEvent.__struct_encode_fields__ == tuple(json.loads(body))


async def test_an_interval_fires_again_and_again(start: Start, clock: Clock, sent: Sent) -> None:
    """Counted from the start, one interval apart, however long a call takes."""
    start(timed("fn", every("@every 5m")))
    await clock.go(299)
    assert sent.times == []
    await clock.go(1)
    assert sent.times == ["12:05:00"]
    await clock.go(900)
    assert sent.times == ["12:05:00", "12:10:00", "12:15:00", "12:20:00"]


async def test_each_function_and_each_timer_has_its_own_times(
    start: Start, clock: Clock, sent: Sent
) -> None:
    """A timer that is not enabled never fires."""
    start(
        timed("a", every("0 1/2 * * * *", "odd"), every("@every 1m", "off", enabled=False)),
        timed(
            "b", every("0 0/2 * * * *", "even"), every("CRON_TZ=Asia/Shanghai 0 3 20 * * *", "one")
        ),
        timed("c"),
    )
    await clock.go(240)
    assert sorted(sent.calls) == [
        ("a", "odd", "12:01:00"),
        ("a", "odd", "12:03:00"),
        ("b", "even", "12:02:00"),
        ("b", "even", "12:04:00"),
        ("b", "one", "12:03:00"),
    ]


async def test_times_missed_while_the_machine_slept_fire_once(
    start: Start, clock: Clock, sent: Sent
) -> None:
    """A laptop that was closed for an hour owes one event, and goes on from there."""
    start(timed("fn", every("0 */5 * * * *")))
    await clock.go(60)
    clock.set(3600)
    await clock.go(NAP)
    assert sent.times == ["12:05:00"]
    await clock.go(300)
    assert sent.times == ["12:05:00", "13:05:00"]


async def test_an_interval_goes_on_after_a_sleep(start: Start, clock: Clock, sent: Sent) -> None:
    """`@every` owes one event as well."""
    start(timed("fn", every("@every 5m")))
    await clock.go(10)
    clock.set(3600)
    await clock.go(600)
    assert len(sent.times) == 2
    assert sent.times[0] == "12:05:00"


async def test_timers_that_stay_as_they_are_miss_no_time_of_a_change(
    start: Start, clock: Clock, sent: Sent
) -> None:
    """A file that is saved while one is due, or often, puts nothing off; what is new counts from
    then, and what is gone is not fired.
    """
    same, gone = timed("same", every("@every 5m")), timed("gone", every("@every 5m"))
    timers = start(same, gone)
    await clock.go(200)
    timers.follow([same, timed("new", every("@every 5m"))])
    await clock.go(99)
    clock.set(1)  # it is due, and has not seen it
    timers.follow([same, timed("new", every("@every 5m"))])
    await clock.go(210)
    assert sent.calls == [("same", "t", "12:05:00"), ("new", "t", "12:08:20")]


async def test_an_interval_does_not_drift(start: Start, clock: Clock, sent: Sent) -> None:
    """A time that fires some seconds late does not put the later ones off."""
    start(timed("fn", every("@every 5m")))
    await clock.go(299)
    clock.set(3)
    await clock.go(298)
    assert sent.times == ["12:05:00", "12:10:00"]


async def test_a_clock_that_is_put_back_fires_nothing_twice(
    start: Start, clock: Clock, sent: Sent
) -> None:
    """What has fired does not fire again when the clock shows it again."""
    start(timed("fn", every("0 */5 * * * *")))
    await clock.go(301)
    assert sent.times == ["12:05:00"]
    clock.set(-240)
    await clock.go(480)
    assert sent.times == ["12:05:00"]
    await clock.go(120)
    assert sent.times == ["12:05:00", "12:10:00"]


async def test_a_call_that_fails_does_not_end_the_timer(
    start: Start, clock: Clock, sent: Sent, caplog: pytest.LogCaptureFixture
) -> None:
    """What `fire` raises is logged with the timer's name, and the next time fires."""
    fails = 1

    async def fire(function: str, body: bytes) -> None:
        nonlocal fails
        fails -= 1
        if fails >= 0:
            raise RuntimeError("the queue is full")
        await sent(function, body)

    with caplog.at_level(logging.ERROR):
        start(timed("fn", every("@every 1m", "nightly")), fire=fire)
        await clock.go(120)
    assert sent.times == ["12:02:00"]
    (record,) = caplog.records
    assert "timer nightly of fn" in record.getMessage()
    assert record.exc_info


async def test_a_call_under_way_does_not_hold_the_next_one_up(start: Start, clock: Clock) -> None:
    """Timers call asynchronously, as the platform's do; a stop ends what is under way."""
    begun, ended = [], []

    async def fire(_function: str, body: bytes) -> None:
        begun.append(json.loads(body)["triggerTime"])
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(begun[-1])

    timers = start(timed("fn", every("@every 1m")), fire=fire)
    await clock.go(180)
    assert len(begun) == 3
    await timers.stop()
    assert len(ended) == 3


async def test_nothing_fires_after_a_stop(start: Start, clock: Clock, sent: Sent) -> None:
    """`stop` ends all timers, also before they have begun; it may be said twice."""
    timers = start(timed("fn", every("@every 1m")))
    await clock.go(60)
    await timers.stop()
    await timers.stop()
    at_once = start(timed("fn", every("@every 1s")))
    await at_once.stop()
    await clock.go(600)
    assert sent.times == ["12:01:00"]


async def test_the_machines_clock_is_the_default() -> None:
    """Without another clock, times are those of the machine, in UTC."""
    before = datetime.now(UTC)
    clock = WallClock()
    await clock.sleep(0)
    assert before <= clock.now() <= datetime.now(UTC)
    assert clock.now().tzinfo is UTC
    timers = Timers([timed("fn", every("0 0 0 29 2 *"))], Sent())
    timers.start()
    await settled()
    await timers.stop()
