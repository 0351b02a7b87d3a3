"""What a function does before and behind each call, and what it sees of it."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import ModuleType
from typing import Any

import pytest
from aiohttp import web
from pytest_aiohttp.plugin import AiohttpClient

from service.app import assemble_app
from service.calls.function import Handlers
from service.calls.imports import Wanted
from service.calls.surroundings import SURROUNDINGS, check_around, check_lifespan
from service.context.call import Context, Platform
from service.errors import StartError
from service.http.routes import DIRECT
from service.instance.assembly import SERVICE
from service.lifetime.around import AroundCall
from service.settings.table import Settings
from tests.assembly import Logged, error_of, handlers_of

HOME = ModuleType("index")
QUIET = Settings(log_calls="off")


def app_around(
    log: Logged,
    around: Callable[..., Any],
    call: Callable[..., Any],
    settings: Settings = QUIET,
    **more: Any,
) -> web.Application:
    """The service's application around a handler with `around`."""
    found = check_around(Wanted("around", "index.around"), around, HOME)
    handlers = Handlers(handlers_of(call).handler, around=found, **more)
    return assemble_app(settings, Platform(), handlers, log[0])


seen: list[AroundCall] = []


@pytest.fixture(autouse=True)
def forgotten() -> None:
    """Each test begins with nothing seen."""
    seen.clear()


async def generator(call: AroundCall) -> AsyncIterator[None]:
    """Note a call, and what has become of it."""
    assert (call.outcome, call.error, call.handler_seconds) == ("", None, 0.0)
    yield
    seen.append(call)


def plain(call: AroundCall) -> Iterator[None]:
    """The same without async."""
    yield
    seen.append(call)


class Manager:
    """The same as a class."""

    def __init__(self, call: AroundCall) -> None:
        self.call = call

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, *failure: object) -> None:
        seen.append(self.call)


@pytest.mark.parametrize(
    "around",
    [generator, plain, asynccontextmanager(generator), contextmanager(plain), Manager],
    ids=["async", "plain", "async context manager", "context manager", "class"],
)
async def test_each_call_is_seen_with_what_it_has_come_to(
    aiohttp_client: AiohttpClient, log: Logged, around: Callable[..., Any]
) -> None:
    """Its context, outcome, error, times and sizes are known behind the `yield`, before it is
    answered; it may be written in each way that Python has.
    """

    async def handler(event: dict[str, int], context: Context) -> Any:
        return {"quotient": event["a"] // event["b"]}

    client = await aiohttp_client(app_around(log, around, handler))
    for body, status in ((b'{"a":6,"b":2}', 200), (b'{"a":6,"b":0}', 404), (b"[]", 400)):
        got = await client.post("/invoke", data=body, headers={"x-fc-request-id": f"r{status}"})
        assert got.status == status
        assert seen[-1].context.request_id == f"r{status}"
    told = [(call.outcome, call.error_type, type(call.error).__name__) for call in seen]
    assert told == [
        ("success", "", "NoneType"),
        ("function_error", "ZeroDivisionError", "ZeroDivisionError"),
        ("bad_request", "InvalidEvent", "InvalidEvent"),
    ]
    assert [call.event_bytes for call in seen] == [13, 13, 2]
    assert [call.result_bytes for call in seen] == [14, 0, 0]
    assert seen[0].handler_seconds > 0.0
    assert [call.queue_seconds for call in seen] == [0.0, 0.0, 0.0]


async def test_a_call_that_is_too_late_and_one_that_is_refused_are_seen(
    aiohttp_client: AiohttpClient, log: Logged
) -> None:
    """A time-out is seen when it happens, even if a thread goes on; so is a refusal."""
    gate, began = threading.Event(), threading.Event()

    def handler(event: bytes, context: Context) -> None:
        began.set()
        gate.wait()

    settings = Settings(concurrency=1, queue=0, timeout=1.0, deadline_margin=0.1, log_calls="off")
    client = await aiohttp_client(app_around(log, generator, handler, settings))
    first = asyncio.ensure_future(client.post("/invoke", data=b"{}"))
    await asyncio.to_thread(began.wait)
    refused = await client.post("/invoke", data=b"{}")  # the thread has its slot until it is back
    assert ((await first).status, refused.status) == (404, 429)
    gate.set()
    found = {call.outcome: call for call in seen}
    assert set(found) == {"timeout", "refused"}
    assert found["timeout"].error_type == "FunctionTimeout"


async def test_it_is_seen_how_long_a_call_was_queued(
    aiohttp_client: AiohttpClient, log: Logged
) -> None:
    """From its arrival to its slot, or to its end if it got none; it grows while the call waits."""
    gate, began = asyncio.Event(), asyncio.Event()
    so_far: list[float] = []

    async def around(call: AroundCall) -> AsyncIterator[None]:
        so_far.append(call.queue_seconds)
        yield
        seen.append(call)

    async def handler(event: bytes, context: Context) -> None:
        began.set()
        await gate.wait()

    app = app_around(log, around, handler, Settings(concurrency=1, log_calls="off"))
    client = await aiohttp_client(app)
    first = asyncio.ensure_future(client.post("/invoke", data=b"1"))
    await began.wait()
    second = asyncio.ensure_future(client.post("/invoke", data=b"2"))
    while not app[SERVICE].admission.queued:  # noqa: ASYNC110 - nobody tells of it
        await asyncio.sleep(0)
    gate.set()
    assert [(await first).status, (await second).status] == [200, 200]
    at_once, queued = seen
    assert at_once.queue_seconds == 0.0
    assert queued.queue_seconds > so_far[1] >= 0.0


async def test_what_it_raises_fails_its_call_alone(
    aiohttp_client: AiohttpClient, log: Logged
) -> None:
    """Before the `yield` the handler does not run; behind it the call fails, unless it has failed
    already: then that is what the caller is told.
    """
    ran: list[bytes] = []

    async def around(call: AroundCall) -> AsyncIterator[None]:
        what = call.context.headers["x-when"]
        if what == "before":
            raise PermissionError("who are you?")
        yield
        if what == "behind":
            raise SystemExit(3)

    def handler(event: bytes, context: Context) -> bytes:
        ran.append(event)
        return event[:1] if event != b"bad" else b"x" // event  # type: ignore[operator]

    client = await aiohttp_client(app_around(log, around, handler))

    async def told(body: bytes, when: str) -> str:
        got = await client.post("/invoke", data=body, headers={"x-when": when})
        return "" if got.status == 200 else error_of(await got.read())[0]

    assert await told(b"1", "before") == "PermissionError"
    assert not ran
    assert await told(b"2", "behind") == "SystemExit"
    assert await told(b"bad", "behind") == "TypeError"
    assert await told(b"3", "never") == ""
    text = "\n".join(log[1].lines())
    assert text.count("SystemExit: 3") == 2


async def never_yields(call: Any) -> AsyncIterator[None]:
    """It ends at once."""
    if call.outcome:
        yield


async def yields_twice(call: Any) -> AsyncIterator[None]:
    """It yields once more."""
    yield
    yield


def plainly_never(call: Any) -> Iterator[None]:
    """It ends at once."""
    if call.outcome:
        yield


def plainly_twice(call: Any) -> Iterator[None]:
    """It yields once more."""
    yield
    yield


@pytest.mark.parametrize(
    ("around", "why"),
    [
        (never_yields, "index.around never yields"),
        (plainly_never, "index.around never yields"),
        (yields_twice, "index.around yields twice at"),
        (plainly_twice, "index.around yields twice"),
    ],
)
async def test_it_yields_once(
    aiohttp_client: AiohttpClient, log: Logged, around: Callable[..., Any], why: str
) -> None:
    """What does not is told so, in the call that it fails."""
    client = await aiohttp_client(app_around(log, around, lambda event, context: b""))
    code, message = error_of(await (await client.post("/invoke", data=b"{}")).read())
    assert (code, message[: len(why)]) == ("YieldedOften", why)


@pytest.mark.parametrize("when", ["before", "behind"])
async def test_one_that_hangs_is_ended_soon_behind_its_calls_deadline(
    aiohttp_client: AiohttpClient, log: Logged, when: str
) -> None:
    """The caller gets FunctionTimeout, and no other call is hurt."""
    ended: list[str] = []

    async def around(call: AroundCall) -> AsyncIterator[None]:
        hangs = call.context.headers.get("x-hangs")
        try:
            if hangs == "before":
                await asyncio.Event().wait()
            yield
            if hangs == "behind":
                await asyncio.Event().wait()
        finally:
            ended.append(call.outcome)

    settings = Settings(timeout=0.12, deadline_margin=0.1, log_calls="off")
    client = await aiohttp_client(app_around(log, around, lambda event, context: b"", settings))
    got = await client.post("/invoke", data=b"{}", headers={"x-hangs": when})
    assert error_of(await got.read())[0] == "FunctionTimeout"
    # On a busy machine the handler may be late as well.
    assert ended[0] in ([""] if when == "before" else ["success", "timeout"])
    assert "FunctionTimeout while running index.around" in "\n".join(log[1].lines())


async def test_calls_have_what_it_sets_and_it_has_the_state(
    aiohttp_client: AiohttpClient, log: Logged
) -> None:
    """A context variable that it sets is set in the handler, whatever the lifespan has set; the
    state of the lifespan is there from its first line on, for the first call, too.
    """
    tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="none")
    states: list[Any] = []

    async def lifespan(context: Context) -> AsyncIterator[str]:
        tenant.set("the lifespan's")
        yield "open"

    async def around(call: AroundCall) -> AsyncIterator[None]:
        states.append(call.context.state)
        token = tenant.set(call.context.request_id)
        yield
        tenant.reset(token)

    async def handler(event: bytes, context: Context) -> str:
        return tenant.get()

    found = check_lifespan(Wanted("lifespan", "index.lifespan"), lifespan, HOME)
    app = app_around(log, around, handler, lifespan=found)
    client = await aiohttp_client(app)
    got = await client.post("/invoke", data=b"{}", headers={"x-fc-request-id": "r1"})
    assert (await got.text(), states) == ("r1", ["open"])
    assert DIRECT not in app


async def test_calls_that_are_cut_are_seen(aiohttp_client: AiohttpClient, log: Logged) -> None:
    """A stop that has waited long enough ends them as time-outs."""
    began = asyncio.Event()

    async def handler(event: bytes, context: Context) -> None:
        began.set()
        await asyncio.Event().wait()

    app = app_around(log, generator, handler)
    client = await aiohttp_client(app)
    call = asyncio.ensure_future(client.post("/invoke", data=b"{}"))
    await began.wait()

    app[SERVICE].calls.cut_all()
    assert error_of(await (await call).read())[0] == "FunctionTimeout"
    await app[SERVICE].calls.unwound()
    assert [each.outcome for each in seen] == ["timeout"]


async def coroutine(call: Any) -> None:
    """Not a generator."""


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (coroutine, r"never yields; write `async def around\(call\)` with one `yield`"),
        (lambda call: None, "never yields"),
        (dict, "is a class and no context manager"),
        (5, "is int, not a function"),
    ],
)
def test_what_cannot_be_around_calls_is_refused(found: Any, why: str) -> None:
    """The error says how to write it."""
    with pytest.raises(StartError, match=why):
        check_around(Wanted("around", "index.around"), found, HOME)


def rounded(number: float, digits: int = 0) -> float:
    """A helper as numpy's `around`."""
    return number


def test_a_helper_of_that_name_is_left_alone() -> None:
    """What does not yield and does not take a `call` is not taken for it."""
    kind = SURROUNDINGS["around"]
    assert not kind.is_candidate(rounded)
    assert kind.is_candidate(coroutine)
    assert kind.is_meant(coroutine)
    assert kind.is_candidate(plain)
