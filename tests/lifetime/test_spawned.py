"""Tasks of the instance: no call's, and ended with it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import logging
import os
import re
from collections.abc import Callable
from typing import Any

import pytest
from pytest_aiohttp.plugin import AiohttpClient

import service
from service.calls.left_behind import function_tasks, track_on
from service.instance.assembly import SERVICE
from service.lifetime.backoff import LONGEST_BACKOFF, SHORTEST_BACKOFF, Backoff
from service.lifetime.spawned import SpawnedTask, spawn
from service.settings.table import Settings
from tests.assembly import Logged, assembled
from tests.harness import FORKS
from tests.virtual_clock import run_virtual

mark: contextvars.ContextVar[str] = contextvars.ContextVar("mark")
ID = r"task-[A-Za-z0-9_.-]+-[0-9a-f]{8}"


def marks() -> str:
    """What a variable of the caller's is here."""
    return mark.get("unset")


async def test_a_task_belongs_to_no_call(aiohttp_client: AiohttpClient, log: Logged) -> None:
    """Its lines have its own id, no context is the current one, no variable of the call is set, and
    the call has left nothing behind.
    """
    go, done = asyncio.Event(), asyncio.Event()

    async def poll() -> None:
        logging.getLogger("poll").info("begun, mark %s", marks())
        with pytest.raises(LookupError, match="of no call"):
            service.current_context()
        await go.wait()
        logging.getLogger("poll").info("ends")
        done.set()

    async def handler(event: bytes, context: Any) -> str:
        mark.set("the call's")
        task = spawn(poll(), name="poller of mine")
        await asyncio.sleep(0)
        return task.id

    app = assembled(log[0], handler, Settings(background="cancel"))
    track_on(asyncio.get_running_loop())
    client = await aiohttp_client(app)
    got = await client.post("/invoke", data=b"{}", headers={"x-fc-request-id": "r1"})
    task_id = await got.text()
    assert re.fullmatch(ID, task_id)
    go.set()
    await done.wait()
    text = "\n".join(log[1].lines())
    assert f"{task_id} [INFO] begun, mark unset" in text
    assert f"{task_id} [INFO] ends" in text
    assert "left" not in text
    assert text.count("r1") == 2


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "plain"])
async def test_a_task_is_cancelled_and_awaited_at_the_stop(
    aiohttp_client: AiohttpClient, log: Logged, is_async: bool
) -> None:
    """It runs while `pre_stop` does, ends behind it, and the stop waits for its last steps. A plain
    handler's thread may start one, too.
    """
    seen: list[str] = []
    began = asyncio.Event()

    async def work() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            seen.append("task ended")

    async def awaiting(event: bytes, context: Any) -> str:
        return spawn(work(), name="work").id

    def plain(event: bytes, context: Any) -> str:
        return spawn(work, name="work").id

    async def pre_stop(context: Any) -> None:
        await asyncio.sleep(0)
        seen.append("pre_stop")

    app = assembled(log[0], awaiting if is_async else plain, pre_stop=pre_stop)
    client = await aiohttp_client(app)
    await client.post("/invoke", data=b"{}")
    await began.wait()
    stopped = await client.get("/pre-stop")
    assert (stopped.status, seen) == (200, ["pre_stop", "task ended"])


async def test_a_task_that_does_not_end_holds_up_the_stop_for_its_time_alone(
    aiohttp_client: AiohttpClient, log: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stop goes on without it, and says where it is."""
    monkeypatch.setattr("service.lifetime.instance_tasks.LEAST_ENDING", 0.01)
    monkeypatch.setattr("service.calls.lifecycle.SHORTEST_HOOK", 0.01)
    gate = asyncio.Event()

    async def stubborn() -> None:
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                continue

    async def handler(event: bytes, context: Any) -> None:
        spawn(stubborn())

    client = await aiohttp_client(assembled(log[0], handler, Settings(drain_timeout=0.0)))
    await client.post("/invoke", data=b"{}")
    assert (await client.get("/pre-stop")).status == 200
    gate.set()
    assert "has not ended when it was cancelled: it is left at" in "\n".join(log[1].lines())


async def test_nothing_is_spawned_once_the_tasks_have_ended(
    aiohttp_client: AiohttpClient, log: Logged
) -> None:
    """What starts a task then is told that the instance stops, and no coroutine is left over."""
    app = assembled(log[0], lambda event, context: b"")
    client = await aiohttp_client(app)
    life = app[SERVICE].lifecycle
    said: list[str] = []

    async def late() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            with pytest.raises(RuntimeError, match="the instance stops"):
                spawn(asyncio.sleep(1))
            said.append("refused")

    spawn(late())
    await asyncio.sleep(0)
    assert (await client.get("/pre-stop")).status == 200
    assert said == ["refused"]
    assert life.refusing


async def test_a_result_is_awaited_and_a_failure_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Who is cancelled while waiting does not cancel the task; others get its result."""
    gate = asyncio.Event()

    async def work() -> int:
        await gate.wait()
        return 7

    async def fails() -> None:
        raise ValueError("no such table")

    task = spawn(work())
    impatient = asyncio.ensure_future(wait_for(task))
    await asyncio.sleep(0)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    gate.set()
    assert (await task, task.is_done, task.result()) == (7, True, 7)
    failing = spawn(fails(), name="fails")
    with pytest.raises(ValueError, match="no such table"):
        await failing
    assert [r.message.splitlines()[0] for r in caplog.records] == ["the task fails failed:"]


async def wait_for(task: SpawnedTask[int]) -> int:
    """Wait for a task's result."""
    return await task


def test_a_task_that_ends_or_fails_at_once_for_ever_does_not_spin(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its waits grow to 30 seconds: in an hour it is started 130 times and not more."""
    runs: list[float] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def poll() -> None:
            runs.append(loop.time())
            if len(runs) % 2:
                raise SystemExit(3)

        task = spawn(poll, name="poll", restart=True)
        await asyncio.sleep(3600)
        assert 115 < len(runs) < 170
        assert task.restarts in (len(runs) - 1, len(runs))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_virtual(main())
    first = caplog.messages[0]
    assert re.match(r"the task poll failed, and is started again in 0\.1 s:\n", first), first
    assert re.match(r"the task poll has ended, and is started again in 0\.2 s", caplog.messages[1])


def test_a_task_that_has_run_for_long_is_started_again_soon() -> None:
    """One failure in an hour is not held against it."""
    backoff = Backoff()
    waits = [backoff.after(0.0) for _ in range(12)]
    assert SHORTEST_BACKOFF * 0.8 <= waits[0] <= SHORTEST_BACKOFF
    assert LONGEST_BACKOFF * 0.8 <= waits[-1] <= LONGEST_BACKOFF
    assert backoff.after(LONGEST_BACKOFF) <= SHORTEST_BACKOFF


async def test_a_task_that_cancels_itself_is_started_again() -> None:
    """A cancellation that nobody has asked for is a failure as any other."""
    runs: list[int] = []
    again = asyncio.Event()

    async def poll() -> None:
        runs.append(1)
        if len(runs) == 1:
            raise asyncio.CancelledError
        again.set()
        await asyncio.Event().wait()

    task = spawn(poll, restart=True)
    await again.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.restarts == 1


async def never() -> None:
    """A coroutine that is not started."""


@pytest.mark.parametrize(
    ("work", "restart", "why"),
    [
        (never, True, "a coroutine runs once: to have it started again hand in the function"),
        (None, False, "spawn takes a coroutine or a function that returns one, not NoneType"),
        (dict, False, "spawn takes a coroutine or a function that returns one, not type"),
    ],
)
async def test_what_cannot_be_started_is_refused(
    work: Callable[[], Any], restart: bool, why: str
) -> None:
    """The error says what to hand in; no coroutine is left that was never awaited."""
    given: Any = work() if work is never else work
    with pytest.raises(TypeError, match=re.escape(why)):
        spawn(given, restart=restart)


async def test_a_plain_function_is_refused_by_its_task(caplog: pytest.LogCaptureFixture) -> None:
    """It would have kept the loop: the failure names `asyncio.to_thread`."""
    task: SpawnedTask[Any] = spawn(lambda: 5, name="five")  # type: ignore[arg-type,return-value]
    with pytest.raises(TypeError, match=r"returned int, not a coroutine.*asyncio\.to_thread"):
        await task


def test_outside_of_any_loop_there_is_an_advice() -> None:
    """A module that spawns while it is imported is told where to do it."""
    with pytest.raises(RuntimeError, match="not while the module is imported"):
        spawn(never())


async def test_a_thread_may_start_a_task_end_it_and_wait_for_it(
    aiohttp_client: AiohttpClient, log: Logged
) -> None:
    """What a plain handler gets is usable where it is."""

    async def forever() -> None:
        await asyncio.Event().wait()

    async def seven() -> int:
        return 7

    def handler(event: bytes, context: Any) -> int:
        task = spawn(forever, name="forever")
        task.cancel()
        with pytest.raises(concurrent.futures.CancelledError):
            task.result(20)
        return spawn(seven()).result(20)

    client = await aiohttp_client(assembled(log[0], handler))
    assert await (await client.post("/invoke", data=b"{}")).read() == b"7"


async def test_tasks_are_told_before_a_freeze(aiohttp_client: AiohttpClient, log: Logged) -> None:
    """Each does what it has to behind `pre_freeze` and under its own id; one that fails, and one
    that hangs, keep nobody from freezing.
    """
    seen: list[str] = []

    async def flush() -> None:
        await asyncio.sleep(0)
        seen.append("flushed")
        logging.getLogger("flush").info("flushed")

    def fails() -> None:
        raise ValueError("no room")

    async def wait() -> None:
        await asyncio.Event().wait()

    async def handler(event: bytes, context: Any) -> str:
        spawn(wait(), name="fails", before_freeze=fails)
        spawn(wait(), name="nothing")
        return spawn(wait(), name="flush", before_freeze=flush).id

    def pre_freeze(context: Any) -> None:
        seen.append("pre_freeze")

    client = await aiohttp_client(assembled(log[0], handler, pre_freeze=pre_freeze))
    task_id = await (await client.post("/invoke", data=b"{}")).text()
    assert (await client.get("/pre-freeze")).status == 200
    assert seen == ["pre_freeze", "flushed"]
    text = "\n".join(log[1].lines())
    assert f"{task_id} [INFO] flushed" in text
    assert re.search(r"task-fails-\w+ \[ERROR\] before_freeze of the task failed:", text)
    assert text.index("flushed") < text.index("FC PreFreeze End")


async def test_who_cancels_all_tasks_of_a_call_does_not_cancel_the_instances(
    aiohttp_client: AiohttpClient, log: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`asyncio.all_tasks()` in a call has the call's own; in a spawned task, that one's own."""
    monkeypatch.setattr(asyncio, "all_tasks", function_tasks)
    found: list[int] = []
    told = asyncio.Event()

    async def work() -> None:
        child = asyncio.create_task(asyncio.Event().wait())
        found.append(len(asyncio.all_tasks()))
        child.cancel()
        told.set()
        await asyncio.Event().wait()

    async def handler(event: bytes, context: Any) -> int:
        spawn(work())
        await told.wait()
        return len(asyncio.all_tasks())

    track_on(asyncio.get_running_loop())
    client = await aiohttp_client(assembled(log[0], handler))
    own = int(await (await client.post("/invoke", data=b"{}")).read())
    assert (found, own) == ([2], 1)  # the one that asks, too


@FORKS
async def test_a_process_that_a_task_forks_ends_with_it() -> None:
    """It takes no calls, and starts nothing again."""
    parent = os.getpid()

    async def fork() -> int:
        return os.fork()

    try:
        child = await spawn(fork())
    finally:
        if os.getpid() != parent:
            os._exit(99)
    _, status = await asyncio.to_thread(os.waitpid, child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
