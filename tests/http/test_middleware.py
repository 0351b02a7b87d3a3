"""The two rings around every call."""

from __future__ import annotations

import re

import pytest
from aiohttp import web
from pytest_aiohttp.plugin import AiohttpClient

from service.calls.observers import Observers
from service.context.call import RUNNING, Platform, current_context
from service.errors import ClientGone, HandlerFailed, InvalidEvent, Overloaded, PayloadTooLarge
from service.http.answers import Answer, failure_answer
from service.http.middleware import Framing, framed, path_of, report, reported
from service.protocol import OPERATIONS
from tests.assembly import error_of, logged, untimed


def ringed(
    handler: web.RequestHandler | object, logs: object, trace: bool = False
) -> web.Application:
    """An application of the two rings around one handler."""
    framing = Framing(logs, Platform(instance_id="c-1"), 60.0, 0.2, Observers())  # type: ignore[arg-type]
    app = web.Application(
        middlewares=[
            framed(framing, OPERATIONS.values()),
            reported(OPERATIONS, error_trace=trace),
        ]
    )
    for path in ("/invoke", "/pre-stop", "/health"):
        app.router.add_route("POST", path, handler)  # type: ignore[arg-type]
    return app


async def test_a_call_is_framed_by_its_marker_lines(aiohttp_client: AiohttpClient) -> None:
    """Start line, what the call wrote, End line; the request id is in the answer."""

    async def handler(request: web.Request) -> web.StreamResponse:
        assert current_context() is RUNNING.get()
        assert RUNNING.get().instance_id == "c-1"
        print("one", end="")  # noqa: T201 - that is what is tested
        return Answer(b"ok")

    with logged() as (logs, pipe):
        client = await aiohttp_client(ringed(handler, logs))
        got = await client.post("/invoke", headers={"x-fc-request-id": "r1"})
        assert pipe.lines()[0] == "FC Invoke Start RequestId: r1"
        await client.post("/pre-stop", headers={"x-fc-request-id": "r2"})
        lines = pipe.lines()
    assert (got.status, got.headers["x-fc-request-id"], await got.read()) == (200, "r1", b"ok")
    assert [lines[0], lines[2]] == [
        "FC PreStop Start RequestId: r2",
        "FC PreStop End RequestId: r2",
    ]
    assert untimed(lines[1:2]) == ["r2 [STDOUT] one"]


async def test_a_call_without_an_id_gets_one_and_the_log_says_so(
    aiohttp_client: AiohttpClient,
) -> None:
    """The generated id is in the answer, in the lines, and its reason is logged."""

    async def handler(_request: web.Request) -> web.StreamResponse:
        return Answer(b"")

    with logged() as (logs, pipe):
        client = await aiohttp_client(ringed(handler, logs))
        got = await client.post("/invoke", headers={"x-fc-request-id": "not an id"})
        start, why, end = pipe.lines()
    new = got.headers["x-fc-request-id"]
    assert re.fullmatch(r"1-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{12}", new)
    assert start == f"FC Invoke Start RequestId: {new}"
    assert untimed([why]) == [
        f"{new} [INFO] the request id is over 128 characters or has characters no id has:"
        " this one was generated"
    ]
    assert end == f"FC Invoke End RequestId: {new}"


async def test_what_is_no_operation_has_no_marker_lines(aiohttp_client: AiohttpClient) -> None:
    """`/health` and unknown paths write nothing around themselves, and have an id all the same."""

    async def handler(request: web.Request) -> web.StreamResponse:
        assert RUNNING.get().deadline is not None
        return Answer(b"")

    with logged() as (logs, pipe):
        client = await aiohttp_client(ringed(handler, logs))
        got = await client.post("/health", headers={"x-fc-request-id": "r1"})
        assert pipe.lines() == []
    assert got.headers["x-fc-request-id"] == "r1"


@pytest.mark.parametrize("trace", [False, True])
async def test_a_failure_is_answered_and_logged_once(
    aiohttp_client: AiohttpClient, trace: bool
) -> None:
    """The answer has status and code, the stack where it is asked for; the log has it all."""

    async def handler(_request: web.Request) -> web.StreamResponse:
        try:
            raise KeyError("user")
        except KeyError as failure:
            raise HandlerFailed(failure) from failure

    with logged() as (logs, pipe):
        client = await aiohttp_client(ringed(handler, logs, trace))
        got = await client.post("/invoke", headers={"x-fc-request-id": "r1"})
        lines = pipe.lines()
    assert (got.status, got.headers["x-fc-status"]) == (404, "404")
    assert got.headers["Content-Type"] == "application/json"
    assert got.headers["Server"] == "fc-event-service"
    value = await got.json()
    assert (value["errorType"], value["requestId"]) == ("KeyError", "r1")
    assert bool(value["stackTrace"]) == trace
    assert lines[-1] == "FC Invoke End RequestId: r1, Error: Unhandled function error"
    shown = untimed(lines[1:-1])
    assert shown[0] == "r1 [ERROR] Traceback (most recent call last):"
    assert shown[1].startswith(f'r1 [ERROR]   File "{__file__}", line ')
    assert shown[2:] == ['r1 [ERROR]     raise KeyError("user")', "r1 [ERROR] KeyError: 'user'"]


async def test_a_fault_of_the_service_tells_nothing_of_the_request(
    aiohttp_client: AiohttpClient,
) -> None:
    """What is not a ServiceError is logged by its kind, and answered without its text."""

    async def handler(_request: web.Request) -> web.StreamResponse:
        raise RuntimeError("ours")

    with logged() as (logs, pipe):
        client = await aiohttp_client(ringed(handler, logs))
        got = await client.post("/invoke")
        log = "\n".join(pipe.lines())
    assert error_of(await got.read()) == ("ServiceError", "the service failed: see its log")
    assert "the service failed: RuntimeError" in log


@pytest.mark.parametrize(
    ("headers", "code", "why"),
    [
        ([("x-fc-request-id", "a"), ("x-fc-request-id", "b")], "BadRequest", "x-fc-request-id"),
        (
            [("x-fc-access-key-id", "SECRET1"), ("x-fc-access-key-id", "SECRET2")],
            "BadRequest",
            "two different values for x-fc-access-key-id",
        ),
        ([("Host", "user@a")], "BadRequest", "Host"),
    ],
)
async def test_an_ambiguous_head_is_refused(
    aiohttp_client: AiohttpClient, headers: list[tuple[str, str]], code: str, why: str
) -> None:
    """Two values of a header that says whose call it is, or an unsound Host, are a 400."""

    async def handler(_request: web.Request) -> web.StreamResponse:
        return Answer(b"ran")

    with logged() as (logs, pipe):
        client = await aiohttp_client(ringed(handler, logs))
        got = await client.post("/invoke", headers=headers)
        log = "\n".join(pipe.lines())
    found, message = error_of(await got.read())
    assert (got.status, found) == (400, code)
    assert why in message
    assert "SECRET" not in message + log


async def test_the_same_value_twice_is_one_value(aiohttp_client: AiohttpClient) -> None:
    """A header that is sent twice alike is no ambiguity."""

    async def handler(_request: web.Request) -> web.StreamResponse:
        return Answer(b"ran")

    with logged() as (logs, _):
        client = await aiohttp_client(ringed(handler, logs))
        twice = [("x-fc-request-id", "a"), ("x-fc-request-id", "a")]
        got = await client.post("/invoke", headers=twice)
    assert got.headers["x-fc-request-id"] == "a"


async def test_the_control_path_is_the_path_that_counts(aiohttp_client: AiohttpClient) -> None:
    """`x-fc-control-path` names the operation, whatever the URL says."""
    paths: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        paths.append(path_of(request))
        return Answer(b"")

    with logged() as (logs, pipe):
        client = await aiohttp_client(ringed(handler, logs))
        headers = {"x-fc-control-path": "/initialize", "x-fc-request-id": "r1"}
        await client.post("/invoke", headers=headers)
        assert pipe.lines()[0] == "FC Initialize Start RequestId: r1"
    assert paths == ["/initialize"]


def test_a_failure_is_reported_once() -> None:
    """The same failure met twice is logged once; a client that left is no warning."""
    error = InvalidEvent("$: no")
    with logged() as (_, pipe):
        report(error)
        report(error)
        report(ClientGone("left"))
        bare = HandlerFailed(ValueError("x"))
        report(bare)
        assert untimed(pipe.lines()) == [
            "- [WARNING] InvalidEvent: $: no",
            "- [INFO] ClientGone: left",
            "- [ERROR] ValueError: x",
        ]


def test_a_failures_answer_has_its_headers() -> None:
    """`Retry-After` is in a 429; a 413 ends the connection."""
    busy = failure_answer(Overloaded("full"), "r1", error_trace=True)
    assert (busy.status, busy.headers["Retry-After"], busy.keep_alive) == (429, "1", None)
    large = failure_answer(PayloadTooLarge("x"), "r1", error_trace=False)
    assert (large.status, large.headers["x-fc-status"], large.keep_alive) == (413, "404", False)
    assert Answer(b"", 503).headers["x-fc-status"] == "404"
