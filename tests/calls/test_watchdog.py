"""A loop that stands still is seen while it does, and the line that blocks it is named."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from service.calls import watchdog
from service.calls.left_behind import task_factory
from service.calls.tracebacks import CodePlace
from service.calls.watchdog import Watchdog
from service.context.call import RUNNING, Context

AFTER = 0.2
SOONER_OR_LATER = 60.0


class Watch:
    """A watchdog, what it has reported, and whether there are calls."""

    def __init__(self, after: float = AFTER) -> None:
        self.busy = True
        self.reports: list[tuple[CodePlace | None, Context | None, float]] = []
        self.reported = threading.Event()
        self.dog = Watchdog(after, lambda: self.busy, self.report)

    def report(self, place: CodePlace | None, context: Context | None, seconds: float) -> None:
        """Note a report."""
        self.reports.append((place, context, seconds))
        self.reported.set()


@contextmanager
def watching(after: float = AFTER) -> Iterator[Watch]:
    """A watchdog over the running loop."""
    watch = Watch(after)
    watch.dog.start()
    watch.dog.wake()
    yield watch
    watch.dog.stop()
    if thread := watch.dog._thread:
        thread.join(SOONER_OR_LATER)
        assert not thread.is_alive()


async def test_a_stall_is_reported_once_while_it_lasts() -> None:
    """A handler that blocks is named once, with its line and its call, before it lets go."""
    with watching() as watch:

        async def blocks() -> bool:
            RUNNING.set(Context({}, "own"))
            return await sub_task()

        async def sub_task() -> bool:
            return await asyncio.ensure_future(wait())

        async def wait() -> bool:
            return watch.reported.wait(SOONER_OR_LATER)

        asyncio.get_running_loop().set_task_factory(task_factory)
        assert await asyncio.ensure_future(blocks())
        place, context, seconds = watch.reports[0]
        assert place
        assert context
        assert (place.file, place.line) == (__file__, wait.__code__.co_firstlineno + 1)
        assert context.request_id == "own"
        assert AFTER <= seconds < SOONER_OR_LATER
        assert (watch.dog.stalls, len(watch.reports)) == (1, 1)


async def test_each_stall_is_reported() -> None:
    """After a stall the watch goes on."""
    with watching() as watch:
        for _ in range(3):
            watch.reported.clear()
            watch.reported.wait(SOONER_OR_LATER)
            await asyncio.sleep(AFTER)
        assert watch.dog.stalls == len(watch.reports) == 3


async def test_a_call_that_holds_the_interpreter_is_reported_after_it() -> None:
    """A C function that lets no thread run is named as soon as it lets go."""
    with watching() as watch:
        end = time.monotonic() + SOONER_OR_LATER
        while not watch.reports and time.monotonic() < end:
            sum(range(10_000_000))
        assert watch.reports[0][0]
        assert watch.reports[0][0].file == __file__


async def test_a_call_that_holds_the_interpreter_between_two_signs_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A pause of the watch that took too long is a stall, where a task runs on the loop."""
    watch, paused, goes_on = Watch(3600), threading.Event(), threading.Event()
    wait = watch.dog._wait

    def held(event: threading.Event, seconds: float) -> float | None:
        if event is not watch.dog._ended or watch.reports:
            return wait(event, seconds)
        paused.set()
        assert goes_on.wait(SOONER_OR_LATER)
        return 9000.0

    monkeypatch.setattr(watch.dog, "_wait", held)
    watch.dog.start()
    watch.dog.wake()
    assert await asyncio.to_thread(paused.wait, SOONER_OR_LATER)
    goes_on.set()
    assert watch.reported.wait(SOONER_OR_LATER)
    assert [seconds for _, _, seconds in watch.reports] == [7200.0]
    watch.dog.stop()


async def test_a_loop_that_goes_on_slowly_is_not_blamed_on_one_task() -> None:
    """Many tasks that each run for a short time in one turn of the loop are no stall."""
    with watching() as watch:

        async def short() -> None:
            time.sleep(AFTER / 4)  # noqa: ASYNC251 - what is tested

        await asyncio.gather(*(short() for _ in range(20)))
        assert watch.reports == []


@pytest.mark.parametrize("seconds", [AFTER / 2, AFTER * 1.2, AFTER * 60])
@pytest.mark.parametrize("worked", [False, True], ids=["frozen", "busy"])
def test_a_freeze_is_no_stall(
    monkeypatch: pytest.MonkeyPatch, seconds: float, worked: bool
) -> None:
    """A wait in which the process stood still counts as a part; one in which it worked, whole."""
    part = AFTER / watchdog.SLICES
    waited = waited_for(monkeypatch, part, part + seconds, seconds if worked else 0.0, 0.0)
    assert waited == (part + seconds if worked else part)


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_a_loop_that_works_with_little_cpu_time_is_not_frozen(
    monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    """A wait in which the loop's thread had a part of the CPU counts for as long as it ran."""
    part, took = AFTER / watchdog.SLICES, AFTER * 60
    waited = waited_for(monkeypatch, part, took, share * took, share * took)
    assert waited == share * took > AFTER


def waited_for(
    monkeypatch: pytest.MonkeyPatch, part: float, took: float, worked: float, loop_worked: float
) -> float | None:
    """What the watch makes of a wait: how long it was to be, how long it was, and the CPU time."""
    watch = Watch()
    clock, work, loops = (iter((0.0, end)) for end in (took, worked, loop_worked))
    clocks = SimpleNamespace(monotonic=clock.__next__, process_time=work.__next__)
    monkeypatch.setattr(watchdog, "time", clocks)
    monkeypatch.setattr(watch.dog, "_loops_time", loops.__next__)
    return watch.dog._wait(threading.Event(), part)


async def test_an_idle_watch_sleeps_until_the_next_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """With no calls for a while there is no sign asked for; a call wakes the watch."""
    monkeypatch.setattr(watchdog, "IDLE", AFTER)
    slept = threading.Event()
    with watching() as watch:
        clear = watch.dog._awake.clear

        def sleep() -> None:
            clear()
            slept.set()

        monkeypatch.setattr(watch.dog._awake, "clear", sleep)
        watch.busy = False
        assert await asyncio.to_thread(slept.wait, SOONER_OR_LATER)
        watch.reported.wait(AFTER * 3)
        assert watch.reports == []
        watch.busy = True
        watch.dog.wake()
        watch.dog.wake()
        assert watch.reported.wait(SOONER_OR_LATER)
        await asyncio.sleep(0)
        slept.clear()
        watch.busy = False
        assert await asyncio.to_thread(slept.wait, SOONER_OR_LATER)


async def test_a_call_that_comes_as_the_watch_falls_asleep_is_watched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between the look and the sleep no call is missed."""
    monkeypatch.setattr(watchdog, "IDLE", 0.0)
    looks, looked = iter([False]), threading.Event()
    watch = Watch()

    def busy() -> bool:
        looked.set()
        return next(looks, True)

    watch.dog = Watchdog(AFTER, busy, watch.report)
    watch.dog.start()
    watch.dog.wake()
    await asyncio.to_thread(looked.wait, SOONER_OR_LATER)
    assert watch.reported.wait(SOONER_OR_LATER)
    watch.dog.stop()


async def test_zero_watches_over_nothing() -> None:
    """`stall_after` 0 starts no thread."""
    with watching(0) as watch:
        assert watch.dog._thread is None


def test_the_watch_ends_with_its_loop() -> None:
    """A loop that was closed is not asked again."""

    async def start() -> Watch:
        watch = Watch()
        watch.dog.start()
        return watch

    watch = asyncio.run(start())
    watch.dog.wake()
    assert watch.dog._thread
    watch.dog._thread.join(SOONER_OR_LATER)
    assert not watch.dog._thread.is_alive()
    watch.dog.stop()


async def test_a_stop_during_a_stall_ends_the_watch() -> None:
    """A watch that waits out a stall ends when it is told to."""
    with watching() as watch:
        assert watch.reported.wait(SOONER_OR_LATER)
    assert watch.dog.stalls == 1


async def test_a_watch_that_was_ended_asks_for_no_sign() -> None:
    """A stop between two signs is not taken for a stall."""
    with watching() as watch:
        pass
    assert not watch.dog._alive(asyncio.get_running_loop(), threading.get_ident())
    assert watch.reports == []


async def test_a_watch_stays_awake_between_calls() -> None:
    """A short time without calls does not put the watch to sleep."""
    looks = threading.Semaphore(0)

    def busy() -> bool:
        looks.release()
        return False

    dog = Watchdog(AFTER, busy, Watch().report)
    dog.start()
    dog.wake()
    for _ in range(2):
        assert await asyncio.to_thread(looks.acquire, timeout=SOONER_OR_LATER)
    assert dog._awake.is_set()
    dog.stop()
