"""One call from the command line: in this process, or to a running service."""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from service.commands import client, invoke
from service.commands.event_source import event_bytes
from service.context.call import Context
from service.emulator.api.signature import Head, Verifier, check_body
from service.errors import UsageError
from service.events.sample import sample
from service.instance.assembly import SERVICE
from service.settings.table import Settings
from tests.assembly import Logged, assembled, error_of, logged, untimed

NOTHING = io.BytesIO()


def test_the_flags_have_defaults() -> None:
    """Without flags the event is an empty object, and the call is made in this process."""
    flags = parsed()
    assert (flags.url, flags.function) == (None, None)
    assert invoke.event_of(flags, Path(), NOTHING) == b"{}"


def parsed(*arguments: str) -> argparse.Namespace:
    """The flags of `invoke` as they are typed."""
    parser = argparse.ArgumentParser()
    invoke.add_flags(parser)
    return parser.parse_args(arguments)


@pytest.mark.parametrize("arguments", [["@timer"], ["--event", "@timer"]])
def test_an_event_is_named_with_or_without_a_flag(tmp_path: Path, arguments: list[str]) -> None:
    """`invoke @timer` is `invoke --event @timer`."""
    assert invoke.event_of(parsed(*arguments), tmp_path, NOTHING) == sample("timer")
    assert invoke.event_of(parsed("-"), tmp_path, io.BytesIO(b"in")) == b"in"


def test_an_event_is_named_once(tmp_path: Path) -> None:
    """Two events are a usage error, and so are flags that only the emulator's API knows."""
    with pytest.raises(UsageError, match="the event is there twice"):
        invoke.event_of(parsed("@timer", "--event", "{}"), tmp_path, NOTHING)
    for flag in ("--async", "--tail"):
        with pytest.raises(UsageError, match="--async and --tail go with --function"):
            invoke.event_of(parsed(flag), tmp_path, NOTHING)


def test_an_event_is_json_a_file_or_stdin(tmp_path: Path) -> None:
    """What an argument names: JSON as typed, a file's bytes, or stdin's."""
    (tmp_path / "event.bin").write_bytes(b"\x00\xff")
    assert event_bytes('{"name": "é"}', tmp_path, NOTHING) == '{"name": "é"}'.encode()
    assert event_bytes("event.bin", tmp_path, NOTHING) == b"\x00\xff"
    assert event_bytes("-", tmp_path, io.BytesIO(b"in")) == b"in"


def test_an_event_can_be_a_sample(tmp_path: Path) -> None:
    """`@NAME` is a trigger's sample event; a wrong name is told with those near to it."""
    assert event_bytes("@oss.put", tmp_path, NOTHING) == sample("oss.put")
    with pytest.raises(
        UsageError, match=r"event @oss\.putt: there is no such file, and no sample .*oss\.put"
    ):
        event_bytes("@oss.putt", tmp_path, NOTHING)


@pytest.mark.parametrize(
    "size",
    [
        300,
        5000,
        200_000,
    ],
)
def test_an_event_may_be_longer_than_a_file_name(tmp_path: Path, size: int) -> None:
    """JSON on the command line has no limit of its own."""
    text = json.dumps({"name": "x" * size})
    assert event_bytes(text, tmp_path, NOTHING) == text.encode()


def test_an_event_that_is_nothing_is_told(tmp_path: Path) -> None:
    """What is neither a file nor JSON is a usage error that says what is allowed."""
    with pytest.raises(
        UsageError, match=r"event '{name': is neither a file nor JSON; use - for stdin"
    ):
        event_bytes("{name", tmp_path, NOTHING)


def test_a_file_that_cannot_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason that the system gives is in the line."""
    (tmp_path / "event.json").write_text("{}")

    def refuse(_path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(UsageError, match=r"event event\.json: cannot be read: Permission denied"):
        event_bytes("event.json", tmp_path, NOTHING)


@pytest.mark.parametrize("timeout", [None, 60.0])
def test_a_local_call_runs_the_handler_as_the_service_does(
    timeout: float | None,
) -> None:
    """The initializer has run, the context is filled, and the marker lines stand around the log."""
    done: list[str] = []

    async def initialize(context: Context) -> None:
        done.append("initialize")

    def handler(event: dict[str, str], context: Context) -> object:
        assert done == ["initialize"]
        print("hello")  # noqa: T201 - that is what is tested
        assert (context.remaining() is None) == (timeout is None)
        return [event["name"], context.request_id, context.function.handler]

    with logged() as (logs, pipe):
        app = assembled(logs, handler, Settings(timeout=timeout), initializer=initialize)
        result, failed = invoke.call_here(app[SERVICE], b'{"name": "x"}')
        start, line, end = pipe.lines()
    assert not failed
    name, request_id, of = json.loads(result)
    assert (name, of) == ("x", "index.handler")
    assert start == f"FC Invoke Start RequestId: {request_id}"
    assert untimed([line]) == [f"{request_id} [STDOUT] hello"]
    assert end == f"FC Invoke End RequestId: {request_id}"


def test_a_local_call_that_fails_has_the_errors_json(log: Logged) -> None:
    """A failure is the error JSON, and the End line says so."""

    async def handler(event: bytes, context: Context) -> None:
        raise KeyError("x")

    result, failed = invoke.call_here(assembled(log[0], handler)[SERVICE], b"")
    assert failed
    assert error_of(result) == ("KeyError", "'x'")
    lines = log[1].lines()
    assert lines[-1].endswith(", Error: Unhandled function error")
    assert any(line.endswith("[ERROR] KeyError: 'x'") for line in lines)


def test_a_local_call_has_the_lines_that_are_asked_for() -> None:
    """One that sums it up, and those below the level if it fails."""
    user = logging.getLogger("user")

    def handler(event: bytes, context: Context) -> None:
        user.debug("looked")
        raise KeyError("x")

    with logged(lets_all_through=True) as (logs, pipe):
        asked = Settings(log_calls="all", log_buffer=True)
        invoke.call_here(assembled(logs, handler, asked)[SERVICE], b"")
        *_, looked, summed, end = pipe.lines()
    assert looked.endswith(" [DEBUG] looked")
    assert " [INFO] the call has ended outcome=failure errorType=KeyError durationMs=" in summed
    assert end.startswith("FC Invoke End")


@pytest.mark.parametrize("fails", [False, True])
def test_a_local_call_stands_between_initializer_and_pre_stop(log: Logged, fails: bool) -> None:
    """What `initialize` opens, `pre_stop` can close; its failure does not change the result."""
    done: list[str] = []

    async def initialize(context: Context) -> None:
        done.append("initialize")

    async def handler(event: bytes, context: Context) -> str:
        done.append("handler")
        return "result"

    async def pre_stop(context: Context) -> None:
        done.append("pre_stop")
        if fails:
            raise KeyError("late")

    app = assembled(log[0], handler, initializer=initialize, pre_stop=pre_stop)
    assert invoke.call_here(app[SERVICE], b"") == (b"result", False)
    assert done == ["initialize", "handler", "pre_stop"]
    assert ("KeyError" in log[1].read().decode()) == fails


@pytest.fixture
async def url(log: Logged) -> AsyncIterator[str]:
    """A running service."""

    async def handler(event: bytes, context: Context) -> object:
        if event == b"fail":
            raise KeyError("x")
        return [event.decode(), context.function.handler, context.function.timeout]

    server = TestServer(assembled(log[0], handler))
    await server.start_server()
    yield str(server.make_url("/"))
    await server.close()


@pytest.mark.parametrize("path", ["", "/", "/invoke"])
async def test_a_remote_call_brings_the_platforms_headers(url: str, path: str) -> None:
    """`--url` takes the service's address with or without the path."""
    target = url.rstrip("/") + path
    settings = Settings(timeout=60.0)
    result, failed = await asyncio.to_thread(client.call_service, target, b"event", settings)
    assert not failed
    assert json.loads(result) == ["event", "index.handler", 60]


async def test_a_remote_call_that_fails_is_told(url: str) -> None:
    """The error's JSON comes back, marked as a failure."""
    result, failed = await asyncio.to_thread(client.call_service, url, b"fail", Settings())
    assert failed
    assert error_of(result) == ("KeyError", "'x'")


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "ftp://x", "not a url", "http://[", ""])
def test_a_service_that_does_not_answer_is_told(url: str) -> None:
    """A wrong address, or one where nothing listens, is a usage error."""
    with pytest.raises(UsageError, match="is the service running there"):
        client.call_service(url, b"{}", Settings())


Reply = Callable[[web.Request, bytes], web.Response]


@asynccontextmanager
async def api(reply: Reply) -> AsyncIterator[str]:
    """An InvokeFunction API that answers as the test says; its address."""

    async def handler(request: web.Request) -> web.Response:
        return reply(request, await request.read())

    app = web.Application()
    app.router.add_post("/2023-03-30/functions/{name}/invocations", handler)
    server = TestServer(app)
    await server.start_server()
    yield str(server.make_url("/"))
    await server.close()


async def called(
    reply: Reply, *, asynchronous: bool = False, tail: bool = False
) -> client.ApiAnswer:
    """What comes of a call of function `fn` through the API."""
    async with api(reply) as url:
        return await asyncio.to_thread(
            client.call_function, url, "fn", b"event", asynchronous=asynchronous, tail=tail
        )


@pytest.mark.parametrize(
    ("asynchronous", "tail", "kinds"),
    [
        (False, False, ("Sync", "None")),
        (False, True, ("Sync", "Tail")),
        (True, False, ("Async", "None")),
    ],
)
async def test_a_call_through_the_api_is_as_a_client_sends_it(
    asynchronous: bool, tail: bool, kinds: tuple[str, str]
) -> None:
    """Path, headers and body are InvokeFunction's; the answer's body is the result."""

    def reply(request: web.Request, body: bytes) -> web.Response:
        assert request.match_info["name"] == "fn"
        assert request.content_type == "application/octet-stream"
        assert (request.headers["x-fc-invocation-type"], request.headers["x-fc-log-type"]) == kinds
        return web.Response(body=b"got " + body)

    answer = await called(reply, asynchronous=asynchronous, tail=tail)
    told = client.NO_LOG if tail and not asynchronous else ""
    assert answer == client.ApiAnswer(b"got event", failed=False, told=told)


async def test_a_call_is_signed() -> None:
    """With the key that is given, so that an emulator which checks keys takes it."""

    def reply(request: web.Request, body: bytes) -> web.Response:
        headers = {name.lower(): [value] for name, value in request.headers.items()}
        verifier = Verifier(client.ANY_KEY)
        check_body(body, verifier.check(Head("POST", request.raw_path, "", headers)))
        return web.Response(body=b"signed")

    assert (await called(reply)).body == b"signed"


async def test_a_tail_is_told_as_it_is() -> None:
    """The log of the call comes as text, with a line end before what follows."""
    log = base64.b64encode("FC Invoke Start\nhé".encode()).decode()

    def reply(_request: web.Request, _body: bytes) -> web.Response:
        headers = {"X-Fc-Log-Result": log, "X-Fc-Error-Type": "UnhandledInvocationError"}
        return web.Response(body=b"{}", headers=headers)

    answer = await called(reply, tail=True)
    assert answer.told == "FC Invoke Start\nhé\nX-Fc-Error-Type: UnhandledInvocationError\n"
    assert (answer.body, answer.failed) == (b"{}", True)


async def test_an_accepted_call_is_told_with_its_request() -> None:
    """An asynchronous call has no result, and its id is what one looks for in the log."""

    def reply(_request: web.Request, _body: bytes) -> web.Response:
        return web.Response(status=202, headers={"X-Fc-Request-Id": "1-a-b"})

    answer = await called(reply, asynchronous=True)
    assert answer == client.ApiAnswer(
        b"", failed=False, told="accepted, to be run later: request 1-a-b\n"
    )


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            '{"Code": "FunctionNotFound", "Message": "no function fn", "RequestId": "1-a-b"}',
            "FunctionNotFound: no function fn (request 1-a-b)",
        ),
        ("Bad Gateway", "HTTP 404: Bad Gateway (request 1-c-d)"),
        ("[]", "HTTP 404: [] (request 1-c-d)"),
    ],
)
async def test_a_refusal_is_told_in_a_line(body: str, told: str) -> None:
    """The API's Code and Message, or what came in their place; there is no result."""

    def reply(_request: web.Request, _body: bytes) -> web.Response:
        return web.Response(status=404, text=body, headers={"X-Fc-Request-Id": "1-c-d"})

    assert await called(reply) == client.ApiAnswer(b"", failed=True, told=f"{told}\n")


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "ftp://x", "not a url", "http://["])
def test_an_emulator_that_does_not_answer_is_told(url: str) -> None:
    """A wrong address, or one where nothing listens, is a usage error that says what to start."""
    with pytest.raises(UsageError, match="python -m service emulate"):
        client.call_function(url, "fn", b"{}", asynchronous=False, tail=False)


def test_what_is_not_the_service_counts_as_a_failure() -> None:
    """An answer without the platform's status is no success."""

    async def use() -> tuple[bytes, bool]:
        async def handler(_request: web.Request) -> web.Response:
            return web.Response(text="something else")

        app = web.Application()
        app.router.add_post("/invoke", handler)
        server = TestServer(app)
        await server.start_server()
        try:
            return await asyncio.to_thread(
                client.call_service, str(server.make_url("/")), b"", Settings()
            )
        finally:
            await server.close()

    assert asyncio.run(use()) == (b"something else", True)
