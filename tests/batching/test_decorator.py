"""Functions of many events, called with one."""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from service import Context, batched, current_context
from service.calls import left_behind
from service.calls.loader import take
from service.errors import BatchFailed, FunctionTimeout, InvalidEvent
from tests.batching.conftest import Company
from tests.harness import FORKS
from tests.virtual_clock import START, VirtualLoop, run_virtual


def context(request_id: str = "1", seconds: float | None = None) -> Context:
    """The context of a call that has so many seconds."""
    return Context({}, request_id, None if seconds is None else time.monotonic() + seconds)


async def settled(*works: Awaitable[Any]) -> list[Any]:
    """What each of them comes to: its result or its failure."""
    return await asyncio.gather(*works, return_exceptions=True)


def test_calls_of_one_moment_run_together() -> None:
    """Each gets its own result, and the function all events in the order of their arrival."""
    batches: list[list[int]] = []

    @batched
    async def double(events: list[int]) -> list[int]:
        batches.append(list(events))
        await asyncio.sleep(1)
        return [2 * each for each in events]

    async def main() -> list[int]:
        return await asyncio.gather(*map(double, range(5)))

    assert run_virtual(main()) == [0, 2, 4, 6, 8]
    assert batches == [[0, 1, 2, 3, 4]]


def test_a_plain_function_runs_in_a_thread() -> None:
    """The event loop goes on meanwhile, and the thread knows its first call."""
    here: list[tuple[str, bool]] = []

    @batched(max_size=2)
    def shout(events: list[str], contexts: list[Context]) -> list[str]:
        here.append((current_context().request_id, threading.current_thread().daemon))
        return [each.upper() for each in events]

    async def main() -> list[str]:
        calls = (shout(text, context(text)) for text in "abc")
        return await asyncio.gather(*calls)

    assert asyncio.run(main()) == ["A", "B", "C"]
    assert here == [("a", True), ("c", True)]


def test_a_plain_function_may_return_what_is_awaited() -> None:
    """What it has begun goes on on the event loop."""

    async def later(events: list[int]) -> list[int]:
        return events

    @batched
    def begin(events: list[int]) -> Awaitable[list[int]]:
        return later(events)

    assert asyncio.run(begin(7)) == 7


def test_a_batch_is_no_larger_than_it_may_be() -> None:
    """The first ones go first, and one batch runs after the other."""
    batches: list[tuple[float, list[int]]] = []

    @batched(max_size=3, max_wait=0)
    async def note(events: list[int]) -> list[int]:
        batches.append((time.monotonic() - START, events))
        await asyncio.sleep(1)
        return events

    async def main() -> list[int]:
        return await asyncio.gather(*map(note, range(7)))

    assert run_virtual(main()) == list(range(7))
    assert batches == [(0, [0, 1, 2]), (1, [3, 4, 5]), (2, [6])]


def test_several_batches_run_at_once_if_asked() -> None:
    """With `concurrency=2` two run, and the third waits for one of them."""
    began: list[float] = []

    @batched(max_size=1, max_wait=0, concurrency=2)
    async def note(events: list[int]) -> list[int]:
        began.append(time.monotonic() - START)
        await asyncio.sleep(1)
        return events

    async def main() -> None:
        await asyncio.gather(*map(note, range(3)))

    run_virtual(main())
    assert began == [0, 0, 1]


def test_a_lone_call_waits_for_nobody() -> None:
    """No time passes until its batch begins, though it could wait for ten seconds."""

    @batched(max_wait=10)
    async def moment(events: list[int]) -> list[float]:
        return [time.monotonic() for _ in events]

    async def main() -> list[float]:
        return [await moment(0), await asyncio.sleep(5), await moment(1)]  # type: ignore[list-item, func-returns-value]

    assert run_virtual(main()) == [START, None, START + 5]


def test_a_call_waits_for_others_that_are_in_flight(company: Company) -> None:
    """It waits for `max_wait` at most, and all that come until then are in its batch."""
    company(3)
    batches: list[tuple[float, list[int]]] = []

    @batched(max_wait=4)
    async def note(events: list[int]) -> list[int]:
        batches.append((time.monotonic() - START, events))
        return events

    async def late(seconds: float, event: int) -> int:
        await asyncio.sleep(seconds)
        return await note(event)

    async def main() -> None:
        await asyncio.gather(late(0, 0), late(3, 1))
        await note(2)

    run_virtual(main())
    assert batches == [(4, [0, 1]), (pytest.approx(8, abs=0.5), [2])]


def test_all_that_are_in_flight_wait_no_longer(company: Company) -> None:
    """Once the last request that is in flight has come, the batch begins."""
    company(2)
    began: list[float] = []

    @batched(max_wait=4)
    async def note(events: list[int]) -> list[int]:
        began.append(time.monotonic() - START)
        return events

    async def late(seconds: float, event: int) -> int:
        await asyncio.sleep(seconds)
        return await note(event)

    async def main() -> None:
        await asyncio.gather(late(0, 0), late(1, 1))

    run_virtual(main())
    assert began == [1]


def test_callers_that_were_just_answered_are_waited_for() -> None:
    """Who gets an answer calls again: the next batch is as large as the last one, though at its
    first call nobody else is in flight; a caller that is alone waits for nobody.
    """
    batches: list[int] = []
    alone: list[float] = []

    @batched(max_wait=0.1)
    async def note(events: list[int]) -> list[int]:
        batches.append(len(events))
        await asyncio.sleep(1)
        return events

    async def again(number: int) -> None:
        for _ in range(3):
            await note(number)
            await asyncio.sleep(0.001 * number)

    async def main() -> None:
        await asyncio.gather(*map(again, range(10)))
        await asyncio.sleep(1)
        for _ in range(2):
            began = time.monotonic()
            await note(0)
            alone.append(time.monotonic() - began)

    run_virtual(main())
    assert batches == [10, 10, 10, 1, 1]
    assert alone == [1, 1]


def test_one_failure_in_its_place_is_one_calls() -> None:
    """An exception in the list is raised by its call, the others get their results."""

    @batched
    async def half(events: list[int]) -> list[int | BaseException]:
        return [each // 2 if each % 2 == 0 else ValueError(f"{each} is odd") for each in events]

    async def main() -> list[Any]:
        return await settled(*(half(each) for each in (2, 3, 4)))

    first, failure, last = asyncio.run(main())
    assert (first, last) == (1, 2)
    assert isinstance(failure, ValueError)
    assert str(failure) == "3 is odd"


@pytest.mark.parametrize("ended", [SystemExit(2), StopIteration(), KeyboardInterrupt()])
def test_whatever_is_raised_is_raised_by_each_call(ended: BaseException) -> None:
    """What the function raises fails its batch alone, also what would end a task or a process."""

    @batched
    def refuse(events: list[int]) -> list[int]:
        if 0 in events:
            raise ended
        return events

    async def one(event: int) -> object:
        try:
            return await refuse(event)
        except BaseException as failure:
            return failure.__cause__ or failure

    async def main() -> list[Any]:
        failed = await asyncio.gather(one(0), one(1))
        return [*map(type, failed), await one(2)]

    assert asyncio.run(main()) == [type(ended), type(ended), 2]


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        ([1], r"has returned 1 results for 2 calls: return a list with one result for each"),
        ([1, 2, 3], "has returned 3 results for 2 calls"),
        (None, "has returned nothing for 2 calls: return a list"),
        ({1: 2}, "has returned dict, not a list, for 2 calls"),
        (iter([1, 2]), "has returned list_iterator, not a list, for 2 calls"),
    ],
)
def test_what_is_no_list_of_results_fails_each_call(returned: Any, told: str) -> None:
    """Each call of the batch is told what to do, and the next batch runs."""
    returns: list[Any] = [returned, [5]]

    @batched
    async def index(events: list[int]) -> Sequence[int]:
        found: Sequence[int] = returns.pop(0)
        return found

    async def main() -> list[Any]:
        return [*await settled(index(0), index(1)), await index(2)]

    *failed, last = asyncio.run(main())
    assert last == 5
    for each in failed:
        with pytest.raises(BatchFailed, match=told):
            raise each


def test_a_batch_that_is_cancelled_from_within_fails_its_calls() -> None:
    """They are told, and the next batch runs."""

    @batched
    async def give_up(events: list[int]) -> list[int]:
        if 0 in events:
            task = asyncio.current_task()
            assert task
            task.cancel()
            await asyncio.sleep(0)
        return events

    async def main() -> list[Any]:
        return [*await settled(give_up(0)), await give_up(1)]

    failure, last = asyncio.run(main())
    assert isinstance(failure, BatchFailed)
    assert "was cancelled from within" in str(failure)
    assert last == 1


def test_a_call_that_is_cancelled_before_the_start_is_no_part_of_it() -> None:
    """The function never sees its event."""
    batches: list[list[int]] = []

    @batched(max_size=2)
    async def note(events: list[int]) -> list[int]:
        batches.append(events)
        await asyncio.sleep(1)
        return events

    async def main() -> list[int]:
        calls = [asyncio.create_task(note(each)) for each in range(5)]
        await asyncio.sleep(0.5)
        calls[3].cancel()
        return await asyncio.gather(*(calls[each] for each in (0, 1, 2, 4)))

    assert run_virtual(main()) == [0, 1, 2, 4]
    assert batches == [[0, 1], [2, 4]]


def test_a_call_that_is_cancelled_after_the_start_hurts_no_other() -> None:
    """Its result is dropped; the others get theirs."""
    ended: list[list[int]] = []

    @batched
    async def note(events: list[int]) -> list[int]:
        await asyncio.sleep(1)
        ended.append(events)
        return events

    async def main() -> list[int]:
        calls = [asyncio.create_task(note(each)) for each in range(3)]
        await asyncio.sleep(0.5)
        calls[0].cancel()
        await asyncio.gather(calls[0], return_exceptions=True)
        return await asyncio.gather(*calls[1:])

    assert run_virtual(main()) == [1, 2]
    assert ended == [[0, 1, 2]]


def test_a_batch_that_nobody_waits_for_ends() -> None:
    """It is cancelled with the last of its calls, and the next batch does not wait for it."""
    ended: list[str] = []

    @batched
    async def stay(events: list[int]) -> list[int]:
        if 2 in events:
            return events
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            ended.append("cancelled")
            await asyncio.sleep(10)
            ended.append("late")
        return events

    async def main() -> float:
        calls = [asyncio.create_task(stay(each)) for each in range(2)]
        await asyncio.sleep(1)
        for each in calls:
            each.cancel()
        assert await stay(2) == 2
        now = time.monotonic()
        await asyncio.sleep(20)
        return now

    assert run_virtual(main()) == START + 1
    assert ended == ["cancelled", "late"]


def test_a_batch_that_hangs_is_late_for_each_call_at_its_own_deadline() -> None:
    """Each is told when its time is over; the batch goes on as long as one waits, and the next one
    runs then.
    """

    @batched
    async def hang(events: list[int]) -> list[int]:
        await asyncio.sleep(1000 if 0 in events else 0)
        return events

    async def one(event: int, seconds: float) -> tuple[object, float]:
        began = time.monotonic()
        (came,) = await settled(hang(event, context(str(event), seconds)))
        return came, time.monotonic() - began

    async def main() -> list[tuple[object, float]]:
        return list(await asyncio.gather(one(0, 5), one(1, 9), late()))

    async def late() -> tuple[object, float]:
        await asyncio.sleep(1)
        return await one(2, 30)

    (first, at), (second, later), (third, last) = run_virtual(main())
    for failure in (first, second):
        assert isinstance(failure, FunctionTimeout)
        assert "has not returned within" in str(failure)
        assert "make the batch smaller (max_size)" in str(failure)
    assert third == 2
    assert [at, later, last] == pytest.approx([5, 9, 8], abs=0.05)


def test_a_call_may_use_all_of_a_short_time() -> None:
    """One that has a hundredth of a second left gets what comes within nine thousandths."""

    @batched
    async def hurry(events: list[int]) -> list[int]:
        await asyncio.sleep(0.008)
        return events

    async def main() -> int:
        return await hurry(1, context(seconds=0.01))

    assert run_virtual(main()) == 1


def test_a_thread_that_hangs_keeps_no_other_batch_from_running() -> None:
    """Its calls are late, and the next batch gets a thread of its own."""
    go = threading.Event()

    @batched(timeout=3)
    def hang(events: list[int]) -> list[int]:
        if 0 in events:
            go.wait(20)
        return events

    async def main() -> None:
        first = asyncio.create_task(hang(0))
        await asyncio.sleep(4)
        (failure,) = await settled(first)
        assert isinstance(failure, FunctionTimeout)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        with loop.hold():
            assert await hang(1) == 1
        go.set()

    run_virtual(main())


def test_the_functions_deadline_is_the_earliest() -> None:
    """Where a batch runs, `current_context()` has the first call's id and the earliest deadline."""
    found: list[tuple[str, float | None]] = []

    @batched
    async def look(events: list[int]) -> list[int]:
        found.append((current_context().request_id, current_context().remaining()))
        return events

    async def main() -> None:
        await asyncio.gather(look(0, context("a", 9)), look(1, context("b", 5)))
        await look(2, context("c"))
        await look(3)

    with pytest.raises(LookupError, match="no call runs here"):
        run_virtual(main())
    assert found == [("a", 5), ("c", None)]


def test_contexts_are_those_of_the_calls() -> None:
    """`with contexts[i]:` makes that call the current one; outside of calls there are none."""

    @batched
    async def ids(events: list[int], contexts: list[Context]) -> list[str]:
        found = []
        for each in contexts:
            with each:
                found.append(current_context().request_id)
        return [*found[:-1], current_context().request_id]

    async def main() -> list[str]:
        return await asyncio.gather(*(ids(0, context(each)) for each in "xyz"))

    assert run_virtual(main()) == ["x", "y", "x"]
    with pytest.raises(LookupError, match=r"ids can be given no context: let it take the events"):
        asyncio.run(ids(0))


def test_it_tells_what_one_event_is() -> None:
    """It is called with one event and a context, the event being what the lists are of."""

    @batched
    async def total(events: list[dict[str, int]], contexts: list[Context]) -> list[int]:
        """Add up."""
        return [sum(each.values()) for each in events]

    signature = inspect.signature(total)
    assert list(signature.parameters) == ["event", "context"]
    assert signature.parameters["event"].annotation == dict[str, int]
    assert (total.__name__, total.__doc__) == ("total", "Add up.")
    with pytest.raises(AttributeError, match="'Batched' object has no attribute 'nothing'"):
        _ = total.nothing


async def many(event: list[int], context: list[Context]) -> list[int]:
    """Take many, by names that a handler of one has."""
    return event


def bare(events: list, contexts) -> list:  # type: ignore[type-arg, no-untyped-def] # as some write
    """Take many of anything."""
    return events


def wrong(events: dict[str, int]) -> list[int]:
    """Take no list."""
    return list(events.values())


def test_it_is_loaded_as_a_handler_of_one_event() -> None:
    """The event is what the list is of, whatever the parameters are called; bytes if nothing is
    said; a function of something else cannot be served.
    """
    found = take(batched(many), Path())
    assert found.handler.kind == "async"
    assert found.handler.decode
    assert found.handler.decode(b"3") == 3
    with pytest.raises(InvalidEvent):
        found.handler.decode(b"[3]")
    untold = take(batched(bare), Path()).handler.decode
    assert untold
    assert untold(b"[3]") == b"[3]"
    with pytest.raises(TypeError, match=r"the events of wrong are dict.*: write `def predict"):
        take(batched(wrong), Path())  # type: ignore[arg-type]


def test_it_is_a_handler_beneath_a_decorator_of_the_users() -> None:
    """What `functools.wraps` copies is told of the event, too."""
    calls: list[int] = []
    inner = batched(many)

    @functools.wraps(inner)
    async def counted(event: int, context: Context) -> int:
        calls.append(event)
        return await inner(event, context)

    decode = take(counted, Path()).handler.decode
    assert decode
    assert decode(b"3") == 3
    assert asyncio.run(counted(3, context())) == 3
    assert calls == [3]


class OneOfMany:
    """A function's class, with a method."""

    def many(self, events: list[int]) -> list[int]:
        """Take many."""
        return events

    def batch(self) -> Callable[[int], Awaitable[int]]:
        """Batch it where it is bound."""
        return batched(self.many)


def test_a_method_is_batched_where_it_is_bound() -> None:
    """A bound method is a function of many events as any other; an unbound one is refused."""
    assert asyncio.run(OneOfMany().batch()(3)) == 3  # type: ignore[arg-type] # a coroutine
    with pytest.raises(TypeError, match=r"many is a method: .*self.predict = batched"):
        batched(OneOfMany.many)  # type: ignore[arg-type]


def generator(events: list[int]) -> Any:
    """A generator."""
    yield events


async def async_generator(events: list[int]) -> Any:
    """An async generator."""
    yield events


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (generator, "is a generator"),
        (async_generator, "is an async generator: return a list"),
        (OneOfMany, "is a class, not a function"),
        (7, "is int, not a function"),
        (lambda: [], r"takes \(\): write `def predict"),
        (lambda a, b, c: [], r"takes \(a, b, c\): write"),
    ],
)
def test_what_cannot_be_batched_is_refused_at_once(found: Any, told: str) -> None:
    """The import fails with what to do."""
    with pytest.raises(TypeError, match=told):
        batched(found)


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ({"max_size": 0}, "max_size is a whole number from 1 to 10000: 0"),
        ({"max_size": 2.5}, "max_size is a whole number"),
        ({"concurrency": True}, "concurrency is a whole number from 1 to 200"),
        ({"max_wait": -1}, "max_wait is in seconds, from 0 to 60: -1"),
        ({"max_wait": float("nan")}, "max_wait is in seconds"),
        ({"timeout": 0}, "timeout is in seconds, more than 0, or None: 0"),
    ],
)
def test_limits_that_cannot_be_are_refused(limits: dict[str, Any], told: str) -> None:
    """Each with what is allowed."""
    with pytest.raises(ValueError, match=told):
        batched(**limits)


def test_a_batch_finds_its_own_tasks() -> None:
    """Who cancels all tasks but its own in a batch ends those that the batch has started."""

    async def own() -> None:
        await asyncio.Event().wait()

    @batched
    async def cancel_all(events: list[int]) -> list[int]:
        task = asyncio.create_task(own())
        await asyncio.sleep(0)
        found = left_behind.function_tasks()
        assert found == {task, asyncio.current_task()}
        task.cancel()
        return events

    async def main() -> list[int]:
        left_behind.track_on(asyncio.get_running_loop())
        left_behind.track()
        return await asyncio.gather(*map(cancel_all, range(3)))

    assert run_virtual(main()) == [0, 1, 2]


def test_a_loop_that_is_closed_leaves_no_threads() -> None:
    """A function that is used on one loop after the other, as tests do, keeps the last one's."""

    @batched
    def name(events: list[int]) -> list[threading.Thread]:
        return [threading.current_thread() for _ in events]

    first, second = asyncio.run(name(0)), asyncio.run(name(1))
    first.join(20)
    assert not first.is_alive()
    assert second.is_alive()


@FORKS
@pytest.mark.parametrize("fails", [False, True], ids=["returns", "raises"])
async def test_a_process_that_a_batch_forks_ends_with_it(fails: bool) -> None:
    """It does not go on with the calls of the batch, nor take others."""
    parent = os.getpid()

    @batched
    async def fork(events: list[int]) -> list[int]:
        child = os.fork()
        if fails and not child:
            raise SystemExit(3)
        return [child for _ in events]

    try:
        child = await fork(1)
    finally:
        if os.getpid() != parent:
            os._exit(99)
    _, status = await asyncio.to_thread(os.waitpid, child, 0)
    assert os.waitstatus_to_exitcode(status) == (3 if fails else 0)
