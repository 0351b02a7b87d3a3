"""What an emulator's console knows of calls: who is told what, with instances that a test plays."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from service.console.entry import CallTimes
from service.console.history import KEPT_CALLS, KEPT_TEXT, LISTED_CALLS
from service.emulator.calls import Invocation, Outcome, PlatformError
from service.emulator.console.recorder import NotedInvoker, RecordedLog, Recorder, split
from service.emulator.instances.instance import Instance
from service.emulator.instances.start import StartTimes
from service.emulator.queue.dispatcher import Dispatcher
from tests.console.desk import PlainSource, Stream, opened, served
from tests.emulator.standins import StandIn, echo, failing, function


def call(request_id: str = "1-a", event: bytes = b"{}", retries: int = 0) -> Invocation:
    """A call of the function."""
    return Invocation("fn", event, request_id, retries)


def played(*times: float, **fields: Any) -> Instance:
    """What the recorder reads of an instance; `times` are those of its start."""
    known = {"id": "i-1", "name": "c-1", "function": "fn", "state": "running", "frozen": False}
    known |= {
        "times": StartTimes(*(times or (0.0,))),
        "provisioned": False,
        "end_reason": "",
        **fields,
    }
    return cast(Instance, SimpleNamespace(**known))


async def noted(recorder: Recorder, *calls: Invocation, **options: Any) -> None:
    """Make calls through a noted pool; what it refuses is passed on."""
    pool = NotedInvoker(StandIn(**options), recorder, "sync")
    for each in calls:
        await pool.invoke(each)


async def test_a_call_is_noted_with_its_event_its_result_and_its_instance() -> None:
    """And what it comes to in the figures of its second."""
    recorder = Recorder()
    recorder.changed(played(id="c-1", name="c-7"))
    await noted(recorder, call(event=b"an event"))
    entry = recorder.history.find("1-a")
    assert (entry.status, entry.event, entry.result) == ("ok", b"an event", b"an event")
    assert (entry.instance, entry.code, entry.kind) == ("c-7", 200, "sync")
    assert entry.row()["ms"]["handler"] == 4.2
    assert recorder.figures.in_flight["fn"] == 0


async def test_a_function_error_and_a_refusal_are_told_apart() -> None:
    """A refusal is what the platform says: its code, its status and its words are the result."""

    async def full(_call: Invocation) -> Outcome:
        raise PlatformError(429, "ResourceExhausted", "all 10 are full")

    async def raising(told: Invocation) -> Outcome:
        return failing(told)

    recorder = Recorder()
    await noted(recorder, call("1-a"), play=raising)
    with pytest.raises(PlatformError):
        await noted(recorder, call("1-b"), play=full)
    failed, refused = recorder.history.find("1-a"), recorder.history.find("1-b")
    assert (failed.status, failed.error, failed.code) == ("error", "UnhandledInvocationError", 200)
    assert (refused.status, refused.error, refused.code) == ("refused", "ResourceExhausted", 429)
    assert json.loads(refused.result or b"")["Message"] == "all 10 are full"


def test_a_call_without_an_answer_was_in_its_handler_if_it_wrote_lines() -> None:
    """Of one that never came to an instance it is not known: it has waited."""
    recorder = Recorder()
    now = time.monotonic()
    recorder.changed(played(now - 9, now - 8, now - 7))
    running, waiting = (recorder.begin(call(name), "sync") for name in ("1-a", "1-b"))
    recorder.lines([("FC Invoke Start RequestId: 1-a", "1-a")], "c-1")
    for entry in (running, waiting):
        entry.began -= 5.0
        recorder.left(entry)
    assert running.times is not None
    assert waiting.times is not None
    assert running.times.handler >= 5.0
    assert (waiting.times.handler, waiting.times.queue) == (0.0, waiting.times.total)


async def test_a_call_whose_caller_leaves_is_no_running_one_any_more() -> None:
    """It is told as left, and raises as it would have."""
    began, never = asyncio.Event(), asyncio.Event()

    async def wait(told: Invocation) -> Outcome:
        began.set()
        await never.wait()
        return await echo(told)

    recorder = Recorder()
    task = asyncio.create_task(noted(recorder, call(), play=wait))
    await began.wait()
    assert recorder.history.find("1-a").status == "running"
    assert recorder.figures.in_flight["fn"] == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    entry = recorder.history.find("1-a")
    assert (entry.status, entry.error) == ("error", "the caller has left")
    assert recorder.figures.in_flight["fn"] == 0


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        pytest.param(None, (7.0, 0.0, 0.0, 3.0), id="an instance that is not known"),
        pytest.param((50.0, 60.0, 70.0), (7.0, 0.0, 0.0, 3.0), id="one that ran"),
        pytest.param((100.0, 105.0, 107.0), (0.0, 5.0, 2.0, 3.0), id="one that was started for it"),
        pytest.param((98.0, 101.0, 106.0), (1.0, 1.0, 5.0, 3.0), id="one that was being started"),
        pytest.param((90.0, 99.0, 104.0), (3.0, 0.0, 4.0, 3.0), id="one that was initialized"),
        pytest.param((104.0, 106.0, 106.0), (5.0, 2.0, 0.0, 3.0), id="one without an initializer"),
        pytest.param((104.0, 106.0, 0.0), (7.0, 0.0, 0.0, 3.0), id="one that never ran"),
    ],
)
def test_the_time_of_a_call_is_split_by_what_it_waited_for(
    times: tuple[float, ...] | None, expected: tuple[float, ...]
) -> None:
    """A call that begins at 100 and takes 10 seconds, 3 of them in its handler."""
    instance = None if times is None else played(*times)
    assert split(100.0, 10.0, 3.0, instance, 0.0) == CallTimes(*expected)
    waited = split(100.0, 10.0, 3.0, instance, 2.5)
    assert (waited.queue, waited.total) == (expected[0] + 2.5, 12.5)


async def test_lines_go_to_their_call_and_what_they_report_is_shown_beside_those_it_hit() -> None:
    """A blocked loop is reported of its own call and of those that wait in the same instance."""
    recorder = Recorder()
    lines: list[bytes] = []
    log = RecordedLog(lines.append, recorder)
    for name, instance in (("1-a", "c-1"), ("1-b", "c-1"), ("1-c", "c-2")):
        recorder.begin(call(name), "sync")
        log.line("begins", function="fn", instance=instance, request_id=name)
    log.line("nobody's line", function="fn", instance="c-1")
    stall = "the event loop has been blocked for 1.2 s at index.py:3"
    log.line(f"2026-11-28T19:00:00.123Z 1-a [WARNING] {stall}", instance="c-1", request_id="1-a")
    log.line("x 1-c [ERROR] FunctionTimeout while waiting", instance="c-2", request_id="1-c")
    find = recorder.history.find
    assert find("1-a").reports == [("stall", stall)]
    assert find("1-b").reports == [("stall", f"of the call 1-a: {stall}")]
    assert find("1-c").reports == [("deadline", "FunctionTimeout while waiting")]
    assert [text for _, text in find("1-b").lines] == ["begins"]
    assert len(lines) == 6  # the log itself loses none


async def test_an_asynchronous_call_is_known_with_its_task_and_each_of_its_tries(
    tmp_path: Path,
) -> None:
    """Its events, its tries, and why; a further try of the request is a call of its own."""
    done = asyncio.Event()

    async def fail_once(told: Invocation) -> Outcome:
        if told.retry_count == 0:
            return failing(told)
        done.set()
        return await echo(told)

    recorder = Recorder()
    store = recorder.open_store(tmp_path / "tasks.db")
    invokers = recorder.invokers("async", {"fn": StandIn(fail_once)})
    tasks = Dispatcher(store, {"fn": function()}, invokers, lambda _: None)
    await tasks.start()
    try:
        task = await tasks.submit("fn", b"{}", "my-task", request_id=recorder.timer_request_id())
        await done.wait()
    finally:
        await tasks.stop(10.0)
        store.close()
    (row,) = recorder.tasks.rows()
    assert (row["id"], row["status"], row["tries"]) == ("my-task", "Succeeded", 2)
    assert "Retrying UnhandledInvocationError" in [each["text"] for each in row["events"]]
    first, second = (recorder.history.find(task.request_id + end) for end in ("", "~2"))
    assert (first.status, second.status) == ("error", "ok")
    assert (first.kind, second.kind, second.task) == ("timer", "timer", "my-task")
    again = recorder.open_store(tmp_path / "tasks.db")
    again.close()


def test_starts_ends_freezes_and_thaws_leave_marks() -> None:
    """The first instance is a cold start, a further one a scale-out; nothing is marked twice."""
    recorder = Recorder()
    first, second = played(), played(id="i-2", name="c-2")
    recorder.changed(first)
    recorder.changed(second)
    for frozen in (False, True, True, False):
        first.freezer = SimpleNamespace(frozen=frozen)  # type: ignore[assignment]
        first.__dict__["frozen"] = frozen
        recorder.marks.look_at(first)
    second.state, second.end_reason = "stopping", "it had no call for 180 seconds"
    recorder.changed(second)
    second.state = "stopped"
    recorder.changed(second)
    marks = recorder.marks.rows()
    assert [mark["kind"] for mark in marks] == ["cold", "scale-out", "freeze", "thaw", "stop"]
    assert [mark["n"] for mark in marks] == [1, 2, 3, 4, 5]
    assert marks[-1]["text"] == "c-2 stops: it had no call for 180 seconds"
    recorder.changed(played(id="i-3", name="c-3"))
    assert recorder.marks.rows()[-1]["kind"] == "scale-out"


def test_instances_that_have_ended_are_forgotten() -> None:
    """But for the last ones, whose calls may still be told."""
    recorder = Recorder()
    for number in range(200):
        instance = played(id=f"i-{number}")
        recorder.changed(instance)
        instance.state = "stopped"
        recorder.changed(instance)
    assert len(recorder.instances) == 50
    assert len(recorder.marks.rows()) == 400


async def test_a_burst_of_ten_thousand_calls_is_told_in_pieces_and_kept_within_bounds() -> None:
    """A page is told of 200 at once and of how many others there were; what is kept of 600 MB of
    events and results is less than the limit.
    """
    recorder = Recorder()
    source = PlainSource()
    source.history, source.figures = recorder.history, recorder.figures
    instances = StandIn()
    pool = NotedInvoker(instances, recorder, "sync")
    async with served(source) as server, opened(server.url) as page, page.stream() as stream:
        recorder.wake = server.hub.wake
        await stream.next()
        for batch in range(100):
            calls = (call(f"1-{batch}-{n}", bytes(30_000)) for n in range(100))
            await asyncio.gather(*map(pool.invoke, calls))
            instances.calls.clear()
        kept = recorder.history.newest(10_000)
        assert len(kept) == KEPT_CALLS
        assert sum(entry.size for entry in kept) <= KEPT_TEXT
        told = skipped = 0
        while told + skipped < 10_000:
            change = (await stream.next())[1]
            assert len(change.get("calls", ())) <= LISTED_CALLS
            ended = [row for row in change.get("calls", ()) if row["status"] == "ok"]
            told, skipped = told + len(ended), skipped + change.get("skipped", 0)
        assert (await page.get("/api/calls", limit="1"))["calls"][0]["id"] == "1-99-99"


async def test_a_call_that_is_noted_costs_few_functions() -> None:
    """Counted, not timed: from its beginning to its end, without those of the pool itself."""
    recorder = Recorder()
    pool = StandIn()
    noted_pool = NotedInvoker(pool, recorder, "sync")

    async def functions(invoker: StandIn | NotedInvoker, name: str) -> int:
        counted = 0

        def count(_frame: object, event: str, _argument: object) -> None:
            nonlocal counted
            counted += event == "call"

        told = call(name)
        gc.disable()  # finalizers and who watches it are others' functions
        sys.setprofile(count)
        try:
            await invoker.invoke(told)
        finally:
            sys.setprofile(None)
            gc.enable()
        return counted

    await functions(noted_pool, "1-first")
    assert await functions(noted_pool, "1-a") - await functions(pool, "1-b") <= 20


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_ten_minutes_of_ten_thousand_calls_a_minute_leave_what_one_minute_leaves() -> None:
    """With a page open that reads all it is told, and lines of each call."""
    recorder = Recorder()
    source = PlainSource()
    source.history, source.figures = recorder.history, recorder.figures
    instances = StandIn()
    pool = NotedInvoker(instances, recorder, "sync")
    log = RecordedLog(lambda _: None, recorder)

    async def minute(number: int) -> int:
        """Make the calls of a minute; return the memory that is used then."""
        for batch in range(100):
            calls = [call(f"1-{number}-{batch}-{n}", bytes(1_000)) for n in range(100)]
            for each in calls:
                log.line("a line", function="fn", instance="c-1", request_id=each.request_id)
            await asyncio.gather(*map(pool.invoke, calls))
            instances.calls.clear()
        return tracemalloc.get_traced_memory()[0]

    async def read(stream: Stream) -> None:
        while True:
            await stream.next()

    async with served(source) as server, opened(server.url) as page, page.stream() as stream:
        recorder.wake = server.hub.wake
        reading = asyncio.create_task(read(stream))
        tracemalloc.start()
        first = await minute(0)
        used = [await minute(number) for number in range(1, 10)]
        tracemalloc.stop()
        reading.cancel()
        await asyncio.wait({reading})
    assert max(used) < first + 5_000_000
