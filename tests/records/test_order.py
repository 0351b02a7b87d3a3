"""Which record runs next, on a clock of the test's own."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from service.records.order import WITHOUT_A_BREAK, RecordOrder
from tests.virtual_clock import run_virtual


class Numbered:
    """A record."""

    def __init__(self, number: int, key: Any, seconds: float) -> None:
        self.number = number
        self.key = key
        self.seconds = seconds


COURSES = st.lists(
    st.tuples(st.sampled_from([None, "a", "b", "c"]), st.integers(0, 5), st.integers(0, 3)),
    max_size=40,
)
"""Records: key, seconds that each runs, seconds before the next one comes."""


@settings(max_examples=50)
@given(COURSES, st.integers(1, 5), st.sampled_from([float("inf"), 1, 3, 8]))
def test_records_of_a_key_run_in_order_and_never_too_many_at_once(
    course: list[tuple[str | None, int, int]], concurrency: int, window: float
) -> None:
    """Whenever they come and however long they take: order within a key, at most `concurrency` at
    once, at most `window` under way, and each one runs once.
    """
    window = max(window, concurrency)
    began: list[Numbered] = []
    running: set[Numbered] = set()
    open_now: set[Numbered] = set()

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def start(record: Numbered) -> None:
            began.append(record)
            running.add(record)
            assert len(running) <= concurrency
            assert record.key is None or [r.key for r in running].count(record.key) == 1
            loop.call_later(record.seconds, end, record)

        def end(record: Numbered) -> None:
            running.discard(record)
            open_now.discard(record)
            order.done(record)

        order = RecordOrder(start, concurrency, window)
        for number, (key, seconds, pause) in enumerate(course):
            record = Numbered(number, key, seconds)
            await order.add(record)
            open_now.add(record)
            assert len(open_now) <= window
            await asyncio.sleep(pause)
        await order.idle()
        assert order.running == 0

    run_virtual(main())
    assert sorted(record.number for record in began) == list(range(len(course)))
    by_key = defaultdict(list)
    for record in began:
        by_key[record.key].append(record.number)
    for key, numbers in by_key.items():
        assert numbers == sorted(numbers), key


@settings(max_examples=50)
@given(COURSES, st.integers(1, 5), st.integers(0, 20))
def test_a_stop_leaves_each_record_begun_or_returned(
    course: list[tuple[str | None, int, int]], concurrency: int, seconds: int
) -> None:
    """Whenever it comes: no record is lost, none is both, and none begins afterwards."""
    began: set[int] = set()
    stopped = False

    async def main() -> None:
        nonlocal stopped
        loop = asyncio.get_running_loop()

        def start(record: Numbered) -> None:
            assert not stopped
            began.add(record.number)
            loop.call_later(record.seconds, order.done, record)

        order = RecordOrder(start, concurrency)
        added = 0
        try:
            async with asyncio.timeout(seconds):
                for number, (key, lasting, pause) in enumerate(course):
                    added = number + 1
                    await order.add(Numbered(number, key, lasting))
                    await asyncio.sleep(pause)
                await order.idle()
        except TimeoutError:
            pass
        stopped = True
        left = {record.number for record in order.stop()}
        assert not left & began
        assert left | began == set(range(added))
        await order.idle()

    run_virtual(main())


def test_many_records_behind_one_let_the_loop_go_on() -> None:
    """Ten thousand of one key are put behind the first, and others have their turns meanwhile."""
    turns = 0

    async def main() -> None:
        nonlocal turns
        loop = asyncio.get_running_loop()
        order: RecordOrder[Numbered] = RecordOrder(lambda record: None, 2)

        def turn() -> None:
            nonlocal turns
            turns += 1
            loop.call_soon(turn)

        loop.call_soon(turn)
        for number in range(10_000):
            await order.add(Numbered(number, "k", 0))
        assert order.running == 1
        assert len(order.stop()) == 9_999

    asyncio.run(main())
    assert turns >= 10_000 // WITHOUT_A_BREAK - 1
