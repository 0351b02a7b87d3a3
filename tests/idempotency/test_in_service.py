"""Events that come twice, in the service's application."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
import redis.asyncio
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from service import Context, MemoryStore, RedisStore, create_app, once
from service.counting.pages import USER_PAGE
from service.instance.assembly import SERVICE
from tests.assembly import error_of
from tests.idempotency.redis_server import RedisServer

EVENT = b'{"id": 1}'
Client = TestClient[Any, Any]


async def invoke(client: Client, request_id: str = "", **headers: str) -> tuple[int, bytes]:
    """The status and the body of a call."""
    fields = {"x-fc-request-id": request_id, **headers}
    sent = {name.replace("_", "-"): value for name, value in fields.items() if value}
    async with client.post("/invoke", data=EVENT, headers=sent) as answer:
        return answer.status, await answer.read()


@pytest.mark.parametrize("background", ["warn", "wait", "cancel"])
async def test_duplicates_get_one_answer_whatever_background_says(
    aiohttp_client: AiohttpClient, redis_server: RedisServer, background: str
) -> None:
    """No task of ours is a call's own; the connections are closed with the application."""
    beats = asyncio.Event()
    closed: list[Client] = []

    class Watched(RedisStore):
        async def renew(self, key: str, claim: bytes, lease: float) -> bool:
            held = await super().renew(key, claim, lease)
            beats.set()
            return held

    class Closed(redis.asyncio.Redis):
        async def aclose(self, close_connection_pool: bool | None = None) -> None:
            await super().aclose(close_connection_pool)
            closed.append(client)

    store = Watched(lambda: Closed.from_url(redis_server.url))

    @once(key="$.id", store=store, name=background, lease=0.05)
    async def handler(event: dict[str, int], context: Context) -> Any:
        await beats.wait()
        return {"by": context.request_id}

    client: Client = await aiohttp_client(create_app(handler, background=background))
    calls = [asyncio.create_task(invoke(client, f"r{n}")) for n in range(5)]
    answers = {*await asyncio.gather(*calls), await invoke(client, "later")}
    assert len(answers) == 1
    assert answers.pop()[0] == 200
    await client.close()
    assert closed == [client]


async def test_a_call_that_is_cut_gives_the_key_back(
    aiohttp_client: AiohttpClient, capfd: pytest.CaptureFixture[str]
) -> None:
    """As at its deadline: the next one runs; nothing is told of a task that was left."""
    ran: list[str] = []
    began = asyncio.Event()

    @once(key="$.id", store=MemoryStore())
    async def handler(event: dict[str, int], context: Context) -> Any:
        ran.append(context.request_id)
        began.set()
        if len(ran) == 1:
            await asyncio.get_running_loop().create_future()
        return context.request_id

    app = create_app(handler)
    client: Client = await aiohttp_client(app)
    first = asyncio.create_task(invoke(client, "first"))
    await began.wait()
    app[SERVICE].calls.cut_all()
    status, body = await first
    assert (status, error_of(body)[0]) == (404, "FunctionTimeout")
    assert await invoke(client, "second") == (200, b"second")
    assert await invoke(client, "third") == (200, b"second")
    assert "left running" not in capfd.readouterr().out


async def test_a_plain_handler_that_is_cut_is_waited_for(aiohttp_client: AiohttpClient) -> None:
    """Its call is answered; what its thread comes to is kept for the next one."""
    began, go = threading.Event(), threading.Event()
    ran: list[str] = []

    @once(key="$.id", store=MemoryStore())
    def handler(event: dict[str, int], context: Context) -> Any:
        ran.append(context.request_id)
        began.set()
        assert go.wait(30)
        return context.request_id

    app = create_app(handler)
    client: Client = await aiohttp_client(app)
    first = asyncio.create_task(invoke(client, "first"))
    assert await asyncio.to_thread(began.wait, 30)
    app[SERVICE].calls.cut_all()
    status, body = await first
    assert (status, error_of(body)[0]) == (404, "FunctionTimeout")
    second = asyncio.create_task(invoke(client, "second"))
    await asyncio.sleep(0)
    go.set()
    assert await second == (200, b"first")
    assert ran == ["first"]


async def test_failures_and_refusals_are_answers(
    aiohttp_client: AiohttpClient, capfd: pytest.CaptureFixture[str]
) -> None:
    """A failure that is kept has the same type and message, without a trace."""

    class OrderRefused(Exception):
        pass

    @once(key=lambda event: event["id"], store=MemoryStore(), keep_failures=True)
    async def handler(event: dict[str, int], context: Context) -> None:
        raise OrderRefused(f"no stock for {context.request_id}")

    client: Client = await aiohttp_client(create_app(handler))
    for request_id in ("first", "second"):
        status, body = await invoke(client, request_id)
        assert (status, *error_of(body)) == (404, "OrderRefused", "no stock for first")
    async with client.post("/invoke", data=b'{"id": ""}') as answer:
        assert (answer.status, error_of(await answer.read())[0]) == (400, "InvalidEvent")
    async with client.post("/invoke", data=b'{"id": 1, "more": 1}') as answer:
        assert (answer.status, error_of(await answer.read())[0]) == (400, "PayloadDiffers")


async def test_what_became_of_the_calls_is_counted(aiohttp_client: AiohttpClient) -> None:
    """In `/metrics`, by the function's name."""

    @once(key="$.id", store=MemoryStore(), name="counted")
    async def handler(event: dict[str, int], context: Context) -> str:
        return "done"

    client: Client = await aiohttp_client(create_app(handler))
    for _ in range(3):
        assert await invoke(client) == (200, b"done")
    async with client.get("/metrics") as answer:
        told = await answer.text()
    assert 'fc_once_calls_total{name="counted",outcome="ran"} 1\n' in told
    assert 'fc_once_calls_total{name="counted",outcome="replayed"} 2\n' in told
    assert USER_PAGE.page is not None
