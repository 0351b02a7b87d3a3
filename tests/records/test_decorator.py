"""`each` as a decorator."""

from __future__ import annotations

import functools
import inspect
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pydantic
import pytest
import stamina

from service import Context, Drop, MemoryStore, Retry, Router, create_app, each, once
from service.calls.loader import take
from service.errors import InvalidEvent, RecordsFailed, StartError
from service.events import KafkaEvent, KafkaEvents, OssEvent, OssRecord
from service.events.sample import sample
from tests.assembly import Logged


def context_of() -> Context:
    """A call's context."""
    return Context({}, "1-call")


def test_a_batch_handler_has_the_name_and_the_module_of_its_handler() -> None:
    """It is found in logs and by the loader; the handler of one record is there, too."""

    async def handle(record: dict[str, Any], context: Any) -> None:
        """Handle it."""

    for handler in (each(handle), each()(handle)):
        assert inspect.iscoroutinefunction(handler)
        assert vars(handler)["record_handler"] is handle
        for name in ("__name__", "__qualname__", "__module__", "__doc__"):
            assert getattr(handler, name) == getattr(handle, name)
    assert each(functools.partial(handle)).__name__ == "partial"  # type: ignore[attr-defined]


def test_a_batch_handler_is_loaded_as_any_other() -> None:
    """Its event is the body, and is decoded record by record; a stream is asked for as one."""

    @each
    async def handler(record: KafkaEvent, context: Any) -> None:
        """Handle it."""

    @each(lines=True)
    async def streamed(record: dict[str, Any], context: Any) -> None:
        """Handle it."""

    found = take(handler, Path.cwd()).handler
    assert found.kind == "async"
    assert found.decode is not None
    assert len(found.decode(sample("kafka"))) == 3
    with pytest.raises(InvalidEvent, match="@each takes a list of records"):
        found.decode(b"7")
    assert take(streamed, Path.cwd()).handler.decode is None


async def test_a_test_calls_it_with_what_is_at_hand() -> None:
    """Bytes, text, records that are decoded, and the event of a trigger that has them."""
    seen: list[Any] = []

    @each(key=lambda record: None)
    async def handler(record: OssRecord, context: Any) -> None:
        seen.append(record.oss.object.key)

    body = sample("oss.put")
    event: OssEvent = take(_oss, Path.cwd()).handler.decode(body)  # type: ignore[misc]
    for batch in (body, body.decode(), bytearray(body), event, event.events, tuple(event.events)):
        assert (await handler(batch, context_of()))["ok"] == 1
    assert len(set(seen)) == 1
    assert len(seen) == 6
    for wrong in (7, None, {"events": []}, object()):
        with pytest.raises(InvalidEvent, match="@each takes a list of records, and was given"):
            await handler(wrong, context_of())


async def _oss(event: OssEvent, context: Any) -> None:
    """Handle it."""


async def test_a_test_may_give_lines_as_bytes_and_a_context_of_its_own() -> None:
    """A context without a deadline, or one that is none of ours, sets no limit."""

    @each(lines=True)
    async def handler(record: dict[str, int], context: Any) -> None:
        assert context.mine

    result = await handler(b'{"n": 1}\n{"n": 2}\n', SimpleNamespace(mine=True))
    assert result["ok"] == 2


@pytest.mark.parametrize(
    ("options", "failure", "advice"),
    [
        ({"concurrency": 0}, ValueError, "from 1 to 1000"),
        ({"concurrency": True}, ValueError, "from 1 to 1000"),
        ({"concurrency": 1001}, ValueError, "from 1 to 1000"),
        ({"margin": -1}, ValueError, "a number of seconds"),
        ({"margin": float("inf")}, ValueError, "a number of seconds"),
        ({"margin": float("nan")}, ValueError, "a number of seconds"),
        ({"key": 7}, TypeError, "write a path"),
        ({"retry": 0}, ValueError, "one try at least"),
        ({"on_failure": 7}, TypeError, "on_failure is int"),
        ({"on_failure": lambda record: None}, TypeError, r"takes \(record, error, context\)"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_at_once(
    options: dict[str, Any], failure: type[Exception], advice: str
) -> None:
    """When the module is imported, and not at the first batch."""

    async def handle(record: Any, context: Any) -> None:
        """Handle it."""

    with pytest.raises(failure, match=advice):
        each(**options)(handle)


def test_what_is_no_handler_of_a_record_is_refused_at_once() -> None:
    """It takes a record and a context, and returns."""

    async def alone(record: Any) -> None:
        """Take one."""

    async def yields(record: Any, context: Any) -> Any:
        yield record

    def generates(record: Any, context: Any) -> Any:
        yield record

    for handle, advice in (
        (alone, r"takes \(record, context\)"),
        (yields, "do not yield"),
        (generates, "generator"),
        (7, "not a function"),
    ):
        with pytest.raises(TypeError, match=advice):
            each(handle)  # type: ignore[arg-type] # what is tested


def test_an_annotation_may_name_what_the_module_has_later() -> None:
    """It is looked for when the handler is loaded; one that is nowhere is told then."""
    names: dict[str, Any] = {"each": each}
    source = """
@each
async def handler(record: 'Order', context): ...
"""
    exec(source, names)
    with pytest.raises(StartError, match=r"Order.* cannot be resolved"):
        take(names["handler"], Path.cwd())
    names["Order"] = dict[str, int]
    assert take(names["handler"], Path.cwd()).handler.decode


async def test_a_decorator_between_it_and_the_handler_keeps_the_annotation(log: Logged) -> None:
    """Handlers of a record are ordinary functions: `functools.wraps` is enough."""
    seen = []

    def noted(handle: Any) -> Any:
        @functools.wraps(handle)
        async def wrapper(*arguments: Any) -> Any:
            seen.append(type(arguments[0]))
            return await handle(*arguments)

        return wrapper

    @each
    @noted
    async def handler(event: OssRecord, context: Any) -> None:
        """Handle it: the parameter has the name that handlers of events give theirs."""

    assert take(handler, Path.cwd()).handler.decode is not None
    assert (await handler(sample("oss.put"), context_of()))["ok"] == 1
    assert seen == [OssRecord]


async def test_the_handler_of_a_record_may_run_once_for_each_key() -> None:
    """A record that comes twice is handled once; a try that fails, and is raised, is none."""
    seen: list[int] = []

    @each(key="$.k", retry=stamina.AsyncRetryingCaller(attempts=3, wait_initial=0, wait_jitter=0))
    @once(key="$.id", store=MemoryStore())
    async def handler(record: dict[str, int], context: Any) -> int:
        seen.append(record["id"])
        if record["id"] == 2 and seen.count(2) == 1:
            raise Retry("not yet")
        if record["id"] == 3:
            raise Drop("of no interest")
        return record["id"]

    records = [{"id": n, "k": n} for n in (1, 2, 1, 3, 1, 2)]
    result = await handler(json.dumps(records).encode(), context_of())
    assert (result["ok"], result["dropped"], result["retries"]) == (5, 1, 1)
    assert sorted(seen) == [1, 2, 2, 3]


async def test_it_may_be_one_of_the_handlers_of_a_router() -> None:
    """The Router decodes the batch as a whole then, and it is handled record by record."""
    seen: list[str] = []

    @each
    async def shipped(record: KafkaEvent, context: Any) -> None:
        seen.append(record.data.topic)

    @each
    async def stored(record: OssRecord, context: Any) -> None:
        seen.append(record.event_name)

    on = Router()
    on(KafkaEvents)(shipped)
    on(OssEvent)(stored)
    handler = take(on, Path.cwd()).handler
    assert handler.decode is not None
    for name in ("kafka", "oss.put"):
        found = handler.decode(sample(name))
        result = await handler.routes[found.place].call(found.event, context_of())
        assert result["failed"] == 0
    assert seen == ["clicks", "clicks", "clicks", "ObjectCreated:PutObject"]


async def test_a_record_may_be_of_several_types_or_a_pydantic_model() -> None:
    """Each is decoded as the one whose shape it has; one that is none fails alone."""
    seen: list[Any] = []

    class Order(pydantic.BaseModel):
        number: int

    async def handle(record: Any, context: Any) -> None:
        seen.append(record)

    handle.__annotations__["record"] = Order | KafkaEvent
    [kafka, *_] = json.loads(sample("kafka"))
    batch = json.dumps([kafka, {"number": 7}, {"number": "x"}]).encode()
    with pytest.raises(RecordsFailed, match=r"1 of 3 records failed: \$\[2\]: InvalidEvent"):
        await each(handle)(batch, context_of())
    assert [type(record) for record in seen] == [KafkaEvent, Order]


async def test_it_serves_under_aiohttps_own_server(aiohttp_client: Any) -> None:
    """`create_app` takes it, and what fails is answered as the error it is."""

    @each
    async def handler(record: dict[str, int], context: Any) -> None:
        if record["n"]:
            raise ValueError("no")

    client = await aiohttp_client(create_app(handler, log_calls="off"))
    answer = await client.post("/invoke", data=b'[{"n": 0}]')
    assert (await answer.json(content_type=None))["ok"] == 1
    answer = await client.post("/invoke", data=b'[{"n": 0}, {"n": 1}]')
    assert answer.status == 404
    told = json.loads(await answer.read())
    assert told["errorType"] == "RecordsFailed"
    assert told["errorMessage"] == "1 of 2 records failed: $[1]: ValueError: no"
    answer = await client.post("/invoke", data=b"{}")
    assert answer.status == 400
    assert json.loads(await answer.read())["errorType"] == "InvalidEvent"
