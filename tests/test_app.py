"""What each path does."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import TCPConnector, web
from aiohttp.test_utils import TestClient, make_mocked_request
from pytest_aiohttp.plugin import AiohttpClient

from service.app import _begin
from service.calls.stream import EventStream
from service.context.call import Context, current_context
from service.context.record import CallRecord
from service.instance.assembly import SERVICE
from service.settings.table import Settings
from tests.assembly import Logged, assembled, error_of, logged

Client = TestClient[web.Request, web.Application]


async def echo(event: bytes, context: Context) -> bytes:
    """A handler that answers with its event."""
    return event


def ids(name: str) -> dict[str, str]:
    """The header of a request id."""
    return {"x-fc-request-id": name}


async def test_an_event_is_answered_with_the_handlers_result(
    aiohttp_client: AiohttpClient, log: Logged
) -> None:
    """`POST /invoke` answers 200 with the platform's headers and the result's bytes."""
    client = await aiohttp_client(assembled(log[0], echo))
    got = await client.post("/invoke", data=b"\x00\xff", headers=ids("r1"))
    assert (got.status, await got.read()) == (200, b"\x00\xff")
    assert got.headers["x-fc-status"] == "200"
    assert got.headers["x-fc-request-id"] == "r1"
    assert got.headers["Content-Type"] == "application/octet-stream"
    assert log[1].lines() == ["FC Invoke Start RequestId: r1", "FC Invoke End RequestId: r1"]


@pytest.mark.parametrize("chunked", [False, True])
async def test_the_event_is_what_the_annotation_asks(
    aiohttp_client: AiohttpClient, log: Logged, chunked: bool
) -> None:
    """A typed event is decoded, from an announced body and from a chunked one."""

    def handler(event: dict[str, int], context: Any) -> Any:
        return {"sum": sum(event.values()), "id": context.request_id}

    async def body() -> AsyncIterator[bytes]:
        yield b'{"a": 1,'
        yield b' "b": 2}'

    client = await aiohttp_client(assembled(log[0], handler))
    data: Any = body() if chunked else b'{"a": 1, "b": 2}'
    got = await client.post("/invoke", data=data, headers=ids("r1"))
    assert json.loads(await got.read()) == {"sum": 3, "id": "r1"}
    refused = await client.post("/invoke", data=b'{"a": "x"}')
    assert (refused.status, error_of(await refused.read())[0]) == (400, "InvalidEvent")


async def test_a_stream_is_read_while_it_arrives(
    aiohttp_client: AiohttpClient, log: Logged
) -> None:
    """An EventStream handler gets the first chunk before the last one is sent."""
    met = asyncio.Event()

    async def handler(event: EventStream, context: Any) -> Any:
        found = []
        async for line in event.lines():
            found.append(line.decode())
            met.set()
        return found

    async def body() -> AsyncIterator[bytes]:
        yield b"one\n"
        await met.wait()
        yield b"two\n"

    client = await aiohttp_client(assembled(log[0], handler))
    got = await client.post("/invoke", data=body())
    assert json.loads(await got.read()) == ["one", "two"]


async def test_200_async_handlers_wait_for_each_other(
    aiohttp_client: AiohttpClient, log: Logged
) -> None:
    """200 async calls are all in flight together, each with its own context."""
    barrier = asyncio.Barrier(200)

    async def handler(event: bytes, context: Context) -> Any:
        await barrier.wait()
        return [event.decode(), context.request_id, current_context().request_id]

    app = assembled(log[0], handler, Settings(concurrency=200, queue=0))
    client = await aiohttp_client(app, connector=TCPConnector(limit=0))

    async def ask(number: int) -> Any:
        got = await client.post("/invoke", data=str(number), headers=ids(f"r{number}"))
        return json.loads(await got.read())

    answers = await asyncio.gather(*(ask(number) for number in range(200)))
    assert answers == [[str(n), f"r{n}", f"r{n}"] for n in range(200)]


@pytest.mark.parametrize("plain", [False, True])
async def test_a_hundred_calls_keep_their_lines_apart(
    aiohttp_client: AiohttpClient, plain: bool
) -> None:
    """Each line of `print` and `logging` of 100 calls at once stands between its call's own Start
    and End, with its id.
    """
    barrier, threads = asyncio.Barrier(100), threading.Barrier(100)
    user = logging.getLogger("user")

    async def on_loop(event: bytes, context: Context) -> None:
        for number in range(3):
            print("p", event.decode(), end=" ")  # noqa: T201 - that is what is tested
            await barrier.wait()
            user.info("l %s", event.decode())
            print(number)  # noqa: T201

    def in_thread(event: bytes, context: Context) -> None:
        for number in range(3):
            print("p", event.decode(), end=" ")  # noqa: T201
            threads.wait()
            user.info("l %s", event.decode())
            print(number)  # noqa: T201

    with logged() as (logs, pipe):
        client = await aiohttp_client(assembled(logs, in_thread if plain else on_loop))
        await asyncio.gather(
            *(client.post("/invoke", data=f"r{n}", headers=ids(f"r{n}")) for n in range(100))
        )
        lines = pipe.lines()
    assert len(lines) == 100 * (2 + 6)
    state = dict.fromkeys((f"r{n}" for n in range(100)), "new")
    for line in lines:
        if found := re.fullmatch(r"FC Invoke (Start|End) RequestId: (r\d+)", line):
            assert state[found[2]] == {"Start": "new", "End": "Start"}[found[1]]
            state[found[2]] = found[1]
        else:
            parts = re.fullmatch(r"\S+Z (r\d+) \[(INFO|STDOUT)\] [pl] (r\d+)( \d)?", line)
            assert parts, line
            assert parts[1] == parts[3]
            assert state[parts[1]] == "Start"
    assert set(state.values()) == {"End"}


async def test_a_failed_call_harms_no_other(aiohttp_client: AiohttpClient, log: Logged) -> None:
    """A handler that exits fails its own call; the one beside it goes on."""
    both, go = asyncio.Barrier(2), asyncio.Event()

    async def handler(event: bytes, context: Context) -> bytes:
        await both.wait()
        if event == b"exit":
            raise SystemExit(3)
        await go.wait()
        return b"fine"

    client = await aiohttp_client(assembled(log[0], handler))
    good = asyncio.ensure_future(client.post("/invoke", data=b"good"))
    bad = await client.post("/invoke", data=b"exit")
    go.set()
    assert (bad.status, error_of(await bad.read())) == (404, ("SystemExit", "3"))
    assert await (await good).read() == b"fine"


async def test_a_result_that_cannot_become_bytes_is_named(
    aiohttp_client: AiohttpClient, log: Logged
) -> None:
    """A set is UnserializableResult, with its type."""

    async def handler(event: bytes, context: Context) -> Any:
        return {1}

    client = await aiohttp_client(assembled(log[0], handler))
    got = await client.post("/invoke")
    code, message = error_of(await got.read())
    assert (got.status, code) == (404, "UnserializableResult")
    assert "set" in message


async def test_calls_beyond_slots_and_queue_get_429(
    aiohttp_client: AiohttpClient, log: Logged
) -> None:
    """The call for which there is no room is refused with `Retry-After`; the others are served."""
    go, runs = asyncio.Event(), asyncio.Event()

    async def handler(event: bytes, context: Context) -> bytes:
        runs.set()
        await go.wait()
        return b"ran"

    app = assembled(log[0], handler, Settings(concurrency=1, queue=1))
    client = await aiohttp_client(app)
    first = asyncio.ensure_future(client.post("/invoke"))
    await runs.wait()
    others = [asyncio.ensure_future(client.post("/invoke")) for _ in range(2)]
    done, waiting = await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
    (refused,) = [task.result() for task in done]
    assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
    assert error_of(await refused.read())[0] == "Overloaded"
    go.set()
    for task in (first, *waiting):
        assert (await task).status == 200
    service = app[SERVICE]
    assert (service.admission.running, service.budget.used) == (0, 0)


@pytest.mark.parametrize("where", ["slot", "initializer", "handler"])
async def test_a_call_ends_at_its_deadline_wherever_it_waits(
    aiohttp_client: AiohttpClient, log: Logged, where: str
) -> None:
    """FunctionTimeout tells what the call was waiting for, and it holds nothing afterwards."""
    go, runs = asyncio.Event(), asyncio.Event()

    async def handler(event: bytes, context: Context) -> bytes:
        runs.set()
        await go.wait()
        return b"ran"

    async def initialize(context: Context) -> None:
        if where == "initializer":
            await go.wait()

    settings = Settings(concurrency=1, deadline_margin=0.0)
    app = assembled(log[0], handler, settings, initializer=initialize)
    client = await aiohttp_client(app)
    first = asyncio.ensure_future(client.post("/invoke")) if where == "slot" else None
    if first:
        await runs.wait()
    got = await client.post("/invoke", headers={"x-fc-function-timeout": "0.5"})
    code, message = error_of(await got.read())
    assert (got.status, code) == (404, "FunctionTimeout")
    stage = {
        "slot": "waiting for a free slot",
        "initializer": "waiting for the initializer",
        "handler": "running index.handler",
    }[where]
    told = rf"the call was not done within 0\S* seconds \(it was {re.escape(stage)}\)"
    assert re.fullmatch(told, message)
    go.set()
    if first:
        assert (await first).status == 200
    assert (await client.post("/invoke")).status == 200
    assert app[SERVICE].admission.running == 0
    assert app[SERVICE].calls.lost == 0


async def eventually(true: Callable[[], object]) -> None:
    """Wait until it is; the test's own limit ends a wait in vain."""
    while not true():  # noqa: ASYNC110 - counters have no event
        await asyncio.sleep(0)


async def test_a_call_without_a_slot_keeps_no_bytes_from_one_that_has_it(
    aiohttp_client: AiohttpClient, log: Logged
) -> None:
    """With a slot and a body that needs the whole budget, a call is not held up by a small one that
    waits for the slot: each would wait for the other.
    """
    ready = asyncio.Event()

    async def initialize(_context: Context) -> None:
        await ready.wait()

    settings = Settings(concurrency=1, max_body=1000, body_budget=1000)
    app = assembled(log[0], echo, settings, initializer=initialize)
    client = await aiohttp_client(app)
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(b"POST /invoke HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nx")
    service = app[SERVICE]
    await eventually(lambda: service.admission.running)
    small = asyncio.ensure_future(client.post("/invoke", data=b"small"))
    await eventually(lambda: service.admission.queued)
    ready.set()
    writer.write(b"x" * 999)
    async with asyncio.timeout(60):
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        assert await (await small).read() == b"small"
    writer.close()
    assert (service.admission.running, service.budget.used) == (0, 0)


async def test_a_body_over_the_limit_is_refused_at_once(
    aiohttp_client: AiohttpClient, log: Logged
) -> None:
    """413 from `Content-Length` alone, and once a chunked body passes the limit."""
    client = await aiohttp_client(assembled(log[0], echo, Settings(max_body=10)))

    async def body() -> AsyncIterator[bytes]:
        yield b"123456"
        yield b"789012"

    for data in (b"12345678901", body()):
        got = await client.post("/invoke", data=data)
        assert (got.status, error_of(await got.read())[0]) == (413, "PayloadTooLarge")
    assert await (await client.post("/invoke", data=b"1234567890")).read() == b"1234567890"


async def test_a_sender_that_waits_is_asked_for_its_body(
    aiohttp_client: AiohttpClient, log: Logged
) -> None:
    """`Expect: 100-continue` is answered when the body is read."""
    client = await aiohttp_client(assembled(log[0], echo))
    async with asyncio.timeout(60):
        got = await client.post("/invoke", data=b"x", expect100=True)
        assert await got.read() == b"x"


def test_a_sender_that_has_left_is_not_asked() -> None:
    """Nothing is sent where the connection is gone."""
    request = make_mocked_request("POST", "/invoke", headers={"Expect": "100-continue"})
    request.protocol.transport = None
    _begin(request)


async def test_http_1_0_knows_no_expectation(aiohttp_client: AiohttpClient, log: Logged) -> None:
    """A sender of HTTP/1.0 is not asked for its body: it would not know what that is."""
    client = await aiohttp_client(assembled(log[0], echo))
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(b"POST /invoke HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx")
    async with asyncio.timeout(60):
        assert (await reader.readline()).startswith(b"HTTP/1.0 200")
    writer.close()


async def test_another_expectation_is_refused(aiohttp_client: AiohttpClient, log: Logged) -> None:
    """An expectation that is not served is a 417 with our JSON."""
    client = await aiohttp_client(assembled(log[0], echo))
    got = await client.post("/invoke", headers={"Expect": "a miracle"})
    assert (got.status, error_of(await got.read())[0]) == (417, "BadRequest")


async def test_initialize_waits_for_the_initializer(
    aiohttp_client: AiohttpClient, log: Logged
) -> None:
    """The initializer starts with the service, once; `/initialize` answers when it is done."""
    go, contexts = asyncio.Event(), list[Context]()

    async def initialize(context: Context) -> None:
        contexts.append(context)
        assert current_context() is context
        await go.wait()

    app = assembled(log[0], echo, initializer=initialize)
    client = await aiohttp_client(app)
    asking = asyncio.ensure_future(client.post("/initialize", headers=ids("r1")))
    health = await client.get("/health")
    assert (health.status, health.headers["x-fc-status"]) == (503, "404")
    go.set()
    got = await asking
    assert (got.status, await got.read()) == (200, b"")
    assert len(contexts) == 1
    assert contexts[0].request_id.startswith("1-")
    assert (await client.get("/health")).status == 200


async def test_a_failed_initializer_fails_its_callers(
    aiohttp_client: AiohttpClient, log: Logged
) -> None:
    """Each demand runs it anew until it succeeds; its error names the user's exception."""
    runs, begun = list[int](), asyncio.Event()

    async def initialize(context: Context) -> None:
        runs.append(1)
        begun.set()
        if len(runs) < 3:
            raise ConnectionError("no database")

    app = assembled(log[0], echo, initializer=initialize)
    client = await aiohttp_client(app)
    await begun.wait()
    task = app[SERVICE].lifecycle._started
    assert task is not None
    await asyncio.wait([task])
    got = await client.post("/initialize", headers=ids("r1"))
    assert (got.status, error_of(await got.read())) == (
        404,
        ("InitializationError", "the initializer failed: ConnectionError: no database"),
    )
    assert await (await client.post("/invoke", data=b"x")).read() == b"x"
    assert len(runs) == 3


async def test_pre_stop_drains_and_runs_the_hook_once(
    aiohttp_client: AiohttpClient, log: Logged
) -> None:
    """GET and POST are taken; the hook runs once; calls after it are refused with Stopping."""
    runs: list[str] = []

    def pre_stop(context: Context) -> None:
        runs.append(context.request_id)

    client = await aiohttp_client(assembled(log[0], echo, pre_stop=pre_stop))
    assert (await client.get("/pre-stop", headers=ids("r1"))).status == 200
    assert (await client.post("/pre-stop", headers=ids("r2"))).status == 200
    got = await client.post("/invoke")
    assert (got.status, error_of(await got.read())[0]) == (404, "Stopping")
    assert runs == ["r1"]
    health = await client.get("/health")
    assert health.status == 503
    assert (await health.json())["draining"] is True


async def test_a_failed_pre_stop_is_told(aiohttp_client: AiohttpClient, log: Logged) -> None:
    """A hook that fails answers 404 with its error, and is logged once."""

    def pre_stop(context: Context) -> None:
        raise ValueError("no")

    client = await aiohttp_client(assembled(log[0], echo, pre_stop=pre_stop))
    got = await client.get("/pre-stop", headers=ids("r1"))
    assert (got.status, error_of(await got.read())) == (404, ("ValueError", "no"))
    lines = log[1].lines()
    assert sum(line.endswith("[ERROR] ValueError: no") for line in lines) == 1
    assert lines[-1].endswith("End RequestId: r1, Error: Unhandled function error")


async def test_pre_freeze_runs_each_time(aiohttp_client: AiohttpClient, log: Logged) -> None:
    """The hook runs at every `/pre-freeze`; without one there is nothing to do."""
    runs: list[str] = []

    async def pre_freeze(context: Context) -> None:
        runs.append(context.request_id)

    client = await aiohttp_client(assembled(log[0], echo, pre_freeze=pre_freeze))
    for name in ("r1", "r2"):
        assert (await client.get("/pre-freeze", headers=ids(name))).status == 200
    assert runs == ["r1", "r2"]
    bare = await aiohttp_client(assembled(log[0], echo))
    assert (await bare.post("/pre-freeze")).status == 200


async def test_a_hook_has_a_time_limit(aiohttp_client: AiohttpClient, log: Logged) -> None:
    """An initializer that hangs fails with what it was doing."""

    async def initialize(context: Context) -> None:
        await asyncio.Event().wait()

    settings = Settings(initialize_timeout=0.5)
    client = await aiohttp_client(assembled(log[0], echo, settings, initializer=initialize))
    got = await client.post("/initialize")
    code, message = error_of(await got.read())
    assert (got.status, code) == (404, "InitializationError")
    assert "FunctionTimeout: the call was not done within 0." in message


async def test_health_tells_how_the_instance_is(aiohttp_client: AiohttpClient, log: Logged) -> None:
    """`/health` is JSON with its counters; HEAD has no body."""
    client = await aiohttp_client(assembled(log[0], echo))
    await client.post("/initialize")
    state = await (await client.get("/health")).json()
    assert state.pop("loopLagSeconds") >= 0
    assert state.pop("uptimeSeconds") >= 0
    assert (
        state
        | {
            "ready": True,
            "draining": False,
            "inFlight": 0,
            "running": 0,
            "queued": 0,
            "refused": 0,
            "lost": 0,
            "bodyBytes": 0,
            "logLinesLost": 0,
        }
        == state
    )
    head = await client.head("/health")
    assert (head.status, await head.read()) == (200, b"")


async def test_observers_are_told_of_each_call_and_how_it_went(
    aiohttp_client: AiohttpClient, log: Logged
) -> None:
    """At its begin and when its answer is made: its times in order, its sizes, its failure. Other
    paths are no calls.
    """
    told: list[tuple[str, CallRecord]] = []

    async def handler(event: bytes, context: Context) -> Any:
        return 1 / 0 if event == b"fail" else b"four"

    app = assembled(log[0], handler)
    observers = app[SERVICE].observers
    observers.begun = (lambda context, _: told.append((context.request_id, CallRecord())),)
    observers.ended = (lambda context, record: told.append((context.request_id, record)),)
    client = await aiohttp_client(app)
    await client.get("/health")
    await client.post("/invoke", data=b"six...", headers=ids("r1"))
    await client.post("/invoke", data=b"fail", headers=ids("r2"))
    assert [name for name, _ in told] == ["r1", "r1", "r2", "r2"]
    good, bad = told[1][1], told[3][1]
    for record in (good, bad):
        assert 0 < record.arrived <= record.slot_at <= record.open_at <= record.handler_at
        assert record.handler_at <= record.handled_at <= record.ended
    assert (good.bytes_in, good.bytes_out, good.error_type, good.cold_start) == (6, 4, "", True)
    assert (bad.bytes_in, bad.bytes_out, bad.error_type) == (4, 0, "ZeroDivisionError")
    assert not bad.cold_start


async def test_an_observer_sees_how_long_a_call_was_queued(
    aiohttp_client: AiohttpClient, log: Logged
) -> None:
    """A call that had to wait for a slot has it later than it arrived; it never was in a handler
    if it was refused.
    """
    release, running = asyncio.Event(), asyncio.Event()
    told: dict[str, CallRecord] = {}

    async def handler(event: bytes, context: Context) -> None:
        running.set()
        await release.wait()

    app = assembled(log[0], handler, Settings(concurrency=1, queue=1))
    service = app[SERVICE]
    service.observers.ended = (lambda context, record: told.update({context.request_id: record}),)
    client = await aiohttp_client(app)
    first = asyncio.ensure_future(client.post("/invoke", headers=ids("first")))
    await running.wait()
    queued = asyncio.ensure_future(client.post("/invoke", headers=ids("queued")))
    while not service.admission.queued:  # noqa: ASYNC110 - the queue has no event
        await asyncio.sleep(0)
    assert (await client.post("/invoke", headers=ids("refused"))).status == 429
    release.set()
    await asyncio.gather(first, queued)
    assert told["first"].slot_at == told["first"].arrived
    assert told["queued"].slot_at > told["queued"].arrived
    refused = told["refused"]
    assert (refused.error_type, refused.handler_at) == ("Overloaded", 0.0)


LINED: dict[str, dict[str, Any]] = {
    "all": {"log_calls": "all"},
    "slow": {"log_calls": "slow", "slow_after": 0.0},
    "none is slow": {"log_calls": "slow", "slow_after": 86_400.0},
    "off": {"log_calls": "off", "slow_after": 0.0},
}


@pytest.mark.parametrize("asked", LINED)
@pytest.mark.parametrize("plain", [False, True], ids=["async", "plain"])
async def test_a_line_sums_up_the_calls_that_are_asked_for(
    aiohttp_client: AiohttpClient, log: Logged, asked: str, plain: bool
) -> None:
    """Before the End line; a plain handler's has the time its thread worked, unless it is next to
    nothing.
    """

    async def on_loop(event: bytes, context: Context) -> bytes:
        context.bind(order_id=7)
        return event * 2

    def in_thread(event: bytes, context: Context) -> bytes:
        context.bind(order_id=7)
        sum(range(100_000))
        return event * 2

    handler = in_thread if plain else on_loop
    client = await aiohttp_client(assembled(log[0], handler, Settings(**LINED[asked])))
    await client.post("/invoke", data=b"x", headers=ids("r1"))
    start, *lines, end = log[1].lines()
    assert [start[:15], end[:13]] == ["FC Invoke Start", "FC Invoke End"]
    if asked in ("off", "none is slow"):
        assert lines == []
        return
    (line,) = lines
    assert line.endswith(" bytesIn=1 bytesOut=2 coldStart=true inFlight=1 order_id=7")
    assert (" cpuMs=" in line) is plain
    assert "r1 [WARNING] the call was slow" in line or "r1 [INFO] the call has ended" in line


async def test_a_call_that_failed_in_the_queue_was_queued_all_the_time(
    aiohttp_client: AiohttpClient, log: Logged
) -> None:
    """Its line has the queue's time, and none of a handler."""
    began, goes_on = asyncio.Event(), asyncio.Event()

    async def handler(event: bytes, context: Context) -> None:
        began.set()
        await goes_on.wait()

    limits = Settings(concurrency=1, queue=1, log_calls="all")
    client = await aiohttp_client(assembled(log[0], handler, limits))
    first = asyncio.create_task(client.post("/invoke", data=b"x", headers=ids("r1")))
    await began.wait()
    await client.post("/invoke", headers={**ids("r2"), "x-fc-function-timeout": "0.1"})
    goes_on.set()
    await first
    (queued,) = (line for line in log[1].lines() if " r2 [INFO] the call has ended" in line)
    duration, queue = re.findall(r"(?:duration|queue)Ms=(\S+)", queued)
    assert duration == queue
    assert "outcome=failure errorType=FunctionTimeout" in queued
    assert "handlerMs" not in queued


async def test_lines_below_the_level_are_written_if_the_call_fails(
    aiohttp_client: AiohttpClient,
) -> None:
    """Before its End line; those of a call that succeeds are dropped."""
    user = logging.getLogger("user")

    async def handler(event: bytes, context: Context) -> None:
        user.debug("looked at %s", event.decode())
        if event == b"bad":
            raise KeyError("x")

    with logged(lets_all_through=True) as (logs, pipe):
        app = assembled(logs, handler, Settings(log_buffer=True, slow_after=86_400.0))
        client = await aiohttp_client(app)
        await client.post("/invoke", data=b"good", headers=ids("r1"))
        assert len(pipe.lines()) == 2
        await client.post("/invoke", data=b"bad", headers=ids("r2"))
        lines = pipe.lines()
        assert lines[-2].endswith(" r2 [DEBUG] looked at bad")
        assert lines[-1].startswith("FC Invoke End RequestId: r2")
