"""Slots, the queue behind them, and the budget of buffered bodies."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.calls.admission import Admission, Budget
from service.errors import Overloaded


async def turns(count: int = 3) -> None:
    """Let every task that can go on do so."""
    for _ in range(count):
        await asyncio.sleep(0)


def begun(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """A task for `work`."""
    return asyncio.ensure_future(work)


async def test_calls_beyond_slots_and_queue_are_refused() -> None:
    """Two run, two wait, the fifth is refused with the numbers in the message."""
    admission = Admission(2, 2)
    tasks = [begun(admission.enter()) for _ in range(4)]
    await turns()
    assert (admission.running, admission.queued, admission.refused) == (2, 2, 0)
    with pytest.raises(Overloaded, match="all 2 slots and 2 queue places"):
        await admission.enter()
    assert admission.refused == 1
    for _ in range(4):
        admission.leave()
    await asyncio.gather(*tasks)
    assert (admission.running, admission.queued) == (0, 0)


async def test_a_queue_of_none_refuses_at_once() -> None:
    """With `queue` 0 the call beyond the slots is refused."""
    admission = Admission(1, 0)
    await admission.enter()
    with pytest.raises(Overloaded):
        await admission.enter()
    admission.leave()
    await admission.enter()
    assert admission.running == 1


async def test_the_queue_is_served_in_order_of_arrival() -> None:
    """Each slot goes to the call that has waited longest; a new call never passes them."""
    admission, order = Admission(1, 10), list[int]()
    await admission.enter()

    async def call(number: int) -> None:
        await admission.enter()
        order.append(number)
        admission.leave()

    tasks = [begun(call(number)) for number in range(5)]
    await turns()
    admission.leave()
    late = begun(call(5))
    await asyncio.gather(*tasks, late)
    assert order == [0, 1, 2, 3, 4, 5]
    assert admission.running == 0


@pytest.mark.parametrize("order", list(permutations(["cancel", "grant", "turn"])))
async def test_a_cancelled_wait_gives_its_place_up(order: tuple[str, ...]) -> None:
    """Whichever of grant and cancellation comes first, in one turn of the loop or in two, no slot
    is lost.
    """
    admission = Admission(1, 2)
    await admission.enter()
    first, second = begun(admission.enter()), begun(admission.enter())
    await turns()
    for step in order:
        if step == "cancel":
            first.cancel()
        elif step == "grant":
            admission.leave()
        else:
            await turns()
    await asyncio.wait([first])
    if not first.cancelled():  # granted, and through before the cancellation
        admission.leave()
    await second
    assert (admission.running, admission.queued) == (1, 0)


Step = tuple[str, int]
STEPS = st.lists(
    st.tuples(st.sampled_from(["enter", "leave", "cancel", "turn"]), st.integers(0, 9)),
    max_size=60,
)


@given(st.integers(1, 4), st.integers(0, 4), STEPS)
@settings(deadline=None)
def test_slots_are_counted_exactly(slots: int, queue: int, steps: list[Step]) -> None:
    """Whatever enters, leaves and is cancelled in whatever order: as many run as are counted, never
    more than there are slots, and none waits while a slot is free.
    """
    asyncio.run(_slots(slots, queue, steps))


async def _slots(slots: int, queue: int, steps: list[Step]) -> None:
    admission = Admission(slots, queue)
    inside: list[asyncio.Task[None]] = []
    waiting: list[asyncio.Task[None]] = []

    def look() -> None:
        for task in [task for task in waiting if task.done()]:
            waiting.remove(task)
            if not task.cancelled() and task.exception() is None:
                inside.append(task)

    for step, number in steps:
        if step == "enter":
            waiting.append(begun(admission.enter()))
            await asyncio.sleep(0)
        elif step == "cancel" and waiting:
            waiting[number % len(waiting)].cancel()
        elif step == "leave" and inside:
            inside.pop(number % len(inside))
            admission.leave()
        elif step == "turn":
            await turns()
        look()
        assert 0 <= admission.running <= slots
        assert 0 <= admission.queued <= queue
    await turns()
    look()
    assert admission.running == len(inside)
    assert admission.queued == len(waiting)
    assert not waiting or admission.running == slots
    while inside:
        inside.pop()
        admission.leave()
        await turns()
        look()
    assert (admission.running, admission.queued, waiting) == (0, 0, [])


async def test_bodies_wait_for_room_in_order_of_arrival() -> None:
    """A small body behind a large one that waits does not pass it."""
    budget, order = Budget(10), list[str]()
    await budget.reserve(8)

    async def body(name: str, size: int) -> None:
        await budget.reserve(size)
        order.append(name)

    tasks = [begun(body("large", 9)), begun(body("small", 1))]
    await turns()
    assert (budget.used, budget.waiting, order) == (8, 2, [])
    budget.release(8)
    await asyncio.gather(*tasks)
    assert order == ["large", "small"]
    assert budget.used == 10


async def test_a_body_larger_than_the_budget_is_read_alone() -> None:
    """An oversized body waits until nothing else is held, and nothing goes beside it."""
    budget = Budget(10)
    await budget.reserve(1)
    oversized, other = begun(budget.reserve(25)), begun(budget.reserve(1))
    await turns()
    assert not oversized.done()
    budget.release(1)
    await turns()
    assert oversized.done()
    assert not other.done()
    assert budget.used == 25
    budget.release(25)
    await other
    assert budget.used == 1


async def test_a_body_that_gives_up_lets_the_next_one_in() -> None:
    """When the first in the line is cancelled, a smaller one behind it is served."""
    budget = Budget(10)
    await budget.reserve(5)
    large, small = begun(budget.reserve(9)), begun(budget.reserve(5))
    await turns()
    large.cancel()
    await small
    assert (budget.used, budget.waiting) == (10, 0)
    assert large.cancelled()


@given(
    st.integers(1, 20),
    st.lists(
        st.tuples(st.sampled_from(["reserve", "release", "cancel", "turn"]), st.integers(0, 25)),
        max_size=60,
    ),
)
@settings(deadline=None)
def test_the_budget_is_counted_exactly(total: int, steps: list[Step]) -> None:
    """Whatever is reserved, released and cancelled in whatever order: the bytes in use are those
    held, never below 0, never over the total but for one body alone; at the end nothing is left.
    """
    asyncio.run(_bytes(total, steps))


async def _bytes(total: int, steps: list[Step]) -> None:
    budget = Budget(total)
    held: list[int] = []
    waiting: list[tuple[int, asyncio.Task[None]]] = []

    def look() -> None:
        for size, task in [entry for entry in waiting if entry[1].done()]:
            waiting.remove((size, task))
            if not task.cancelled():
                held.append(size)

    for step, number in steps:
        if step == "reserve":
            waiting.append((number, begun(budget.reserve(number))))
            await asyncio.sleep(0)
        elif step == "cancel" and waiting:
            waiting[number % len(waiting)][1].cancel()
        elif step == "release" and held:
            budget.release(held.pop(number % len(held)))
        elif step == "turn":
            await turns()
        look()
        assert budget.used >= 0
    await turns()
    look()
    assert budget.used == sum(held)
    assert budget.used <= total or len([size for size in held if size]) == 1
    assert budget.waiting == len(waiting)
    while held:
        budget.release(held.pop())
        await turns()
        look()
    assert (budget.used, budget.waiting, waiting) == (0, 0, [])


async def test_bodies_that_grow_go_before_those_that_begin() -> None:
    """Room that is given back goes to a body that has begun, though another waited before it."""
    budget, order = Budget(10), list[str]()
    await budget.grow("begun", 3)
    await budget.reserve(7)

    async def begin() -> None:
        await budget.reserve(4)
        order.append("new")

    async def grow() -> None:
        await budget.grow("begun", 5)
        order.append("begun")

    new, old = begun(begin()), begun(grow())
    await turns()
    assert (budget.used, budget.waiting, order) == (10, 2, [])
    budget.release(7)
    await old
    assert (budget.used, order) == (8, ["begun"])
    budget.settle("begun")
    budget.release(8)
    await new
    assert (budget.used, budget.waiting) == (4, 0)


async def test_one_body_that_grows_goes_over_the_budget_and_no_second_one() -> None:
    """If bodies that grow hold all there is, one of them goes on; the other one follows when that
    has given its bytes back.
    """
    budget = Budget(10)
    await budget.grow("one", 5)
    await budget.grow("two", 5)
    await budget.grow("one", 4)
    two = begun(budget.grow("two", 1))
    await budget.grow("one", 4)
    await turns()
    assert (budget.used, two.done()) == (18, False)
    budget.settle("one")
    await turns()
    assert not two.done()
    budget.release(13)
    await two
    assert budget.used == 6


async def test_bodies_wait_for_a_call_that_will_give_its_bytes_back() -> None:
    """No body goes over the budget while a body that has arrived is in it."""
    budget = Budget(10)
    await budget.reserve(6)
    await budget.grow("one", 4)
    one = begun(budget.grow("one", 1))
    await turns()
    assert not one.done()
    budget.release(6)
    await one
    assert budget.used == 5


@pytest.mark.parametrize("granted", [False, True])
async def test_a_body_that_gives_up_while_it_grows_leaves_the_way_free(granted: bool) -> None:
    """A wait for more that is cancelled, before or after its turn has come, takes nothing, and
    another body may go over the budget.
    """
    budget = Budget(10)
    await budget.reserve(10)
    first = begun(budget.grow("first", 20))
    await turns()
    if granted:
        budget.release(10)
    first.cancel()
    await turns()
    if not granted:
        budget.release(10)
    assert (budget.used, budget.waiting) == (0, 0)
    await budget.grow("second", 4)
    await budget.grow("third", 6)
    await budget.grow("second", 1)
    assert budget.used == 11
