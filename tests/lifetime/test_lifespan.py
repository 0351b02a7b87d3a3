"""A function's lifespan: opened before the first call, closed after the last one."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import re
import sys
import textwrap
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from aiohttp import web
from pytest_aiohttp.plugin import AiohttpClient

import service
from service.app import assemble_app
from service.calls import left_behind
from service.calls.function import Function
from service.calls.imports import Wanted
from service.calls.loader import load
from service.calls.surroundings import check_lifespan
from service.context.call import Context, Platform
from service.errors import InitializationError, StartError
from service.instance.assembly import SERVICE
from service.settings.table import Settings
from tests.assembly import Logged, error_of, handlers_of

HOME = ModuleType("index")


def app_with(
    log: Logged,
    lifespan: Callable[..., Any],
    call: Callable[..., Any],
    settings: Settings | None = None,
    **hooks: Callable[..., Any],
) -> web.Application:
    """The service's application around a handler with a lifespan and hooks."""
    found = check_lifespan(Wanted("lifespan", "index.lifespan"), lifespan, HOME)
    handlers = handlers_of(call, **hooks)
    named = {**{name: getattr(handlers, name) for name in hooks}, "lifespan": found}
    with_it = type(handlers)(handlers.handler, **named)
    return assemble_app(settings or Settings(log_calls="off"), Platform(), with_it, log[0])


async def state_of(event: bytes, context: Context) -> Any:
    """A handler that answers with its state."""
    return context.state


class Manager:
    """A lifespan that is a class."""

    def __init__(self, context: Context) -> None:
        self.context = context

    async def __aenter__(self) -> str:
        return f"open for {len(self.context.request_id)}"

    async def __aexit__(self, *failure: object) -> None:
        return None


async def generator(context: Context) -> AsyncIterator[str]:
    """A lifespan that is a generator."""
    yield f"open for {len(context.request_id)}"


@pytest.mark.parametrize(
    "lifespan",
    [generator, asynccontextmanager(generator), Manager],
    ids=["generator", "context manager", "class"],
)
@pytest.mark.parametrize("is_async", [True, False], ids=["async", "plain"])
async def test_what_a_lifespan_yields_is_the_state_of_every_call(
    aiohttp_client: AiohttpClient, log: Logged, lifespan: Callable[..., Any], is_async: bool
) -> None:
    """It may be written as an async generator, or as what makes async context managers."""

    def plain(event: bytes, context: Context) -> Any:
        return context.state

    app = app_with(log, lifespan, state_of if is_async else plain)
    client = await aiohttp_client(app)
    for _ in range(2):
        assert await (await client.post("/invoke", data=b"{}")).text() == "open for 32"


async def test_a_lifespan_is_around_all_else(aiohttp_client: AiohttpClient, log: Logged) -> None:
    """It is opened before `initialize`, closed behind `pre_stop` and before that answers; all of it
    is one task, on the loop of the calls, and the hooks have the state.
    """
    seen: list[str] = []
    tasks: list[Any] = []
    go = asyncio.Event()

    async def lifespan(context: Context) -> AsyncIterator[list[str]]:
        tasks.append(asyncio.current_task())
        await go.wait()
        seen.append("open")
        async with asyncio.timeout(60):  # is left in the task that has entered it
            yield seen
        tasks.append(asyncio.current_task())
        await asyncio.sleep(0)
        seen.append("closed")

    def noting(name: str) -> Callable[..., Any]:
        async def note(*arguments: Any) -> None:
            arguments[-1].state.append(name)

        return note

    hooks: dict[str, Any] = {name: noting(name) for name in ("pre_stop", "pre_freeze")}
    app = app_with(log, lifespan, noting("handler"), initializer=noting("initialize"), **hooks)
    client = await aiohttp_client(app)
    early = asyncio.ensure_future(client.post("/initialize"))
    call = asyncio.ensure_future(client.post("/invoke", data=b"{}"))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not early.done()
    go.set()
    assert [(await early).status, (await call).status] == [200, 200]
    assert (await client.get("/pre-freeze")).status == 200
    assert (await client.get("/pre-stop")).status == 200
    assert seen == ["open", "initialize", "handler", "pre_freeze", "pre_stop", "closed"]
    assert tasks[0] is tasks[1]
    refused = await client.post("/invoke", data=b"{}")
    assert error_of(await refused.read())[0] == "Stopping"


async def fails_before(context: Any) -> AsyncIterator[None]:
    """It raises before its yield, while that is so."""
    if broken:
        raise ValueError("no database")
    yield


async def never_yields(context: Any) -> AsyncIterator[str]:
    """It ends before its yield, while that is so."""
    if broken:
        return
    yield "late"


async def raises_at_once(context: Any) -> AsyncIterator[str]:
    """It ends the process, if it can, while that is so."""
    if broken:
        raise SystemExit(3)
    yield "late"


broken: list[int] = []


@pytest.mark.parametrize(
    ("lifespan", "why"),
    [
        (fails_before, "the lifespan failed: ValueError: no database"),
        (never_yields, "the lifespan failed: YieldedOften: index.lifespan never yields: it has"),
        (raises_at_once, "the lifespan failed: SystemExit: 3"),
    ],
)
async def test_a_lifespan_that_fails_to_open_is_tried_again_with_the_next_demand(
    aiohttp_client: AiohttpClient, log: Logged, lifespan: Callable[..., Any], why: str
) -> None:
    """Its failure is the initializer's, for everybody who waits; then it is opened once more."""
    broken.append(1)
    client = await aiohttp_client(app_with(log, lifespan, lambda event, context: b"served"))
    failed = await client.post("/initialize")
    code, message = error_of(await failed.read())
    assert (failed.status, code) == (404, "InitializationError")
    assert message.startswith(why)
    broken.clear()
    assert await (await client.post("/invoke", data=b"{}")).text() == "served"


async def test_a_lifespan_that_hangs_is_told_of_with_its_line(
    aiohttp_client: AiohttpClient, log: Logged
) -> None:
    """It has `initialize_timeout`, is cancelled then, and the error says where it waits."""
    ended: list[str] = []

    async def lifespan(context: Any) -> AsyncIterator[None]:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")
        yield

    settings = Settings(initialize_timeout=0.01, log_calls="off")
    client = await aiohttp_client(app_with(log, lifespan, state_of, settings))
    _, message = error_of(await (await client.post("/invoke", data=b"{}")).read())
    line = lifespan.__code__.co_firstlineno + 2
    assert re.match(
        rf"index\.lifespan was not open within 0\.01 s at {__file__}:{line} in lifespan: do less",
        message,
    )
    assert ended


async def closes_badly(context: Any) -> AsyncIterator[None]:
    """It raises behind its yield."""
    yield
    raise ValueError("no socket")


async def yields_twice(context: Any) -> AsyncIterator[None]:
    """It yields once more."""
    yield
    yield


async def never_closes(context: Any) -> AsyncIterator[None]:
    """It hangs behind its yield."""
    yield
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("lifespan", "code", "why"),
    [
        (closes_badly, "ValueError", "no socket"),
        (yields_twice, "YieldedOften", r"index\.lifespan yields twice at .*: it has one `yield`"),
        (never_closes, "FunctionTimeout", r"index\.lifespan has not closed within 0\.01 s at .*"),
    ],
)
async def test_a_lifespan_that_fails_to_close_is_told_of_and_the_stop_goes_on(
    aiohttp_client: AiohttpClient,
    log: Logged,
    monkeypatch: pytest.MonkeyPatch,
    lifespan: Callable[..., Any],
    code: str,
    why: str,
) -> None:
    """`/pre-stop` answers with its failure, as with that of `pre_stop`, and the log has it once."""
    monkeypatch.setattr("service.lifetime.lifespan.CLOSES_WITHIN", 0.01)
    if code == "FunctionTimeout":
        monkeypatch.setattr("service.calls.lifecycle.SHORTEST_HOOK", 0.0)
    settings = Settings(drain_timeout=0.0 if code == "FunctionTimeout" else 60.0, log_calls="off")
    client = await aiohttp_client(app_with(log, lifespan, state_of, settings))
    assert (await client.post("/initialize")).status == 200
    stopped = await client.get("/pre-stop")
    told = error_of(await stopped.read())
    assert (stopped.status, told[0]) == (404, code)
    assert re.match(why, told[1])
    assert "\n".join(log[1].lines()).count(f"{code}: ") == 1


async def test_a_lifespan_whose_task_group_fails_is_opened_again(
    aiohttp_client: AiohttpClient, log: Logged
) -> None:
    """What fails within it while calls are served ends it; the log says so, and the next call waits
    until it is open once more.
    """
    opened: list[int] = []
    gate, closed = asyncio.Event(), asyncio.Event()

    async def poll() -> None:
        await gate.wait()
        raise ValueError("the poll")

    async def lifespan(context: Any) -> AsyncIterator[int]:
        opened.append(1)
        try:
            async with asyncio.TaskGroup() as group:
                if len(opened) == 1:
                    group.create_task(poll())
                yield len(opened)
        finally:
            closed.set()

    client = await aiohttp_client(app_with(log, lifespan, state_of))
    assert await (await client.post("/invoke", data=b"{}")).text() == "1"
    gate.set()
    await closed.wait()
    assert await (await client.post("/invoke", data=b"{}")).text() == "2"
    text = "\n".join(log[1].lines())
    assert "ValueError: the poll" in text
    assert "index.lifespan has ended while calls are served, by ExceptionGroup" in text


async def test_a_lifespan_that_ends_while_the_initializer_runs_fails_that_start_alone(
    aiohttp_client: AiohttpClient, log: Logged
) -> None:
    """No second initializer runs beside the first: who comes meanwhile waits for that, and the next
    call has both anew.
    """
    opened: list[int] = []
    running: list[int] = []
    fails, closed, began, go = (asyncio.Event() for _ in range(4))

    async def poll() -> None:
        await fails.wait()
        raise ValueError("the poll")

    async def lifespan(context: Any) -> AsyncIterator[int]:
        opened.append(1)
        try:
            async with asyncio.TaskGroup() as group:
                if len(opened) == 1:
                    group.create_task(poll())
                yield len(opened)
        finally:
            closed.set()

    async def initialize(context: Any) -> None:
        running.append(1)
        began.set()
        await go.wait()

    app = app_with(log, lifespan, state_of, initializer=initialize)
    client = await aiohttp_client(app)
    await began.wait()
    fails.set()
    await closed.wait()
    late = [asyncio.ensure_future(app[SERVICE].lifecycle.initialized()) for _ in range(2)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(running) == 1
    go.set()
    for each in late:
        with pytest.raises(InitializationError, match="has ended while the initializer ran"):
            await each
    assert await (await client.post("/invoke", data=b"{}")).text() == "2"


async def test_a_stop_while_it_is_opened_cancels_it(
    aiohttp_client: AiohttpClient, log: Logged
) -> None:
    """A SIGTERM during the start waits for nothing that nobody will use."""
    began = asyncio.Event()
    ended: list[str] = []

    async def lifespan(context: Any) -> AsyncIterator[None]:
        began.set()
        try:
            await asyncio.Event().wait()
            yield
        finally:
            ended.append("ended")

    app = app_with(log, lifespan, state_of)
    client = await aiohttp_client(app)
    await began.wait()
    lifecycle = app[SERVICE].lifecycle
    waiting = asyncio.ensure_future(lifecycle.initialized())
    await asyncio.sleep(0)
    await lifecycle.stop()
    assert ended == ["ended"]
    with pytest.raises(InitializationError, match="Stopping: the instance stops while its"):
        await waiting
    late = await client.post("/initialize")
    assert error_of(await late.read())[0] == "Stopping"


async def test_a_lifespan_has_lines_of_its_own_and_calls_begin_with_what_it_has_set(
    aiohttp_client: AiohttpClient, log: Logged
) -> None:
    """Its lines carry one id, whoever has had it opened; context variables are as after the
    initializer; its tasks are no call's.
    """
    unit: contextvars.ContextVar[str] = contextvars.ContextVar("unit", default="none")
    ids: list[str] = []

    async def lifespan(context: Context) -> AsyncIterator[None]:
        ids.append(context.request_id)
        unit.set("metres")
        kept = asyncio.create_task(asyncio.Event().wait())
        logging.getLogger().info("opens")
        yield
        logging.getLogger().info("closes")
        kept.cancel()

    async def handler(event: bytes, context: Context) -> str:
        return unit.get()

    left_behind.track_on(asyncio.get_running_loop())
    client = await aiohttp_client(app_with(log, lifespan, handler))
    assert await (await client.post("/invoke", data=b"{}")).text() == "metres"
    await client.get("/pre-stop")
    text = "\n".join(log[1].lines())
    assert f"{ids[0]} [INFO] opens" in text
    assert f"{ids[0]} [INFO] closes" in text
    assert "left" not in text


async def test_calls_that_are_cut_by_a_stop_end_before_the_lifespan_closes(
    aiohttp_client: AiohttpClient, log: Logged
) -> None:
    """What a cancelled handler still does in its `finally`, it does with what is open."""
    seen: list[str] = []
    began = asyncio.Event()

    async def lifespan(context: Any) -> AsyncIterator[None]:
        yield
        seen.append("closed")

    async def handler(event: bytes, context: Context) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(20):
                await asyncio.sleep(0)
            seen.append("released")

    app = app_with(log, lifespan, handler)
    client = await aiohttp_client(app)
    call = asyncio.ensure_future(client.post("/invoke", data=b"{}"))
    await began.wait()
    app[SERVICE].calls.cut_all()
    await client.get("/pre-stop")
    await call
    assert seen == ["released", "closed"]


async def test_an_application_of_create_app_has_it(
    aiohttp_client: AiohttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is found in the handler's module, opened when the application starts, and closed when that
    ends.
    """
    seen: list[str] = []
    module = ModuleType("module_with_a_lifespan")
    source = """
        async def lifespan(context):
            seen.append("open")
            yield "state"
            seen.append("closed")

        async def handler(event, context):
            return context.state
    """
    exec(textwrap.dedent(source), vars(module) | {"seen": seen}, found := {"seen": seen})
    vars(module).update(found)
    for name in ("handler", "lifespan"):
        getattr(module, name).__module__ = module.__name__
    monkeypatch.setitem(sys.modules, module.__name__, module)
    client = await aiohttp_client(service.create_app(module.handler))
    assert await (await client.post("/invoke", data=b"{}")).text() == "state"
    await client.close()
    assert seen == ["open", "closed"]


# --- what is wrong with it when it is loaded


def plain_generator(context: Any) -> Iterator[None]:
    """A lifespan without async."""
    yield


async def without_yield(context: Any) -> None:
    """A lifespan that never yields."""


async def takes_two(context: Any, other: Any) -> AsyncIterator[None]:
    """A lifespan that takes too much."""
    yield


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (plain_generator, r"is a generator without `async`; write `async def lifespan\(context\)`"),
        (contextmanager(plain_generator), r"is a generator without `async`"),
        (without_yield, r"never yields; write `async def lifespan\(context\)` with one `yield`"),
        (takes_two, r"takes \(context, other\); a hook takes \(context\)"),
        (dict, r"is a class without `__aenter__`"),
        (5, r"is int, not a function"),
    ],
)
def test_a_lifespan_that_cannot_be_one_is_refused(found: Any, why: str) -> None:
    """The error says how to write it."""
    with pytest.raises(StartError, match=why):
        check_lifespan(Wanted("lifespan", "index.lifespan"), found, HOME)


FOUND = """
async def handler(event, context):
    return b""
"""
OF_A_FRAMEWORK = """
async def lifespan(app):
    yield
"""
SYNC = """
def lifespan(context):
    yield
"""
HELPER = """
def lifespan(of_a_battery, hours):
    return hours
"""
GOOD = """
async def lifespan(context):
    yield
"""


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Function | None]:
    """Loads a module, and returns its lifespan."""

    def of(source: str, name: str = "") -> Function | None:
        number = len(list(tmp_path.glob("*.py")))
        module = f"lifespans_{tmp_path.name.replace('-', '_')}_{number}"
        (tmp_path / f"{module}.py").write_text(FOUND + source)
        given = {"lifespan": f"{module}.{name}" if name and name != "none" else name}
        return load([f"{module}.handler"], tmp_path, **given).lifespan

    monkeypatch.syspath_prepend(str(tmp_path))
    return of


def test_a_lifespan_is_found_as_hooks_are(
    loaded: Callable[..., Function | None], caplog: pytest.LogCaptureFixture
) -> None:
    """By its name in the handler's module, or by the setting; what is another framework's, or a
    helper that is called so, is left alone.
    """
    found = loaded(GOOD)
    assert found is not None
    assert (found.name.rpartition(".")[2], found.kind) == ("lifespan", "stream")
    assert loaded(GOOD, "none") is None
    assert loaded(OF_A_FRAMEWORK) is None
    assert loaded(OF_A_FRAMEWORK, "lifespan") is not None
    assert loaded("") is None
    assert not caplog.messages
    assert loaded(HELPER) is None
    assert "is not taken for the function's lifespan; if it is, name it" in caplog.messages[0]
    with pytest.raises(StartError, match="is a generator without `async`"):
        loaded(SYNC)


async def test_without_a_lifespan_the_state_says_where_it_would_come_from() -> None:
    """`context.state` raises an AttributeError with an advice, and may be set by the function."""
    context = Context({}, "r1")
    assert not hasattr(context, "state")
    with pytest.raises(AttributeError, match=r"what `lifespan\(context\)` in the handler's module"):
        _ = context.state
    context.state = "own"
    assert context.state == "own"
    del context.state
    assert not hasattr(context, "state")
