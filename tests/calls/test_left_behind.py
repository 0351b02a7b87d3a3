"""What a call spawns stays the call's."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import threading
import weakref
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from service.calls import left_behind
from service.calls.left_behind import settle, task_factory, track
from service.calls.tasks import context_of
from service.context.call import RUNNING, Context
from service.logs.attribution import starting, submitting
from tests.assembly import logged

shared = ThreadPoolExecutor(2)
"""An executor as user code makes it: at import, outside of any call."""


@pytest.fixture
async def factory() -> None:
    """The task factory, set as the server sets it."""
    asyncio.get_running_loop().set_task_factory(task_factory)


@pytest.fixture
def inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that inherit their call."""
    monkeypatch.setattr(threading.Thread, "start", starting(threading.Thread.start))
    monkeypatch.setattr(ThreadPoolExecutor, "submit", submitting(ThreadPoolExecutor.submit))


async def as_call(request_id: str, work: Coroutine[Any, Any, Any]) -> Any:
    """Run work in a task of its own, as the call with this id."""

    async def run() -> Any:
        RUNNING.set(Context({}, request_id))
        return await work

    return await asyncio.ensure_future(run())


def running_id() -> str:
    """The id of the call that runs here, "" for none."""
    context = RUNNING.get(None)
    return context.request_id if context else ""


# --- tasks


@pytest.mark.usefixtures("factory")
async def test_a_task_left_running_is_named(caplog: pytest.LogCaptureFixture) -> None:
    """By default a call warns of the tasks it leaves, each with the line that it waits on."""
    gate = asyncio.Event()

    async def upload() -> None:
        await gate.wait()

    left = track()
    task = asyncio.create_task(upload())
    await settle(left, "warn")
    line = upload.__code__.co_firstlineno + 1
    assert re.fullmatch(
        rf"the call left 1 tasks running: \S+upload at {__file__}:{line}; an instance freezes .*",
        caplog.messages[0],
    )
    gate.set()
    await task
    assert not left


@pytest.mark.usefixtures("factory")
async def test_many_tasks_are_named_in_part(caplog: pytest.LogCaptureFixture) -> None:
    """A hundred tasks are counted, and the first of them named."""
    gate, left = asyncio.Event(), track()
    tasks = [asyncio.create_task(gate.wait()) for _ in range(100)]
    await settle(left, "warn")
    assert "left 100 tasks running: " in caplog.text
    assert caplog.text.count("Event.wait") == 5
    gate.set()
    await asyncio.gather(*tasks)


@pytest.mark.usefixtures("factory")
async def test_tasks_are_waited_for_and_theirs_too() -> None:
    """With `wait` a call ends after its tasks, and after the tasks that those have made."""
    done = list[str]()

    async def inner() -> None:
        await asyncio.sleep(0.001)
        done.append("inner")

    async def outer() -> None:
        await asyncio.sleep(0.001)
        inners.append(asyncio.create_task(inner()))
        done.append("outer")

    inners = list[asyncio.Task[None]]()
    left = track()
    task = asyncio.create_task(outer())
    await settle(left, "wait")
    assert done == ["outer", "inner"]
    assert task.done()


@pytest.mark.usefixtures("factory")
async def test_tasks_are_cancelled_and_end_before_the_call(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With `cancel` a call cancels its tasks, and they have ended when it ends."""
    caplog.set_level(logging.INFO)
    ended = list[str]()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.001)
            ended.append("cleaned up")

    left = track()
    task = asyncio.create_task(work())
    await settle(left, "cancel")
    assert ended == ["cleaned up"]
    assert task.cancelled()
    assert caplog.messages[0].startswith("cancelled 1 tasks that the call left running: ")


@pytest.mark.usefixtures("factory")
async def test_a_task_that_swallows_its_cancellation_holds_no_call_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With `cancel` a call waits a short time for its tasks, and no longer."""
    monkeypatch.setattr(left_behind, "_ENDING", 0.01)
    gate = asyncio.Event()

    async def stubborn() -> None:
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                continue

    left = track()
    task = asyncio.create_task(stubborn())
    await settle(left, "cancel")
    assert not task.done()
    gate.set()
    await task


@pytest.mark.usefixtures("factory")
async def test_a_task_that_ends_by_itself_is_no_work_left_behind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What is done in its first step, or was cancelled and is about to end, is not warned of."""

    async def short() -> None:
        pass

    async def nested() -> None:
        await asyncio.create_task(asyncio.Event().wait())

    left = track()
    tasks: list[asyncio.Task[Any]] = [asyncio.create_task(short())]
    await settle(left, "warn")
    tasks.append(asyncio.create_task(nested()))
    await asyncio.sleep(0)
    tasks[1].cancel()
    await settle(left, "warn")
    assert caplog.messages == []
    assert all(task.done() for task in tasks)
    await asyncio.sleep(0)
    assert not left
    await settle(left, "warn")


@pytest.mark.usefixtures("factory")
async def test_tasks_belong_to_the_call_that_made_them() -> None:
    """Two calls that run at once each have their own tasks, sub-tasks included."""
    gate = asyncio.Event()

    async def leaf() -> None:
        await gate.wait()

    async def branch() -> None:
        await asyncio.create_task(leaf())

    async def call(count: int) -> int:
        left = track()
        tasks = [asyncio.create_task(branch()) for _ in range(count)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        seen = len(left)
        gate.set()
        await asyncio.gather(*tasks)
        return seen

    counts = await asyncio.gather(*(as_call(f"c{n}", call(n)) for n in (1, 3, 5)))
    assert counts == [2, 6, 10]


@pytest.mark.usefixtures("factory")
async def test_a_task_keeps_its_name_and_context() -> None:
    """What `create_task` takes is passed on; a task outside of calls is nobody's."""
    gate = asyncio.Event()
    task = asyncio.create_task(gate.wait(), name="mine")
    assert task.get_name() == "mine"
    assert context_of(task) is None
    gate.set()
    await task


@pytest.mark.usefixtures("factory")
async def test_the_call_of_a_task_is_known() -> None:
    """The context of the call that a task belongs to is found from outside."""

    async def work() -> str | None:
        task = asyncio.create_task(asyncio.sleep(0))
        found = context_of(task)
        await task
        return found.request_id if found else None

    assert await as_call("own", work()) == "own"


@pytest.mark.usefixtures("factory", "inherited")
async def test_awaitables_without_a_line_are_named_by_their_kind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A task around something that has no Python line is warned of all the same."""

    class Silent(Coroutine[Any, Any, None]):
        """Waits once, for one turn after another."""

        def send(self, _value: None) -> None:
            if gate.is_set():
                raise StopIteration

        def throw(self, *failure: Any) -> None:
            raise failure[0]

        def close(self) -> None:
            pass

        def __await__(self) -> Any:
            yield

    gate, left = asyncio.Event(), track()
    task = asyncio.create_task(Silent())
    await settle(left, "warn")
    assert "left 1 tasks running: Silent;" in caplog.text
    gate.set()
    await task


# --- threads


@pytest.mark.usefixtures("inherited")
async def test_every_kind_of_thread_runs_as_the_call_that_started_it() -> None:
    """Threads, daemons, subclasses, timers, executors of the call's own and of the module's."""
    ids = list[str]()

    class Worker(threading.Thread):
        """A thread with its own `run`."""

        def run(self) -> None:
            ids.append(running_id())

    def note() -> None:
        ids.append(running_id())

    async def work() -> None:
        threads = [
            threading.Thread(target=note),
            threading.Thread(target=note, daemon=True),
            Worker(),
            threading.Timer(0, note),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(note)
            list(pool.map(lambda _: note(), range(2)))
        await asyncio.wrap_future(shared.submit(note))
        await asyncio.get_running_loop().run_in_executor(shared, note)
        await asyncio.get_running_loop().run_in_executor(None, note)
        await asyncio.to_thread(note)

    for request_id in ("first", "second"):
        ids.clear()
        await as_call(request_id, work())
        assert ids == [request_id] * 11
    ids.clear()
    shared.submit(note).result()
    assert ids == [""]


@pytest.mark.usefixtures("inherited")
async def test_a_threads_thread_is_the_calls_too() -> None:
    """What a thread starts inherits in turn."""
    ids = list[str]()

    def outer() -> None:
        inner = threading.Thread(target=lambda: ids.append(running_id()))
        inner.start()
        inner.join()

    async def work() -> None:
        thread = threading.Thread(target=outer)
        thread.start()
        thread.join()

    await as_call("own", work())
    assert ids == ["own"]


@pytest.mark.usefixtures("inherited")
async def test_a_failure_in_a_thread_is_logged_for_its_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The traceback of a thread carries the call's id on every line; `SystemExit` is silent."""
    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)  # pytest has its own

    def fail(failure: BaseException) -> None:
        raise failure

    async def work() -> None:
        for failure in (ValueError("in a thread"), SystemExit(3)):
            thread = threading.Thread(target=fail, args=(failure,))
            thread.start()
            thread.join()

    with logged() as (_, pipe):
        await as_call("own", work())
        lines = pipe.lines()
    assert lines[-1].endswith(" own [STDERR] ValueError: in a thread")
    assert len(lines) > 3
    assert all(" own [STDERR] " in line for line in lines)


@pytest.mark.usefixtures("inherited")
async def test_a_thread_that_cannot_be_started_may_be_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At the instance's limit of threads `start` raises, and works when there is room again."""
    ids = list[str]()
    thread = threading.Thread(target=lambda: ids.append(running_id()))
    starter = "_start_joinable_thread" if hasattr(threading, "_start_joinable_thread") else ""

    def refuse(*_arguments: object, **_options: object) -> None:
        raise RuntimeError("can't start new thread")

    async def work() -> None:
        with monkeypatch.context() as patched:
            patched.setattr(threading, starter or "_start_new_thread", refuse)
            with pytest.raises(RuntimeError, match="can't start"):
                thread.start()
        assert "run" not in vars(thread)
        thread.start()
        thread.join()

    await as_call("own", work())
    assert ids == ["own"]


@pytest.mark.usefixtures("inherited")
async def test_a_thread_that_has_ended_keeps_no_call_alive() -> None:
    """Thread objects that user code keeps do not keep the contexts of their calls."""
    contexts = list[weakref.ref[Context]]()

    class Kept(Context):
        """A Context that can be watched."""

    async def work() -> threading.Thread:
        context = Kept({}, "own")
        contexts.append(weakref.ref(context))
        RUNNING.set(context)
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()
        return thread

    thread = await asyncio.ensure_future(work())
    await asyncio.sleep(0)  # the loop drops the task
    gc.collect()
    assert contexts[0]() is None
    assert not thread.is_alive()


@pytest.mark.usefixtures("inherited")
def test_outside_of_calls_threads_run_as_ever() -> None:
    """A thread that no call starts is left as it is."""
    thread = threading.Thread(target=int)
    thread.start()
    assert "run" not in vars(thread)
    thread.join()
