"""The handlers that pages show, each called with an event that fits it, in this process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, Mock, create_autospec

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

import service
from service.context.call import Context
from service.errors import ParameterUnavailable
from service.events.sample import sample
from service.idempotency.stores import MemoryStore
from service.resources.parameters import ParameterSource
from service.testing.call_logs import CallLogs
from service.testing.contexts import GivenContext
from service.testing.invoking import CallHandler
from tests.docs.blocks import Block, runs, runs_each
from tests.docs.conftest import Paste
from tests.docs.orders import Order, kafka
from tests.docs.screen import NUMBERS, assert_shows

# --- how to


@runs("docs/how-to.md#put-a-field-into-every-log-line-of-a-call")
def test_a_bound_field_is_in_each_line(
    shown: list[Block], paste: Paste, fc_invoke: CallHandler, fc_logs: CallLogs
) -> None:
    """In that of a print, too."""
    fc_invoke(paste(shown[0].code).handler, {"order": 7})
    assert [(line.message, line.fields) for line in fc_logs.of()] == [
        ("paid", {"amount": 12.5, "order_id": 7}),
        ("done", {"order_id": 7}),
    ]


@runs("docs/how-to.md#share-a-pool-of-database-connections")
def test_a_pool_is_open_while_calls_run(
    shown: list[Block], paste: Paste, fc_invoke: CallHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The handler asks it, and it is closed afterwards."""
    opened: list[Any] = []

    @contextlib.asynccontextmanager
    async def create_pool(url: str, *, max_size: int) -> AsyncIterator[Any]:
        opened.append(pool := Mock(fetchval=AsyncMock(return_value=12)))
        yield pool
        opened.append("closed")

    asyncpg = SimpleNamespace(create_pool=create_pool)
    monkeypatch.setitem(sys.modules, "asyncpg", asyncpg)
    assert fc_invoke(paste(shown[0].code).handler, {"id": 3}) == 12
    pool, closed = opened
    pool.fetchval.assert_awaited_once_with("select price from goods where id = $1", 3)
    assert closed == "closed"


@runs(
    "docs/how-to.md#handle-an-event-once-though-it-may-come-twice",
    "docs/once.md#events-that-are-handled-once",
)
def test_an_order_that_comes_twice_is_booked_once(
    shown: list[Block], paste: Paste, fc_invoke: CallHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a store in memory in the place of Redis."""
    monkeypatch.setattr(service, "RedisStore", lambda _url: MemoryStore(), raising=False)
    book = AsyncMock(return_value=7)
    for block in shown:
        handler = paste(block.code, book=book).handler
        first, second = (fc_invoke(handler, {"order_id": "A-17"}) for _ in range(2))
        assert first == second
        assert first["booked"] in ("A-17", 7)
    assert book.await_count == 1


@runs_each(
    "docs/how-to.md#use-one-client-of-oss-for-all-calls",
    "docs/resources.md#clients",
)
def test_the_object_of_an_upload_is_asked_for(
    block: Block, paste: Paste, fc_invoke: CallHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the SDK takes it, by the client of all calls."""
    oss = pytest.importorskip("alibabacloud_oss_v2")
    client = create_autospec(oss.Client, instance=True)
    monkeypatch.setattr(Context, "client", lambda _context, _name: client)
    event_type = service.events.OssEvent
    fc_invoke(paste(block.code, OssEvent=event_type).handler, sample("oss.put"))
    [asked] = client.get_object.call_args.args
    assert asked.key == "incoming/2026/03/cover-0042.png"
    assert asked.bucket


@runs_each("docs/how-to.md#read-a-secret", "docs/resources.md#parameters-and-secrets")
async def test_what_is_kept_is_read_once(
    block: Block, paste: Paste, fc_invoke: CallHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two calls at once share it."""
    asked: list[str] = []

    def ask(source: ParameterSource, _client: object, name: str) -> str:
        asked.append(name)
        return f"{source.product}:{name}"

    monkeypatch.setattr(ParameterSource, "ask", ask)
    monkeypatch.setattr(Context, "client", lambda _context, _name: None)
    connect = AsyncMock(return_value="connected")
    handler = paste(block.code, connect=connect).handler
    answers = await asyncio.gather(fc_invoke(handler, {}), fc_invoke(handler, {}))
    assert set(answers) <= {"connected", len("kms:orders-db")}
    assert sorted(asked) in (["orders-db"], ["orders-db", "orders-url"])
    if connect.await_args:
        assert connect.await_args.args == ("oos:orders-url", "kms:orders-db")


class Refusal(Exception):
    """What an SDK raises for a request that is refused."""

    code, status_code, request_id = "Forbidden.RAM", 403, "5C1A"


@runs("docs/resources.md#parameters-and-secrets", "docs/resources.md#parameters-and-secrets:2")
def test_what_cannot_be_read_is_told_as_shown(
    shown: list[Block], paste: Paste, fc_invoke: CallHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the code of the error and the id of the request; the page has it in two lines."""

    def refuse(source: ParameterSource, _client: object, _name: str) -> str:
        if source.product == "oos":
            return "url"
        raise Refusal

    monkeypatch.setattr(ParameterSource, "ask", refuse)
    monkeypatch.setattr(Context, "client", lambda _context, _name: None)
    code, told = shown
    with pytest.raises(ParameterUnavailable) as raised:
        fc_invoke(paste(code.code, connect=AsyncMock()).handler, {})
    assert str(raised.value) == " ".join(told.code.split())


@runs("docs/concurrency.md#a-stalled-loop")
async def test_a_loop_that_is_blocked_is_told_as_shown(
    shown: list[Block], paste: Paste, fc_at_once: Any, fc_logs: CallLogs
) -> None:
    """With the line, and how many others wait."""
    code = (
        "async def handler(event: int, context):\n"
        "    while event == 3 and ' in handler; ' not in logs.text:\n"
        "        pass\n"
    )
    with pytest.raises(AssertionError):
        await fc_at_once(paste(code, logs=fc_logs).handler, lambda n: n, n=42, stall_after=0.05)
    line = next(line for line in fc_logs.lines() if " in handler; " in line.message)
    seen = f"2026-11-22T19:05:01.204Z REQUEST_ID [{line.level}] {line.message}"
    blurs = {r"\.py:\d+": ".py:N"}
    assert_shows(shown[0].code, seen, blurs)


@runs(
    "docs/how-to.md#put-concurrent-calls-into-one-batch",
    "docs/batching.md#batching-of-concurrent-calls",
)
def test_each_call_of_a_batch_gets_its_own_result(
    shown: list[Block], paste: Paste, fc_at_once: Any
) -> None:
    """The square of its number."""
    for block in shown:
        squares = fc_at_once(paste(block.code).handler, lambda n: n, n=40, ignore=["result"])
        assert squares == [n * n for n in range(40)]


@runs("docs/batching.md#batching-of-concurrent-calls:2")
def test_a_part_of_the_work_is_batched(
    shown: list[Block], paste: Paste, fc_invoke: CallHandler
) -> None:
    """The model gets the row of the event."""
    model = Mock()
    model.predict.return_value.tolist.return_value = [2.5]
    given = {"batched": service.batched, "MODEL": model, "Order": Order}
    fc_invoke(paste(shown[0].code, **given).handler, {"row": [1.0, 2.0]})
    model.predict.assert_called_once_with([[1.0, 2.0]])


@runs("docs/how-to.md#take-a-triggers-batch-apart")
def test_each_record_is_handled_by_itself(
    shown: list[Block], paste: Paste, fc_invoke: CallHandler, fc_logs: CallLogs
) -> None:
    """Each of them writes its line."""
    counts = fc_invoke(paste(shown[0].code).handler, kafka("{}", "{}"))
    assert (counts["records"], counts["ok"]) == (2, 2)
    assert next(line.message for line in fc_logs.of()).startswith("record at ")


# --- events


@runs("docs/events.md#events-of-triggers", "docs/events.md#events-of-triggers:2")
def test_an_annotation_decodes_the_samples(
    shown: list[Block], paste: Paste, fc_invoke: CallHandler
) -> None:
    """A list of one family, and a union of two."""
    one, union = (paste(block.code).handler for block in shown)
    assert len(fc_invoke(one, sample("kafka"))) == len(json.loads(sample("kafka")))
    assert fc_invoke(union, sample("timer")) == "tick"
    assert fc_invoke(union, sample("oss.put")) == 1


@runs("docs/events.md#what-everybody-writes", "docs/events.md#what-everybody-writes:2")
def test_the_rows_of_the_samples_are_what_is_shown(
    shown: list[Block], paste: Paste, fc_invoke: CallHandler
) -> None:
    """Those of Tablestore and of DTS, and the clicks of Kafka."""
    code, result = shown
    index = paste(code.code)
    given = [fc_invoke(index.orders, sample("tablestore")), fc_invoke(index.changes, sample("dts"))]
    decoder, text, promised = json.JSONDecoder(), result.code, []
    while text := text.lstrip():
        value, end = decoder.raw_decode(text)
        promised.append(value)
        text = text[end:]
    assert given == promised
    [first, *_] = fc_invoke(index.clicks, sample("kafka"))
    assert f"[{first}, ..." in code.code


@runs("docs/events.md#what-everybody-writes:3")
def test_the_schema_of_a_type_is_what_is_shown(shown: list[Block]) -> None:
    """As typed at Python's prompt."""
    typed, answer = shown[0].code.splitlines()
    names = {"schema": service.events.schema, "TimerEvent": service.events.TimerEvent}
    assert repr(eval(typed.removeprefix(">>> "), names)) == answer


# --- what lives as long as the instance


@runs("docs/lifetime.md#lifespan")
async def test_a_session_of_the_lifespan_serves_the_calls(
    shown: list[Block], paste: Paste, fc_invoke: CallHandler
) -> None:
    """The rates come over it."""
    application = web.Application()

    async def rates(_request: web.Request) -> web.Response:
        return web.json_response({"USD": 1.1})

    application.router.add_get("/rates", rates)
    async with TestServer(application) as server:
        code = shown[0].code.replace("127.0.0.1:8080", f"127.0.0.1:{server.port}")
        assert await fc_invoke(paste(code).handler) == {"USD": 1.1}


@runs("docs/sessions.md#sessions")
def test_a_cart_is_its_sessions(
    shown: list[Block], paste: Paste, fc_invoke: CallHandler, fc_context: GivenContext
) -> None:
    """What one has put there, another does not see."""
    handler = paste(shown[0].code).handler
    header = {"session_header": "x-session"}
    calls = [("ann", "tea"), ("bob", "milk"), ("ann", "cups")]
    carts = [
        fc_invoke(handler, what, fc_context(headers={"x-session": who}), **header)
        for who, what in calls
    ]
    assert carts == [["tea"], ["milk"], ["tea", "cups"]]


@runs("docs/resources.md#clients:2")
def test_a_client_of_any_sdk_is_made_once(
    shown: list[Block], paste: Paste, fc_invoke: CallHandler, fc_context: GivenContext
) -> None:
    """With credentials that it asks for when it needs some."""
    tablestore = Mock()
    index = paste(shown[0].code, tablestore=tablestore, ENDPOINT="http://127.0.0.1:8080")
    keys = {"access_key_id": "id", "access_key_secret": "secret", "region": "cn-hangzhou"}
    for _ in range(2):
        fc_invoke(index.handler, {}, fc_context(**keys))
    [made] = tablestore.OTSClient.call_args_list
    assert made.kwargs["credentials_provider"].get_credentials().access_key_id == "id"


@runs("docs/batching.md#what-a-call-can-rely-on")
async def test_a_batch_with_too_few_results_says_what_to_do(
    shown: list[Block], paste: Paste, fc_service: Any
) -> None:
    """Each of its calls gets the answer of the page."""
    code = (
        "from service import batched\n\n\n@batched(max_size=32, max_wait=0.005)\n"
        "def handler(numbers: list[int]):\n    return numbers[1:]\n"
    )
    served = fc_service(paste(code).handler)
    answers: list[Any] = await asyncio.gather(
        *(served.invoke(number) for number in range(2)), return_exceptions=True
    )
    for answer in answers:
        assert_shows(shown[0].code, json.dumps(answer.value, separators=(",", ":")), NUMBERS)
