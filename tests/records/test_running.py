"""A batch while it is handled, on a clock of the test's own."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import nullcontext
from itertools import pairwise
from typing import Any

import pytest
import stamina
from hypothesis import given, settings
from hypothesis import strategies as st

from service import Drop, Retry, current_context, each
from service.calls.admission import Budget
from service.calls.stream import Chunks, EventStream
from service.context.call import RUNNING, Context
from service.counting.pages import USER_PAGE
from service.errors import ClientGone, InvalidEvent, RecordsFailed
from tests.assembly import Logged, untimed
from tests.virtual_clock import run_virtual


def handled(
    handler: Any, batch: Any, seconds: float | None = 100.0, *, in_threads: bool = False
) -> Any:
    """What a batch comes to that has so many seconds, on a virtual clock; it stands still if
    something runs `in_threads`.
    """

    async def main() -> Any:
        deadline = None if seconds is None else time.monotonic() + seconds
        context = Context({}, "1-call", deadline)
        RUNNING.set(context)
        body = batch if isinstance(batch, EventStream | bytes) else json.dumps(batch).encode()
        loop: Any = asyncio.get_running_loop()
        with loop.hold() if in_threads else nullcontext():
            return await handler(body, context)

    return run_virtual(main())


async def ignore(_record: Any, _error: BaseException, _context: Any) -> None:
    """Take a failure over, and forget it."""


def numbers(count: int, **fields: Any) -> list[dict[str, Any]]:
    """So many records."""
    return [{"n": n, **fields} for n in range(count)]


def test_each_record_is_handled_and_the_counts_are_the_result() -> None:
    """The records come decoded, one by one."""
    seen = []

    @each
    async def handler(record: dict[str, int], _context: Any) -> None:
        seen.append(record["n"])

    counts = {"records": 3, "ok": 3, "dropped": 0, "failed": 0, "left": 0, "retries": 0}
    assert handled(handler, numbers(3)) == counts
    assert seen == [0, 1, 2]
    assert handled(handler, []) == {**counts, "records": 0, "ok": 0}


def test_ten_thousand_records_are_handled_and_no_more_than_asked_at_once() -> None:
    """Their order is that of the batch, and at most `concurrency` run."""
    running = most = 0

    @each(concurrency=7)
    async def handler(record: Any, _context: Any) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    assert handled(handler, numbers(10_000))["ok"] == 10_000
    assert most == 7


# --- outcomes


def test_a_record_that_fails_fails_the_call_which_says_which_it_was() -> None:
    """The message has its place, its key and its error; the others are handled."""
    done = []

    @each(key="$.k")
    async def handler(record: dict[str, Any], _context: Any) -> None:
        if record["n"] in (1, 3):
            raise ValueError(f"no order {record['n']}")
        done.append(record["n"])

    records = [{"n": n, "k": "a" if n < 2 else None} for n in range(4)]
    with pytest.raises(RecordsFailed) as failure:
        handled(handler, records)
    assert str(failure.value) == (
        "2 of 4 records failed: $[1] (key a): ValueError: no order 1; $[3]: ValueError: no order 3"
    )
    assert done == [0, 2]


def test_a_message_of_ten_thousand_failures_is_short() -> None:
    """It names a few, with their texts cut, and counts the rest; so does the log."""

    text = "x" * 1_000_000

    @each(key="$.k")
    async def handler(_record: Any, _context: Any) -> None:
        raise ValueError(text)

    with pytest.raises(RecordsFailed) as failure:
        handled(handler, [{"k": f"{n}" + "k" * 1000} for n in range(10_000)])
    assert len(str(failure.value)) < 5_000
    assert str(failure.value).startswith("10000 of 10000 records failed: $[0] (key 0k")
    assert str(failure.value).endswith("; and 9990 more")


def test_a_record_that_cannot_be_decoded_fails_alone() -> None:
    """No JSON in a text, another type, and a missing key are failures of that record."""
    done = []

    @each(key="$.k", on_failure=ignore)
    async def handler(record: dict[str, int], _context: Any) -> None:
        done.append(record["n"])

    batch = ["{", 7, {"n": 2}, {"n": 3, "k": 1}, '{"n": 4, "k": 2}']
    result = handled(handler, batch)
    assert done == [3, 4]
    assert (result["ok"], result["failed"]) == (2, 3)
    assert [(f["index"], f["errorType"]) for f in result["failures"]] == [
        (0, "InvalidEvent"),
        (1, "InvalidEvent"),
        (2, "InvalidEvent"),
    ]
    assert result["failures"][2]["errorMessage"] == "$.k: the event has no 'k' there"


@pytest.mark.parametrize(
    "drop", [lambda: Drop, lambda: Drop("old"), lambda: _raise(Drop("old")), lambda: _raise(Drop())]
)
def test_a_record_that_is_dropped_is_no_failure(drop: Callable[[], Any]) -> None:
    """Whether it is said by returning or raising; it is counted, and never tried again."""
    tries = 0

    @each(retry=5)
    async def handler(_record: Any, _context: Any) -> Any:
        nonlocal tries
        tries += 1
        return drop()

    result = handled(handler, numbers(2))
    assert (result["dropped"], result["ok"], tries) == (2, 0, 2)
    assert "failures" not in result


def _raise(failure: BaseException) -> Any:
    raise failure


@pytest.mark.parametrize(
    "retry", [lambda: Retry, lambda: Retry("soon"), lambda: _raise(Retry("soon"))]
)
def test_a_record_is_tried_again_if_its_handler_asks(retry: Callable[[], Any]) -> None:
    """As often as `retry` says, and then it has failed; without `retry` at once."""
    tries = 0

    async def handle(_record: Any, _context: Any) -> Any:
        nonlocal tries
        tries += 1
        return retry()

    with pytest.raises(RecordsFailed, match="Retry: "):
        handled(each(retry=3)(handle), numbers(1))
    assert tries == 3
    with pytest.raises(RecordsFailed, match="Retry: "):
        handled(each(handle), numbers(1))
    assert tries == 4


def test_a_record_is_tried_again_after_the_seconds_that_are_asked_for() -> None:
    """`Retry(after=...)` wins over the back-off; if the time does not suffice, it has failed."""
    at = []

    @each(retry=4)
    async def handler(_record: Any, context: Context) -> Any:
        at.append(time.monotonic())
        return Retry(after=30) if len(at) < 3 else None

    assert handled(handler, numbers(1), seconds=100)["retries"] == 2
    assert [round(b - a) for a, b in pairwise(at)] == [30, 30]
    at.clear()
    with pytest.raises(RecordsFailed, match="Retry: its handler asks for another try"):
        handled(handler, numbers(1), seconds=50)
    assert len(at) == 2


def test_failures_are_tried_again_and_the_last_one_is_told() -> None:
    """The result says how many tries a record had; one that is no record at all has one."""
    tries: Counter[int] = Counter()

    @each(retry=3, on_failure=ignore)
    async def handler(record: dict[str, int], _context: Any) -> None:
        tries[record["n"]] += 1
        if record["n"] or tries[0] < 3:
            raise ConnectionError(f"try {tries[record['n']]}")

    result = handled(handler, [*numbers(2), 7])
    assert (result["ok"], result["failed"], result["retries"]) == (1, 2, 4)
    by_index = {failure["index"]: failure for failure in result["failures"]}
    assert by_index[1] == {
        "index": 1,
        "tries": 3,
        "errorType": "ConnectionError",
        "errorMessage": "try 3",
    }
    assert "tries" not in by_index[2]


def test_a_caller_of_staminas_says_what_is_tried_and_how_long_it_waits() -> None:
    """One that is bound to exceptions leaves all others alone."""
    tries: Counter[int] = Counter()

    async def handle(record: dict[str, int], _context: Any) -> None:
        tries[record["n"]] += 1
        raise (ConnectionError if record["n"] else KeyError)("no")

    caller = stamina.AsyncRetryingCaller(attempts=3, wait_jitter=0)
    with pytest.raises(RecordsFailed):
        handled(each(retry=caller.on((ConnectionError, Retry)))(handle), numbers(2))
    assert tries == {0: 1, 1: 3}
    with pytest.raises(RecordsFailed):
        handled(each(retry=caller)(handle), numbers(2))
    assert tries == {0: 4, 1: 6}


def test_staminas_testing_mode_takes_the_waits_away() -> None:
    """A function's own tests need not wait."""
    tries = 0

    @each(retry=100)
    async def handler(_record: Any, _context: Any) -> None:
        nonlocal tries
        tries += 1
        raise ConnectionError("no")

    with stamina.set_testing(True, attempts=2), pytest.raises(RecordsFailed):
        handled(handler, numbers(1), seconds=None)
    assert tries == 2


@pytest.mark.parametrize(
    "failure",
    [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit, BaseException()],
)
def test_whatever_a_record_raises_is_its_own_failure(failure: Any) -> None:
    """No other record, and no other call, ends with it."""

    @each(retry=3)
    async def handler(record: dict[str, int], _context: Any) -> None:
        if record["n"] == 1 and not isinstance(failure, type):
            raise failure

    if isinstance(failure, type):
        assert handled(handler, numbers(3))["ok"] == 3
        return
    with pytest.raises(RecordsFailed, match=r"1 of 3 records failed: \$\[1\]"):
        handled(handler, numbers(3))


@pytest.mark.parametrize("sink", [None, ignore])
def test_a_record_that_cancels_its_own_task_has_failed(sink: Any) -> None:
    """It is told, tried no more, and handed over; the others go on."""

    @each(concurrency=2, key="$.k", on_failure=sink, retry=3)
    async def handler(record: dict[str, int], _context: Any) -> None:
        if record["n"] == 1:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(1)

    if sink is None:
        with pytest.raises(
            RecordsFailed, match=r"^1 of 4 records failed: \$\[1\] .*CancelledError"
        ):
            handled(handler, numbers(4, k=1))
    else:
        result = handled(handler, numbers(4, k=1))
        assert (result["ok"], result["failed"]) == (3, 1)


def test_a_sink_that_cancels_its_own_task_has_not_taken_the_record() -> None:
    """The call fails: the record is nobody's."""

    async def sink(_record: Any, _error: BaseException, _context: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(1)

    @each(on_failure=sink)
    async def handler(record: dict[str, int], _context: Any) -> None:
        raise ValueError("no")

    with pytest.raises(RecordsFailed, match=r"2 of 2 records failed: .*cancelled its own task"):
        handled(handler, numbers(2))


# --- order


COURSES = st.lists(
    st.tuples(
        st.sampled_from([None, "a", "b"]),
        st.lists(st.tuples(st.integers(0, 4), st.sampled_from("orbdx")), min_size=1, max_size=3),
    ),
    max_size=20,
)
"""Records: a key, and each of their tries: its seconds, and what it comes to."""


@settings(max_examples=50)
@given(
    COURSES,
    st.integers(1, 4),
    st.sampled_from([None, 1, 2, 3]),
    st.sampled_from([None, "sink", "bad sink"]),
    st.sampled_from([None, 2, 8, 1000]),
)
def test_each_record_has_one_outcome_and_keys_keep_their_order(
    course: list[tuple[str | None, list[tuple[int, str]]]],
    concurrency: int,
    retry: int | None,
    sink: str | None,
    seconds: int | None,
) -> None:
    """Whenever records end, whatever they come to, and however little time there is: counts add up,
    what is handed over is what failed or was left, and a key's records never overlap.
    """
    began: defaultdict[str | None, list[int]] = defaultdict(list)
    running: set[int] = set()
    tries: Counter[int] = Counter()
    finished: Counter[int] = Counter()
    handed: Counter[int] = Counter()

    async def handle(record: dict[str, Any], _context: Any) -> Any:
        number, key = record["n"], record["k"]
        plan = course[number][1]
        lasting, outcome = plan[min(tries[number], len(plan) - 1)]
        if not tries[number]:
            began[key].append(number)
        tries[number] += 1
        assert key is None or all(course[n][0] != key for n in running)
        running.add(number)
        assert len(running) <= concurrency
        try:
            await asyncio.sleep(lasting)
        finally:
            running.discard(number)
        if outcome == "b":
            raise ValueError("bad")
        if outcome == "x":
            raise SystemExit(1)
        if outcome in "od":
            finished[number] += 1
        return {"o": None, "r": Retry, "d": Drop}[outcome]

    def take(record: dict[str, Any], _error: Any, _context: Any) -> None:
        handed[record["n"]] += 1
        if sink == "bad sink":
            raise OSError("full")

    async def take_over(record: dict[str, Any], error: Any, context: Any) -> None:
        take(record, error, context)

    handler = each(
        concurrency=concurrency,
        key="$.k",
        retry=retry and stamina.AsyncRetryingCaller(attempts=retry, wait_jitter=0, timeout=None),
        on_failure=take_over if sink else None,
    )(handle)
    records = [{"n": number, "k": key} for number, (key, _) in enumerate(course)]
    try:
        result = handled(handler, records, seconds)
    except RecordsFailed:
        result = None
    assert max([*finished.values(), *handed.values()], default=1) == 1
    for key, order in began.items():
        assert order == sorted(order), key
    if result is None:
        assert sink != "sink"
    else:
        assert result["ok"] + result["dropped"] == finished.total()
        assert result["failed"] + result["left"] == handed.total()
        assert sum(result[name] for name in ("ok", "dropped", "failed", "left")) == len(course)
    if sink:
        assert not finished.keys() & handed.keys()
        assert finished.total() + handed.total() == len(course)


# --- time


def test_a_record_has_what_remains_of_the_call_but_a_margin() -> None:
    """A tenth of it, and five seconds at most, are kept; `margin` says otherwise."""
    seen = []

    async def handle(_record: Any, context: Context) -> None:
        seen.append(context.remaining())

    for seconds, margin in ((100, None), (10, None), (100, 20), (10, 20), (None, None)):
        handled(each(margin=margin)(handle), numbers(1), seconds)
    assert seen == [95, 9, 80, 5, None]


def test_what_is_not_done_in_time_is_told_apart_from_what_was_not_begun() -> None:
    """Without a sink the call fails before its own time is over, and names both."""
    cancelled = []

    @each(concurrency=2)
    async def handler(record: dict[str, int], _context: Any) -> None:
        try:
            await asyncio.sleep(6 if record["n"] < 4 else 0)
        except asyncio.CancelledError:
            cancelled.append(record["n"])
            raise

    with pytest.raises(RecordsFailed) as failure:
        handled(handler, numbers(50), seconds=10)
    assert str(failure.value) == (
        "2 of 50 records failed, and 46 were left when the time was over, from $[4] on:"
        " $[2]: RecordTimeout: it was not done within 9 seconds;"
        " $[3]: RecordTimeout: it was not done within 9 seconds"
    )
    assert cancelled == [2, 3]


def test_the_log_says_where_a_record_waited_when_its_time_was_over(log: Logged) -> None:
    """With file and line."""

    @each
    async def handler(_record: Any, _context: Any) -> None:
        await asyncio.sleep(60)

    with pytest.raises(RecordsFailed):
        handled(handler, [1], seconds=10)
    line = handler.record_handler.__code__.co_firstlineno + 2
    assert untimed(log[1].lines()) == [
        "1-call [WARNING] the time is over: 1 records are late, 0 not begun",
        "1-call [ERROR] $[0]: the record failed: RecordTimeout: it was not done within 9 seconds,"
        f" at {__file__}:{line} in handler record_index=0",
    ]


def test_what_is_left_is_handed_over_and_then_the_call_succeeds() -> None:
    """The sink gets each decoded, with an error that is a TimeoutError."""
    taken = {}

    async def sink(record: dict[str, int], error: BaseException, context: Context) -> None:
        assert isinstance(error, TimeoutError)
        assert context.remaining() == pytest.approx(1)
        taken[record["n"]] = type(error).__name__

    @each(concurrency=2, key="$.k", on_failure=sink)
    async def handler(record: dict[str, int], _context: Any) -> None:
        await asyncio.sleep(60)

    records = [{"n": n, "k": n // 2} for n in range(8)]
    result = handled(handler, records, seconds=10)
    assert (result["failed"], result["left"], result["ok"]) == (2, 6, 0)
    assert taken == {n: "RecordTimeout" if n in (0, 2) else "RecordLeft" for n in range(8)}


def test_a_record_that_does_not_give_up_is_left_alone() -> None:
    """One that swallows its cancellation, or hangs in a thread: the call is answered in time."""
    gate = threading.Event()

    async def stubborn(_record: Any, _context: Any) -> None:
        while not gate.is_set():
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                continue

    def hangs(_record: Any, _context: Any) -> None:
        gate.wait(20)

    for handle in (stubborn, hangs):
        gate.clear()

        async def main(handle: Any = handle) -> None:
            context = Context({}, "1-call", time.monotonic() + 10)
            try:
                with pytest.raises(RecordsFailed, match="it was not done within 9 seconds"):
                    await each(handle)(b"[1]", context)
                assert context.remaining()
            finally:
                gate.set()

        run_virtual(main())


def test_a_record_in_its_back_off_tells_its_last_failure_when_the_time_is_over() -> None:
    """The time-out is not what was wrong with it."""

    @each(retry=stamina.AsyncRetryingCaller(attempts=9, wait_initial=50, wait_max=50, timeout=None))
    async def handler(_record: Any, _context: Any) -> None:
        raise ConnectionError("refused")

    with pytest.raises(RecordsFailed, match=r"\$\[0\]: ConnectionError: refused"):
        handled(handler, numbers(1), seconds=10)


# --- failures handed over


@pytest.mark.parametrize("plain", [True, False])
def test_what_fails_is_handed_over_and_the_call_succeeds(plain: bool) -> None:
    """The sink gets the record, its error and its context; undecoded bytes if it is none."""
    taken = []

    def take(record: Any, error: BaseException, context: Context) -> None:
        assert current_context() is context
        assert context.remaining() == 10
        taken.append((record, type(error).__name__, str(error)))

    async def take_over(record: Any, error: BaseException, context: Context) -> None:
        take(record, error, context)

    @each(on_failure=take if plain else take_over)
    async def handler(record: dict[str, int], _context: Any) -> None:
        raise ValueError(record["n"])

    result = handled(handler, [{"n": 0}, 7], seconds=10, in_threads=plain)
    assert sorted(taken, key=str) == [
        (b"7", "InvalidEvent", "$: Expected `object`, got `int`"),
        ({"n": 0}, "ValueError", "0"),
    ]
    assert (result["records"], result["failed"]) == (2, 2)
    assert result["failures"][0]["errorMessage"] == "0"


def test_a_result_of_many_failures_lists_some() -> None:
    """The rest are counted."""

    @each(on_failure=ignore)
    async def handler(_record: Any, _context: Any) -> None:
        raise ValueError("x" * 10_000)

    result = handled(handler, numbers(1000))
    assert len(result["failures"]) == 100
    assert result["moreFailures"] == 900
    assert len(json.dumps(result)) < 40_000


def test_a_sink_that_fails_makes_the_call_fail() -> None:
    """The other records are handled and handed over all the same; both failures are named."""
    taken = []

    async def sink(record: dict[str, int], _error: BaseException, _context: Context) -> None:
        if record["n"] == 1:
            raise OSError("the queue is full")
        taken.append(record["n"])

    @each(on_failure=sink)
    async def handler(record: dict[str, int], _context: Any) -> None:
        if record["n"] < 3:
            raise ValueError("no")

    with pytest.raises(RecordsFailed) as failure:
        handled(handler, numbers(4))
    assert taken == [0, 2]
    assert str(failure.value) == (
        "1 of 4 records failed: $[1]: ValueError: no"
        " (and on_failure raised OSError: the queue is full)"
    )


def test_a_sink_that_hangs_makes_the_call_fail_in_time() -> None:
    """Of a record that failed, and of one that was left."""

    async def sink(_record: Any, _error: BaseException, _context: Context) -> None:
        await asyncio.sleep(1000)

    @each(concurrency=1, on_failure=sink)
    async def handler(record: dict[str, int], _context: Any) -> None:
        raise ValueError("no")

    with pytest.raises(RecordsFailed) as failure:
        handled(handler, numbers(2), seconds=10)
    assert "$[0]: ValueError: no (and on_failure was not done in time)" in str(failure.value)
    assert "1 were left when the time was over, from $[1] on" in str(failure.value)


def test_a_call_that_is_cancelled_ends_its_records_and_says_what_was_done(log: Logged) -> None:
    """Nothing runs on, no record is handed over, and the counts are in the log."""
    ended = []

    @each(concurrency=2, on_failure=ignore)
    async def handler(record: dict[str, int], _context: Any) -> None:
        try:
            await asyncio.sleep(0 if record["n"] == 0 else 60)
        finally:
            ended.append(record["n"])

    async def main() -> None:
        context = Context({}, "1-call", time.monotonic() + 1000)
        RUNNING.set(context)
        task = asyncio.create_task(handler(json.dumps(numbers(9)).encode(), context))
        await asyncio.sleep(5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(5)
        assert len(asyncio.all_tasks()) == 1

    run_virtual(main())
    assert sorted(ended) == [0, 1, 2]
    [line] = untimed(log[1].lines())
    assert line == ("1-call [WARNING] the call was cut: 1 ok; 3 more records were begun")


# --- threads


def test_plain_handlers_run_in_threads_so_many_at_once() -> None:
    """A barrier of as many as may run at once opens."""
    barrier = threading.Barrier(5, timeout=20)
    names = set()

    @each(concurrency=5)
    def handler(_record: Any, _context: Any) -> None:
        names.add(threading.current_thread().name)
        barrier.wait()

    assert handled(handler, numbers(20), in_threads=True)["ok"] == 20
    assert len(names) == 5
    assert all(name.startswith("record-") for name in names)


def test_a_plain_function_may_return_a_coroutine() -> None:
    """A decorator that is not async around a handler that is."""
    seen = []

    async def handle(record: dict[str, int], _context: Any) -> None:
        seen.append(record["n"])

    @each
    def handler(record: dict[str, int], context: Any) -> Any:
        return handle(record, context)

    assert handled(handler, numbers(2), in_threads=True)["ok"] == 2
    assert seen == [0, 1]


# --- logs and metrics


def test_lines_of_records_that_run_at_once_have_their_own_fields(log: Logged) -> None:
    """Which record it is, and what it binds itself, in the handler and in what it starts."""

    @each(key="$.k")
    async def handler(record: dict[str, Any], context: Context) -> None:
        context.bind(order=record["n"])
        await asyncio.sleep(1)
        logging.getLogger("shop").warning("charged")
        await asyncio.gather(_note(record["n"]))
        assert current_context() is context

    async def _note(number: int) -> None:
        logging.getLogger("shop").warning("task %d", number)

    handled(handler, [{"n": 0, "k": "a"}, {"n": 1, "k": None}])
    assert untimed(log[1].lines()) == [
        "1-call [WARNING] charged record_index=0 record_key=a order=0",
        "1-call [WARNING] charged record_index=1 order=1",
        "1-call [WARNING] task 0 record_index=0 record_key=a order=0",
        "1-call [WARNING] task 1 record_index=1 order=1",
    ]


def test_a_failure_is_told_in_the_log_with_its_record_and_no_more_than_a_few(log: Logged) -> None:
    """The line has the place; a flood of failures is not a flood of lines."""

    @each(on_failure=ignore)
    async def handler(record: dict[str, int], _context: Any) -> None:
        raise ValueError("no")

    handled(handler, numbers(1))
    lines = untimed(log[1].lines())
    assert lines[0] == (
        "1-call [ERROR] $[0]: the record failed: Traceback (most recent call last): record_index=0"
    )
    assert lines[-2:] == [
        "1-call [ERROR] ValueError: no record_index=0",
        "1-call [WARNING] records were handed over: 1 failed",
    ]
    handled(handler, numbers(500))
    assert len(log[1].lines()) < 120


def test_records_are_counted_by_outcome() -> None:
    """For `/metrics`, with the times that one was tried again."""

    def told() -> dict[str, float]:
        families = {family.name: family for family in USER_PAGE.made().families()}
        found = {}
        for name in ("fc_records_total", "fc_record_retries_total"):
            for (_, labels), value in families[name].samples.items() if name in families else ():
                found[labels[0][1] if labels else "retries"] = value
        return found

    @each(retry=2, on_failure=ignore)
    async def handler(record: dict[str, int], _context: Any) -> Any:
        return [None, Drop, Retry][record["n"]]

    before = Counter(told())
    handled(handler, numbers(3))
    assert Counter(told()) - before == {"ok": 1, "dropped": 1, "failed": 1, "retries": 1}


# --- streams


def stream(*chunks: bytes) -> EventStream:
    """A body that comes in these pieces."""
    return EventStream(Chunks(*chunks), size=None, limit=1 << 30, budget=Budget(1 << 30))


def test_lines_of_a_stream_are_records_as_they_arrive() -> None:
    """A bad line fails alone, and is named by its number; blank ones are none."""
    seen = []

    async def sink(record: Any, _error: BaseException, _context: Any) -> None:
        seen.append(record)

    @each(lines=True, concurrency=1, on_failure=sink)
    async def handler(record: dict[str, int], _context: Any) -> None:
        seen.append(record["n"])

    result = handled(handler, stream(b'{"n": 1}\n\n{"n"', b': 2}\r\n{bad\n{"n": 3}'))
    assert (result["ok"], result["failed"]) == (3, 1)
    assert seen == [1, 2, b"{bad", 3]
    assert result["failures"][0]["index"] == 2


def test_a_stream_is_read_no_further_ahead_than_records_are_done() -> None:
    """Twice as many as run at once: what comes behind stays with the sender."""
    read = done = 0

    class Endless:
        async def readany(self) -> bytes:
            nonlocal read
            read += 1
            return b'{"n": 1}\n'

    @each(lines=True, concurrency=3, key="$.n")
    async def handler(record: Any, _context: Any) -> None:
        nonlocal done
        await asyncio.sleep(1)
        done += 1
        assert read - done <= 7

    event = EventStream(Endless(), size=None, limit=1 << 30, budget=Budget(1 << 30))
    with pytest.raises(RecordsFailed, match="before the stream was read to its end"):
        handled(handler, event, seconds=10)
    assert 6 <= read <= 20


def test_a_stream_that_breaks_off_fails_the_call_once_its_records_are_done(log: Logged) -> None:
    """What runs goes on to its end; the log has the counts."""
    done = []

    class Broken(Chunks):
        async def readany(self) -> bytes:
            chunk = await super().readany()
            if not chunk:
                raise ConnectionResetError
            return chunk

    @each(lines=True)
    async def handler(record: dict[str, int], _context: Any) -> None:
        await asyncio.sleep(1)
        done.append(record["n"])

    source = Broken(b'{"n": 1}\n{"n": 2}\n{"n"')
    event = EventStream(source, size=None, limit=1 << 20, budget=Budget(1 << 20))
    with pytest.raises(ClientGone):
        handled(handler, event)
    assert done == [1, 2]
    assert untimed(log[1].lines()) == [
        "1-call [WARNING] the stream broke off; of its records: 2 ok"
    ]


def test_what_is_no_list_is_refused_by_the_call() -> None:
    """It is the caller's fault."""

    @each
    async def handler(_record: Any, _context: Any) -> None:
        """Handle nothing."""

    with pytest.raises(InvalidEvent, match="@each takes a list of records"):
        handled(handler, {"a": 1})
