"""Batches of a running service: who is in one, what is told of it, and that a stop, a freeze, or
one of its calls hurts no other.
"""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from pytest_aiohttp.plugin import AiohttpClient

import service
from service.counting.samples import samples_in
from tests.assembly import error_of
from tests.conftest import Serve
from tests.harness import request

GATED = """
    from __future__ import annotations

    import pathlib, time
    from dataclasses import dataclass

    from fc_event_service import batched, current_context

    @batched(max_size=8)
    def handler(orders: list[Order], contexts):
        print("a batch of", len(orders))
        while orders[0].gate and not pathlib.Path(orders[0].gate).exists():
            time.sleep(0.02)
        for context in contexts:
            with context:
                print("of", current_context().request_id)
        return [ValueError("no") if order.number < 0 else order.number * 2 for order in orders]

    @dataclass
    class Order:
        number: int
        gate: str = ""
"""


def order(number: int, request_id: str, gate: str = "") -> bytes:
    """A request."""
    return request(orjson.dumps({"number": number, "gate": gate}), request_id=request_id)


async def test_each_call_of_a_batch_has_its_own_end(serve: Serve, loop_kind: str) -> None:
    """While a batch runs, others gather. An event that is not the type fails its call at once, a
    client that has gone harms no other, a freeze changes nothing, and a stop answers all.
    """
    server = serve(GATED, "--loop", loop_kind, environ={"SERVICE_LOG_CALLS": "all"})
    clients = [server.client() for _ in range(5)]
    first, wrong, gone, second, third = [await each.__aenter__() for each in clients]
    await first.send(order(1, "first", gate="go"))
    await asyncio.to_thread(server.wait_for, "a batch of 1")
    answer = await wrong.ask(request(b'{"number": "one"}', request_id="wrong"))
    assert (answer.status, answer.json()["errorType"]) == (400, "InvalidEvent")
    await gone.send(order(4, "gone"))
    await asyncio.to_thread(server.wait_for, "Start RequestId: gone")
    gone.writer.close()  # a call goes on without its client: its event may have side effects
    await second.send(order(2, "second"))
    await asyncio.to_thread(server.wait_for, "Start RequestId: second")
    await third.send(order(-3, "third"))
    await asyncio.to_thread(server.wait_for, "Start RequestId: third")
    await asyncio.to_thread(server.stop_while_frozen)
    (server.folder / "go").touch()
    assert [(await each.answer()).json() for each in (first, second)] == [2, 4]
    failed = (await third.answer()).json()
    assert (failed["errorType"], failed["errorMessage"]) == ("ValueError", "no")
    for each in clients:
        await each.__aexit__(None, None, None)
    assert await server.ends() == 0
    told = [line.split(" ", 1)[1] for line in server.lines if " of " in line]
    assert told == [
        "first [STDOUT] a batch of 1 batchSize=1",
        "first [STDOUT] of first",
        "gone [STDOUT] a batch of 3 batchSize=3",
        "gone [STDOUT] of gone",
        "second [STDOUT] of second",
        "third [STDOUT] of third",
    ]
    summed = server.wait_for("third .*the call has ended")
    assert "batchId=gone batchSize=3 batchWaitMs=" in summed


async def test_each_worker_batches_its_own_calls(serve: Serve) -> None:
    """With two workers each call gets its own result, and what both have batched is added up."""
    server = serve(GATED, "--workers", "2")

    async def caller(number: int) -> list[int]:
        async with server.client() as client:
            asked = [order(number + each, f"{number}-{each}") for each in range(4)]
            return [(await client.ask(each)).json() for each in asked]

    numbers = range(0, 80, 4)
    found = await asyncio.gather(*map(caller, numbers))
    assert [each for some in found for each in some] == [2 * number for number in range(80)]
    page = await server.ask(request(b"", path="/metrics", method="GET"))
    samples = samples_in(page.body.decode())
    name = (("function", "index.handler"),)
    assert samples["fc_batch_size_sum", name] == 80
    assert samples["fc_batch_wait_seconds_count", name] == 80
    assert samples["fc_batch_size_count", name] == samples["fc_batch_seconds_count", name] <= 80


@pytest.mark.parametrize("background", ["warn", "cancel", "wait"])
async def test_a_batch_is_no_calls_task(
    aiohttp_client: AiohttpClient, background: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever becomes of what a call leaves running, batches are not of it: each call is answered
    on any server, and none is told that it has left something.
    """

    @service.batched(max_size=16)
    async def double(events: list[int]) -> list[int]:
        await asyncio.sleep(0)
        return [2 * each for each in events]

    async def handler(event: list[int], context: Any) -> list[int]:
        return list(await asyncio.gather(*map(double, event)))

    client = await aiohttp_client(service.create_app(handler, background=background))

    async def call(number: int) -> Any:
        answer = await client.post("/invoke", data=b"[%d,%d]" % (number, number + 1))
        return orjson.loads(await answer.read())

    found = await asyncio.gather(*map(call, range(40)))
    assert found == [[2 * number, 2 * number + 2] for number in range(40)]
    await client.close()
    assert "left running" not in capfd.readouterr().out


async def test_a_time_out_tells_what_to_do(aiohttp_client: AiohttpClient) -> None:
    """Calls of a batch that hangs are answered in time, each with the advice."""

    @service.batched
    async def hang(events: list[int]) -> list[int]:
        await asyncio.Event().wait()
        return events

    app = service.create_app(hang, timeout=0.3, deadline_margin=0.0)
    client = await aiohttp_client(app)
    answers = await asyncio.gather(*(client.post("/invoke", data=b"%d" % n) for n in range(3)))
    for answer in answers:
        code, message = error_of(await answer.read())[:2]
        assert code == "FunctionTimeout"
        assert "hang" in message
