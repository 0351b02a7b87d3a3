"""When calls are handed over, whatever the order they come in."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service import Context, batched
from service.errors import FunctionTimeout
from tests.batching.conftest import Company, in_flight
from tests.virtual_clock import START, run_virtual

RUN = 0.25
"""Seconds that a batch takes."""


@dataclass(frozen=True)
class Caller:
    """A call: when it comes, how long it waits, when it goes; what its place in the list has."""

    comes: float
    seconds: float
    goes: float | None
    fails: bool


times = st.integers(0, 12).map(lambda quarters: quarters / 8)
callers = st.builds(
    Caller,
    comes=times,
    seconds=st.sampled_from([0.3, 1.1, 60]),
    goes=st.none() | times,
    fails=st.booleans(),
)


@settings(max_examples=50)
@given(
    st.lists(callers, min_size=1, max_size=12),
    st.integers(1, 5),
    st.integers(1, 3),
    st.sampled_from([0.0, 0.1, 1.0]),
    st.integers(0, 20),
)
def test_no_result_is_mixed_or_lost(
    calls: list[Caller], max_size: int, concurrency: int, max_wait: float, company: int
) -> None:
    """Each call gets its own result, its own failure or its own time-out, and none at all if it
    has gone; no event is handed over twice, none after its call has gone; no batch is too large,
    not too many run at once, their order is that of arrival, and deadlines are kept.
    """
    seen: list[int] = []
    most = 0
    running = 0
    left: dict[int, float] = {}

    @batched(max_size=max_size, concurrency=concurrency, max_wait=max_wait)
    async def work(events: list[int], contexts: list[Context]) -> list[str | BaseException]:
        nonlocal most, running
        running += 1
        most = max(most, running)
        assert len(events) <= max_size
        assert [each.request_id for each in contexts] == [str(each) for each in events]
        assert all(left.get(each, time.monotonic()) >= time.monotonic() for each in events)
        seen.extend(events)
        try:
            await asyncio.sleep(RUN)
        finally:
            running -= 1
        return [KeyError(each) if calls[each].fails else f"of {each}" for each in events]

    async def one(number: int, call: Caller) -> tuple[object, float]:
        await asyncio.sleep(call.comes)
        began = time.monotonic()
        work_of_it = work(number, Context({}, str(number), began + call.seconds))
        try:
            found: object = await work_of_it
        except Exception as failure:
            found = failure
        return found, time.monotonic() - began

    async def main() -> list[tuple[object, float] | BaseException]:
        tasks = [asyncio.create_task(one(*each)) for each in enumerate(calls)]
        for number, call in enumerate(calls):
            if call.goes is not None:
                left[number] = START + call.goes
                asyncio.get_running_loop().call_later(call.goes, tasks[number].cancel)
        return await asyncio.gather(*tasks, return_exceptions=True)

    with in_flight() as set_count:
        set_count(company)
        outcomes = run_virtual(main())
    assert running == 0
    assert most <= concurrency
    assert max(Counter(seen).values(), default=1) == 1
    began = [calls[number].comes for number in seen]
    if max_size == 1 or concurrency == 1:
        assert began == sorted(began)
    for number, (call, outcome) in enumerate(zip(calls, outcomes, strict=True)):
        if isinstance(outcome, BaseException):
            assert isinstance(outcome, asyncio.CancelledError)
            assert call.goes is not None
            continue
        found, took = outcome
        assert took <= call.seconds + 0.001
        if isinstance(found, FunctionTimeout):
            assert took == pytest.approx(call.seconds, abs=0.05)
        elif call.fails:
            assert isinstance(found, KeyError)
            assert found.args == (number,)
        else:
            assert found == f"of {number}"


def test_a_batch_that_has_become_full_meanwhile_begins_when_another_ends() -> None:
    """However long it might wait for more, and though the callers of that one may call again."""
    began: list[tuple[float, list[int]]] = []

    @batched(max_size=2, max_wait=60)
    async def work(events: list[int]) -> list[int]:
        began.append((time.monotonic() - START, events))
        await asyncio.sleep(RUN)
        return events

    async def main(set_count: Company) -> None:
        first = asyncio.create_task(work(0))
        await asyncio.sleep(RUN / 2)
        set_count(3)
        await asyncio.gather(first, work(1), work(2))

    with in_flight() as set_count:
        set_count(1)
        run_virtual(main(set_count))
    assert began == [(0, [0]), (RUN, [1, 2])]


@settings(max_examples=30)
@given(st.lists(st.floats(0.0001, 0.5), max_size=20), st.integers(2, 40))
def test_nobody_waits_longer_than_the_longest_wait(gaps: list[float], company: int) -> None:
    """Whatever the pace, and however many may still come, a call whose batch can begin waits for
    `max_wait` seconds at most.
    """
    waits: list[float] = []

    @batched(max_size=100, max_wait=0.1)
    async def note(events: list[float]) -> list[None]:
        waits.extend(time.monotonic() - came for came in events)
        return [None for _ in events]

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for gap in gaps:
                await asyncio.sleep(gap)
                group.create_task(note(time.monotonic()))

    with in_flight() as set_count:
        set_count(company)
        run_virtual(main())
    assert len(waits) == len(gaps)
    assert max(waits, default=0) <= 0.1 + 1e-6


def test_a_call_is_handed_over_when_half_of_its_time_has_passed() -> None:
    """However long it might wait for others: its batch has the other half."""

    @batched(max_size=100, max_wait=20)
    async def note(events: list[float]) -> list[float]:
        return [time.monotonic() - came for came in events]

    async def main() -> float:
        now = time.monotonic()
        return await note(now, Context({}, "short", now + 8.0))

    with in_flight() as set_count:
        set_count(5)
        assert run_virtual(main()) == pytest.approx(4.0, abs=0.01)
