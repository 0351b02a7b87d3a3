"""A function with several triggers: `Router`."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import pytest
from pytest_aiohttp.plugin import AiohttpClient

from service import (
    Context,
    MemoryStore,
    Router,
    batched,
    create_app,
    current_context,
    each,
    once,
)
from service.errors import StartError
from service.events import KafkaEvent, KafkaEvents, OssEvent, TimerEvent
from service.events.sample import sample
from tests.assembly import error_of

on = Router()
called: list[str] = []


@on(OssEvent)
async def uploaded(event: OssEvent, context: Context) -> dict[str, Any]:
    """Say where it runs."""
    task = asyncio.current_task()
    return {"key": event.events[0].oss.object.key, "is_task": task is not None}


@on(TimerEvent)
def report(event: TimerEvent, context: Context) -> dict[str, Any]:
    """Say where it runs."""
    is_same = current_context().request_id == context.request_id
    return {"thread": threading.current_thread().name != "MainThread", "is_same": is_same}


@on(KafkaEvents)
async def lines(event: KafkaEvents, context: Context) -> AsyncIterator[str]:
    """Yield a part for each message."""
    for message in event:
        yield f"{message.data.offset} "


@on.default
def other(event: bytes, context: Context) -> bytes:
    """Fail for one event, return others."""
    if event == b"fail":
        raise KeyError("failed")
    return event


def initialize(context: Context) -> None:
    """Note that it ran: the Router's module is this one."""
    called.append("initialize")


async def test_each_event_runs_as_its_handlers_kind(aiohttp_client: AiohttpClient) -> None:
    """Async functions run on the loop, plain ones in a thread, generators are joined; failures are
    the one call's; hooks are those of the module.
    """
    called.clear()
    client = await aiohttp_client(create_app(on))

    async def answer(body: bytes) -> tuple[int, bytes]:
        got = await client.post("/invoke", data=body)
        return got.status, await got.read()

    bodies = [sample("oss.put"), sample("timer"), sample("kafka"), b"hello", b"fail"]
    found = await asyncio.gather(*map(answer, bodies))
    assert [status for status, _ in found] == [200, 200, 200, 200, 404]
    key = "incoming/2026/03/cover-0042.png"
    assert orjson.loads(found[0][1]) == {"key": key, "is_task": True}
    assert orjson.loads(found[1][1]) == {"thread": True, "is_same": True}
    assert found[2][1] == b"1204578 1204579 1204580 "
    assert found[3][1] == b"hello"
    assert error_of(found[4][1]) == ("KeyError", "'failed'")
    assert called == ["initialize"]


async def test_an_event_of_none_is_the_callers_fault(aiohttp_client: AiohttpClient) -> None:
    """It is answered with 400 and names what was tried."""
    typed = Router()
    typed(OssEvent)(uploaded)
    client = await aiohttp_client(create_app(typed))
    got = await client.post("/invoke", data=b"{}")
    assert got.status == 400
    assert error_of(await got.read()) == ("InvalidEvent", "OssEvent: it has another shape")


def test_the_function_stays_as_it_is() -> None:
    """A decorated function can be called as before, in a test for example."""
    assert other(b"x", Context({}, "id")) == b"x"


async def test_decorated_functions_are_handlers(aiohttp_client: AiohttpClient) -> None:
    """What a decorator makes of a function, `functools.wraps` or not, is served as its kind."""

    def wrapped(handler: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(handler)
        async def outer(event: Any, context: Any) -> Any:
            return [await handler(event, context)]

        return outer

    routed = Router()
    routed(OssEvent)(wrapped(uploaded))
    routed(TimerEvent)(functools.partial(report))
    client = await aiohttp_client(create_app(routed))
    got = await client.post("/invoke", data=sample("oss.put"))
    assert orjson.loads(await got.read())[0]["is_task"]
    got = await client.post("/invoke", data=sample("timer"))
    assert orjson.loads(await got.read())["thread"]


async def test_what_other_decorators_make_are_handlers(aiohttp_client: AiohttpClient) -> None:
    """A batch record by record, an event once, calls that are handed over together: below a Router
    each is the handler of its type.
    """
    routed = Router()

    @routed(KafkaEvents)
    @each(concurrency=2)
    async def record(message: KafkaEvent, context: Context) -> None: ...

    @routed(TimerEvent)
    @once(key="$.triggerTime", store=MemoryStore())
    def tick(event: TimerEvent, context: Context) -> str:
        called.append("tick")
        return "ticked"

    @routed(OssEvent)
    @batched(max_size=4, max_wait=0.001)
    async def together(events: list[OssEvent]) -> list[int]:
        return [len(events)] * len(events)

    client = await aiohttp_client(create_app(routed))

    async def answer(name: str) -> Any:
        got = await client.post("/invoke", data=sample(name))
        return await got.read()

    called.clear()
    assert orjson.loads(await answer("kafka"))["ok"] == 3
    assert [await answer("timer"), await answer("timer")] == [b"ticked"] * 2
    assert called.count("tick") == 1
    assert await answer("oss.put") == b"1"


def test_a_type_is_needed() -> None:
    """A decorator without one, or one that is given the function, says how it is written."""
    for wrong in ((), (other,), (Router(),)):
        with pytest.raises(StartError, match=r"needs the type of its event: write @on\(OssEvent\)"):
            Router()(*wrong)


def test_a_router_is_not_called_with_events() -> None:
    """Whoever wraps it learns that its handlers are to be decorated."""
    with pytest.raises(TypeError, match="decorate its handlers instead"):
        on(b"{}", Context({}, "id"))
