"""Each call is cut at its deadline, whatever its handler does then."""

from __future__ import annotations

import asyncio
import gc
import re
import threading
import time
from typing import Any

import pytest

from service.calls.deadline import Call, Calls
from service.calls.function import Function, run
from service.calls.threads import ThreadPool
from service.errors import FunctionTimeout, HandlerFailed
from tests.virtual_clock import run_virtual

SOON = 0.1


def due(seconds: float = SOON) -> Call:
    """A call whose deadline is near."""
    return Call(time.monotonic() + seconds)


async def back(calls: Calls) -> None:
    """Wait until no work is left behind."""
    while calls._left:
        await asyncio.wait(calls._left)
        await asyncio.sleep(0)


async def test_a_call_returns_what_its_work_returns() -> None:
    """With a deadline far away or none, with waits or none, the result is the work's."""
    calls = Calls()

    async def work(turns: int) -> int:
        for _ in range(turns):
            await asyncio.sleep(0)
        return turns

    for call in (Call(None), due(60)):
        assert await calls.run(call, work(0)) == 0
        assert await calls.run(call, work(3)) == 3
    assert calls.lost == 0
    assert not calls._running


async def test_a_call_raises_what_its_work_raises() -> None:
    """A failure comes through as it is, before the first wait or after it."""
    calls = Calls()

    async def work(turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        raise KeyError(turns)

    for turns in (0, 2):
        with pytest.raises(KeyError, match=str(turns)):
            await calls.run(due(60), work(turns))


async def test_a_call_ends_at_its_deadline(caplog: pytest.LogCaptureFixture) -> None:
    """At the deadline the handler is cancelled; caller and log learn what it was doing."""
    calls, cancelled = Calls(), asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    call = due()
    call.stage = "receiving the event"
    with pytest.raises(FunctionTimeout) as caught:
        await calls.run(call, work())
    found = re.fullmatch(
        r"the call was not done within ([0-9.e-]+) seconds \(it was receiving the event\)",
        str(caught.value),
    )
    assert found
    assert 0 < float(found[1]) <= SOON
    line = work.__code__.co_firstlineno + 2
    assert caplog.messages == [
        f"FunctionTimeout while receiving the event, at {__file__}:{line} in work"
    ]
    await cancelled.wait()
    await back(calls)
    assert calls.lost == 0


def test_each_call_ends_at_its_own_deadline() -> None:
    """In whatever order they begin; those that have time left, or no limit, go on."""

    async def main() -> None:
        calls, go = Calls(), asyncio.Event()
        ended: list[float] = []
        began = time.monotonic()

        async def wait(seconds: float) -> None:
            try:
                await calls.run(Call(began + seconds), asyncio.sleep(3600))
            except FunctionTimeout:
                ended.append(seconds)

        async def work() -> str:
            await go.wait()
            return "done"

        others = [asyncio.ensure_future(calls.run(c, work())) for c in (due(3600), Call(None))]
        await asyncio.gather(*map(wait, (0.1, 0.3, 0.05, 0.2)))
        assert ended == [0.05, 0.1, 0.2, 0.3]
        go.set()
        assert await asyncio.gather(*others) == ["done", "done"]
        await wait(0.01)
        assert ended[-1] == 0.01, "one that ends before the deadline that was looked for"
        await back(calls)

    run_virtual(main())


async def test_one_timer_waits_for_all_deadlines() -> None:
    """However many calls come and end at theirs while another one goes on."""
    calls, loop = Calls(), asyncio.get_running_loop()
    long = asyncio.ensure_future(calls.run(due(3600), asyncio.sleep(3600)))
    for _ in range(5):
        with pytest.raises(FunctionTimeout):
            await calls.run(due(0.01), asyncio.sleep(3600))
    timers: list[asyncio.TimerHandle] = loop._scheduled  # type: ignore[attr-defined]
    waiting = [timer for timer in timers if not timer.cancelled() and "_ring" in repr(timer)]
    assert len(waiting) == 1
    long.cancel()
    with pytest.raises(asyncio.CancelledError):
        await long
    await back(calls)


async def test_a_deadline_that_has_passed_cuts_at_the_first_wait() -> None:
    """A call that arrives too late fails as soon as it waits."""
    with pytest.raises(FunctionTimeout):
        await Calls().run(due(-5), asyncio.sleep(3600))


async def test_a_handler_that_swallows_its_cancellation_is_answered_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The caller gets its answer; the work counts as lost until it comes back."""
    calls, go = Calls(), asyncio.Event()

    async def work() -> None:
        while not go.is_set():
            try:
                await go.wait()
            except asyncio.CancelledError:
                continue
        raise ValueError("nobody hears this")

    with pytest.raises(FunctionTimeout):
        await calls.run(due(), work())
    await asyncio.sleep(0)
    assert calls.lost == 1
    go.set()
    await back(calls)
    assert calls.lost == 0
    gc.collect()
    assert len(caplog.messages) == 1


async def test_a_thread_that_does_not_come_back_counts_as_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A plain function is abandoned at its deadline, at the line that it runs, until it returns."""
    calls, pool, gate = Calls(), ThreadPool(1), threading.Event()

    def handler(_event: bytes, _context: object) -> str:
        gate.wait()
        return "late"

    call = due(1.0)
    function = Function("index.handler", handler, "sync")
    with pytest.raises(FunctionTimeout, match=r"it was running index\.handler"):
        await calls.run(call, run(function, pool, call, b"", None))
    line = handler.__code__.co_firstlineno + 1
    assert caplog.messages == [
        f"FunctionTimeout while running index.handler, at {__file__}:{line} in handler"
    ]
    assert calls.lost == 1
    gate.set()
    await back(calls)
    assert calls.lost == 0
    pool.close()


async def test_a_call_that_waits_for_a_thread_never_runs_after_its_deadline() -> None:
    """What was answered with a time-out before a thread was free has no effect later."""
    calls, pool, gate = Calls(), ThreadPool(1), threading.Event()
    ran: list[bytes] = []
    blocked = pool.run(gate.wait)

    def handler(event: bytes, _context: object) -> None:
        ran.append(event)

    call = due()
    function = Function("index.handler", handler, "sync")
    with pytest.raises(FunctionTimeout):
        await calls.run(call, run(function, pool, call, b"late", None))
    await back(calls)
    gate.set()
    await blocked
    await pool.run(int)
    assert ran == []
    pool.close()


async def test_all_calls_can_be_cut_at_once() -> None:
    """`cut_all` answers every running call with the reason, deadline or not."""
    calls = Calls()

    async def forever() -> None:
        await asyncio.Event().wait()

    tasks = [asyncio.ensure_future(calls.run(call, forever())) for call in (Call(None), due(60))]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    calls.cut_all()
    calls.cut_all()
    for failure in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(failure, FunctionTimeout)
        assert str(failure).startswith("the service stops and the call was not done in time")
    await back(calls)


async def test_a_caller_that_is_cancelled_takes_its_work_along() -> None:
    """When the task of a request is cancelled, so is its work."""
    calls, cancelled = Calls(), asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    task = asyncio.ensure_future(calls.run(Call(None), work()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await cancelled.wait()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not calls._running


async def test_work_that_fails_after_its_caller_left_is_no_stray_error() -> None:
    """What cancelled work raises is nobody's unhandled failure."""
    calls, stray = Calls(), list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: stray.append(context))

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as reason:
            raise HandlerFailed(reason) from None

    task = asyncio.ensure_future(calls.run(Call(None), work()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    del task
    await asyncio.sleep(0)
    gc.collect()
    assert stray == []


async def test_work_that_ends_with_its_deadline_is_answered() -> None:
    """Work that is done in the turn of its deadline has its result, not a time-out."""
    calls = Calls()
    call = Call(None)

    async def work() -> str:
        call.end()
        return "done"

    async def later() -> str:
        await asyncio.sleep(0)
        return await work()

    assert await calls.run(call, later()) == "done"
