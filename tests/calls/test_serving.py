"""Tasks that one call has started and other calls wait for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from service.calls.left_behind import Policy, settle, task_factory, track
from service.context.call import RUNNING, Context


class Batcher:
    """A batcher as it is written by hand: its worker is the first call's task."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[tuple[int, asyncio.Future[int]]] = asyncio.Queue()
        self.worker: asyncio.Task[None] | None = None

    async def ask(self, number: int) -> int:
        """Return the double, computed in a batch."""
        if self.worker is None:
            self.worker = asyncio.create_task(self.work())
        future = asyncio.get_running_loop().create_future()
        await self.queue.put((number, future))
        return int(await future)

    async def work(self) -> None:
        """Answer three at a time."""
        while True:
            batch = [await self.queue.get()]
            while len(batch) < 3 and not self.queue.empty():
                batch.append(self.queue.get_nowait())
            await asyncio.sleep(0)
            for number, future in batch:
                future.set_result(2 * number)


batcher = Batcher()
pending: list[asyncio.Future[int]] = []
flushing: asyncio.Task[None] | None = None


async def through_a_list(number: int) -> int:
    """The same with a list of the module's, and a task for each batch."""
    global flushing
    future = asyncio.get_running_loop().create_future()
    pending.append(future)
    if flushing is None or flushing.done():
        flushing = asyncio.create_task(flush())
    return int(await future)


async def flush() -> None:
    """Answer all that is there, one by one."""
    while pending:
        pending.pop(0).set_result(0)
        for _ in range(10):
            await asyncio.sleep(0)


single: dict[str, asyncio.Task[int]] = {}


async def fetch() -> int:
    """Something dear."""
    for _ in range(50):
        await asyncio.sleep(0)
    return 7


async def through_one_task(number: int) -> int:
    """Everybody waits for one task; the first call does not."""
    task = single.get("it")
    if task is None:
        single["it"] = asyncio.create_task(fetch())
        return 0
    return await (asyncio.shield(task) if number % 2 else asyncio.wait_for(task, 60))


@pytest.fixture(autouse=True)
def anew() -> None:
    """Each test begins without tasks, and knows whose each is."""
    global flushing
    batcher.__init__()  # type: ignore[misc]
    pending.clear()
    single.clear()
    flushing = None


async def as_calls(
    ask: Callable[[int], Awaitable[Any]], count: int, policy: Policy = "cancel"
) -> list[Any]:
    """Run calls at once, each settled as the service does when it ends."""
    asyncio.get_running_loop().set_task_factory(task_factory)

    async def call(number: int) -> Any:
        RUNNING.set(Context({}, f"r{number}"))
        left = track()
        try:
            return await ask(number)
        finally:
            await settle(left, policy)

    async with asyncio.timeout(20):
        return await asyncio.gather(
            *(asyncio.ensure_future(call(n)) for n in range(count)), return_exceptions=True
        )


def advice(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The lines that say what to do."""
    return [each for each in caplog.messages if "start it with fc_event_service.spawn" in each]


@pytest.mark.parametrize("policy", ["cancel", "warn"])
async def test_a_batcher_that_is_written_by_hand_serves_all_its_calls(
    caplog: pytest.LogCaptureFixture, policy: Policy
) -> None:
    """With `background = "cancel"` 3 of 40 calls were answered: the first of them ended the worker
    of all. It goes on, and the warning names it, its line, and what to do.
    """
    caplog.set_level(logging.INFO)
    assert await as_calls(batcher.ask, 40, policy) == [2 * n for n in range(40)]
    assert batcher.worker is not None
    said = advice(caplog)
    assert "Batcher.work at " in said[0]
    assert "of them wait" in said[0]
    assert not batcher.worker.cancelled()
    batcher.worker.cancel()


async def test_a_worker_at_the_modules_queue_is_kept_even_if_nobody_waits(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The next call would put its event there, and wait for ever."""
    assert await as_calls(batcher.ask, 1) == [0]
    assert "for which 0 of them wait" in advice(caplog)[0]
    assert await as_calls(batcher.ask, 2) == [0, 2]
    assert batcher.worker is not None
    batcher.worker.cancel()


@pytest.mark.parametrize("ask", [through_a_list, through_one_task], ids=["list", "one task"])
async def test_a_task_that_others_wait_for_is_found(
    caplog: pytest.LogCaptureFixture, ask: Callable[[int], Awaitable[int]]
) -> None:
    """By the futures that it has in a list of the module's, or since it is awaited itself, through
    `shield` or `wait_for`.
    """
    answers = await as_calls(ask, 4)
    assert not [each for each in answers if isinstance(each, BaseException)]
    assert advice(caplog)


ready = asyncio.Event()


async def test_a_task_of_one_call_alone_is_cancelled_as_before(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A queue of the call's own, and a future that others wait for and the task does not know,
    keep nothing running.
    """
    caplog.set_level(logging.INFO)
    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    ended: list[str] = []

    async def consume(queue: asyncio.Queue[int]) -> None:
        try:
            await queue.get()
        finally:
            ended.append("cancelled")

    async def ask(number: int) -> None:
        if number:
            await gate
            return
        asyncio.create_task(consume(asyncio.Queue()))  # noqa: RUF006 - it is left behind
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(0.001, gate.set_result, None)

    assert await as_calls(ask, 3) == [None] * 3
    assert ended == ["cancelled"]
    assert not advice(caplog)
    assert any("cancelled 1 tasks" in each for each in caplog.messages)
