"""The instance's life: initialise once, drain, stop once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from service.calls.lifecycle import Lifecycle, nothing
from service.errors import InitializationError, InvalidEvent, Stopping


def lifecycle(drain_timeout: float = 60.0, hurry: Callable[[], None] = lambda: None) -> Lifecycle:
    """A life that has not begun."""
    return Lifecycle(drain_timeout=drain_timeout, hurry=hurry)


async def turns(count: int = 5) -> None:
    """Let every task that can go on do so."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_the_initializer_runs_once_for_any_number_of_callers() -> None:
    """A hundred callers wait for one run; later ones find it done."""
    life, runs, go = lifecycle(), list[int](), asyncio.Event()

    async def initialize() -> None:
        runs.append(1)
        await go.wait()

    life.initialize = initialize
    life.start()
    callers = [asyncio.ensure_future(life.initialized()) for _ in range(100)]
    await turns()
    assert not life.ready
    go.set()
    await asyncio.gather(*callers)
    await life.initialized()
    assert life.ready
    assert runs == [1]


async def test_an_instance_without_an_initializer_is_ready_at_once() -> None:
    """Nothing to run is a success."""
    life = lifecycle()
    assert not life.ready
    await life.initialized()
    assert life.ready
    await nothing()


async def test_a_caller_that_leaves_does_not_end_the_initializer() -> None:
    """The initializer is shielded from the cancellation of those who wait for it."""
    life, go = lifecycle(), asyncio.Event()

    async def initialize() -> None:
        await go.wait()

    life.initialize = initialize
    leaving, staying = (asyncio.ensure_future(life.initialized()) for _ in range(2))
    await turns()
    leaving.cancel()
    await turns()
    go.set()
    await staying
    assert leaving.cancelled()
    assert life.ready


async def test_a_failed_initializer_is_tried_again_on_demand() -> None:
    """Those who wait get the same error; the next demand runs it anew."""
    life, runs = lifecycle(), list[int]()

    async def initialize() -> None:
        runs.append(1)
        await asyncio.sleep(0)
        if len(runs) == 1:
            raise InvalidEvent("no database")

    life.initialize = initialize
    callers = [asyncio.ensure_future(life.initialized()) for _ in range(3)]
    failures = await asyncio.gather(*callers, return_exceptions=True)
    assert {str(failure) for failure in failures} == {
        "the initializer failed: InvalidEvent: no database"
    }
    assert all(isinstance(failure, InitializationError) for failure in failures)
    assert not life.ready
    assert runs == [1]
    await life.initialized()
    assert life.ready
    assert runs == [1, 1]


async def test_a_stop_waits_until_nothing_is_in_flight() -> None:
    """The drain comes first, then `pre_stop`, with calls refused from then on."""
    life, order = lifecycle(), list[str]()

    async def pre_stop() -> None:
        order.append("pre_stop")
        with pytest.raises(Stopping, match="its pre_stop hook has begun"):
            life.check_open()

    life.pre_stop = pre_stop
    life.enter()
    life.enter()
    stopping = asyncio.ensure_future(life.stop())
    await turns()
    assert life.draining.is_set()
    life.check_open()
    life.leave()
    await turns()
    assert order == []
    order.append("last call")
    life.leave()
    await stopping
    assert order == ["last call", "pre_stop"]
    assert life.refusing


async def test_a_stop_waits_for_heads_that_arrive_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What has begun to arrive may be a call; what drips is left alone after a second."""
    monkeypatch.setattr("service.calls.lifecycle.HEADS", 60)
    life = lifecycle()
    life.arriving = lambda: True
    stopping = asyncio.ensure_future(life.stop())
    await turns()
    life.enter()
    life.arriving = lambda: False
    await asyncio.sleep(0.02)
    assert not stopping.done()
    life.leave()
    await stopping
    monkeypatch.setattr("service.calls.lifecycle.HEADS", 0.05)
    life = lifecycle()
    life.arriving = lambda: True
    await life.stop()
    assert life.refusing


async def test_many_callers_stop_once() -> None:
    """`pre_stop` runs once, and each caller gets its failure."""
    life, runs = lifecycle(), list[int]()

    async def pre_stop() -> None:
        runs.append(1)
        raise InvalidEvent("no")

    life.pre_stop = pre_stop
    failures = await asyncio.gather(*(life.stop() for _ in range(5)), return_exceptions=True)
    assert [str(failure) for failure in failures] == ["no"] * 5
    with pytest.raises(InvalidEvent):
        await life.stop()
    assert runs == [1]


async def test_a_caller_that_leaves_does_not_end_the_stop() -> None:
    """A stop goes on when the request that asked for it is gone."""
    life = lifecycle()
    life.enter()
    leaving = asyncio.ensure_future(life.stop())
    await turns()
    leaving.cancel()
    await turns()
    life.leave()
    await life.stop()
    assert life.refusing


async def test_requests_that_ask_for_the_stop_do_not_wait_for_themselves() -> None:
    """Two `/pre-stop` requests, which are in flight themselves, both see the end of the drain."""
    life = lifecycle()
    for _ in range(3):
        life.enter()
    asking = [asyncio.ensure_future(life.stop_for_request()) for _ in range(2)]
    await turns()
    assert life.in_flight == 1
    life.leave()
    await asyncio.gather(*asking)
    assert life.in_flight == 2
    life.leave()
    life.leave()
    await life.idle()


async def test_a_stop_from_nowhere_counts_nothing() -> None:
    """A stop that no request in flight asks for leaves the count alone."""
    life = lifecycle()
    await life.stop_for_request()
    assert life.in_flight == 0


async def test_calls_that_take_too_long_are_hurried(caplog: pytest.LogCaptureFixture) -> None:
    """At the drain's end running calls are cut, and get their answers out before `pre_stop`."""
    order: list[str] = []

    def hurry() -> None:
        order.append("hurry")
        asyncio.get_running_loop().call_soon(answer)

    def answer() -> None:
        order.append("answered")
        life.leave()

    async def pre_stop() -> None:
        order.append("pre_stop")

    life = lifecycle(0.01, hurry)
    life.pre_stop = pre_stop
    life.enter()
    await life.stop()
    assert order == ["hurry", "answered", "pre_stop"]
    assert caplog.messages == ["1 calls were not done in 0.01 s"]


async def test_a_client_that_reads_no_answer_does_not_hold_the_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Cut calls have a moment for their answers; then `pre_stop` runs all the same."""
    monkeypatch.setattr("service.calls.lifecycle.ANSWERED", 0.01)
    life = lifecycle(0.0)
    life.enter()
    await life.stop()
    assert life.refusing
    assert life.in_flight == 1
