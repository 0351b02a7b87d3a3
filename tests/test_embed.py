"""The service on aiohttp's own server: `create_app`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from pytest_aiohttp.plugin import AiohttpClient

import service
from service import Context, EventStream
from service.errors import StartError, UsageError
from tests.assembly import error_of, untimed

ran: list[str] = []


def initialize(_context: Any) -> None:
    """Note that it ran."""
    ran.append("initialize")
    print("initialized")  # noqa: T201 - a line of the log


def pre_stop(_context: Any) -> None:
    """Note that it ran."""
    ran.append("pre_stop")


async def echo(event: bytes, context: Context) -> bytes:
    """Return the event, and print."""
    print(f"seen {len(event)} by {context.request_id}")  # noqa: T201 - a line of the log
    return event


async def size_of(event: EventStream, _context: Any) -> int:
    """Return how long a streamed event is."""
    size = 0
    async for chunk in event:
        size += len(chunk)
    return size


@pytest.fixture(autouse=True)
def forgotten() -> None:
    """Each test begins with hooks that have not run."""
    ran.clear()


async def test_an_application_that_is_made_beside_a_call_serves_its_own(
    aiohttp_client: AiohttpClient,
) -> None:
    """A test that has had a call running makes one: its calls have their own contexts."""

    async def handler(event: bytes, _context: Context) -> str:
        return service.current_context().request_id

    with Context({}, "before"):
        pass
    for number in range(2):
        with Context({}, "beside"):
            client = await aiohttp_client(service.create_app(handler))
            answer = await client.post("/invoke", headers={"x-fc-request-id": f"call-{number}"})
            assert await answer.text() == f"call-{number}"


async def test_events_hooks_and_health_work_on_aiohttps_server(
    aiohttp_client: AiohttpClient, capfd: pytest.CaptureFixture[str]
) -> None:
    """The bytes, the fields and the lines are those of the service's own server."""
    client = await aiohttp_client(service.create_app(echo))
    first = await client.post("/initialize", headers={"x-fc-request-id": "first"})
    assert first.status == 200
    got = await client.post("/invoke", data=b"event", headers={"x-fc-request-id": "own"})
    assert (got.status, await got.read()) == (200, b"event")
    assert got.headers["x-fc-request-id"] == "own"
    assert (got.headers["x-fc-status"], got.headers["Server"]) == ("200", "fc-event-service")
    health = await client.get("/health")
    assert (health.status, orjson.loads(await health.read())["ready"]) == (200, True)
    await client.close()
    assert ran == ["initialize", "pre_stop"]
    lines = capfd.readouterr().out.splitlines()
    marked = [line for line in lines if line.startswith("FC ")]
    assert marked == [
        "FC Initialize Start RequestId: first",
        "FC Initialize End RequestId: first",
        "FC Invoke Start RequestId: own",
        "FC Invoke End RequestId: own",
    ]
    said = untimed([line for line in lines if "seen" in line])
    assert said == ["own [STDOUT] seen 5 by own"]


@pytest.mark.parametrize("size", [0, 10, 100_000, 900_000])
async def test_bodies_of_any_size_are_served(aiohttp_client: AiohttpClient, size: int) -> None:
    """An event is read whole or as a stream, and a large answer is written whole."""
    for function, expected in ((echo, bytes(size)), (size_of, b"%d" % size)):
        client = await aiohttp_client(service.create_app(function))
        got = await client.post("/invoke", data=bytes(size))
        assert (got.status, await got.read()) == (200, expected)
        await client.close()


async def test_failures_are_the_same_json(aiohttp_client: AiohttpClient) -> None:
    """What a call fails with, and what is not served, is told as ever."""
    client = await aiohttp_client(service.create_app(echo, max_body=10))
    for path, status, code in (("/invoke", 413, "PayloadTooLarge"), ("/no", 404, "NotFound")):
        got = await client.post(path, data=b"a" * 11)
        assert (got.status, error_of(await got.read())[0]) == (status, code)


async def test_the_users_middlewares_are_around(aiohttp_client: AiohttpClient) -> None:
    """They see the request first and the answer last, and what they change is sent."""
    seen: list[tuple[str, int, str]] = []

    @web.middleware
    async def noted(request: web.Request, handler: Any) -> web.StreamResponse:
        assert request.app is app
        answer: web.StreamResponse = await handler(request)
        seen.append((request.path, answer.status, answer.headers["x-fc-request-id"]))
        answer.headers["x-noted"] = "yes"
        return answer

    app = service.create_app(echo, middlewares=[noted])
    client = await aiohttp_client(app)
    got = await client.post("/invoke", data=b"a", headers={"x-fc-request-id": "own"})
    assert (got.headers["x-noted"], await got.read()) == ("yes", b"a")
    assert seen == [("/invoke", 200, "own")]


async def test_a_handler_is_named_like_in_the_setting(
    aiohttp_client: AiohttpClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`module.attr` is imported from the working directory; settings are given by their names."""
    (tmp_path / "embedded_function.py").write_text(
        "def greet(event, context):\n    return {'hello': event['name']}\n"
        "greet.__annotations__ = {'event': dict}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    client = await aiohttp_client(service.create_app("embedded_function.greet", concurrency=2))
    got = await client.post("/invoke", data=b'{"name": "you"}')
    assert await got.read() == b'{"hello":"you"}'


@pytest.mark.parametrize(
    ("arguments", "settings", "error", "why"),
    [
        ("embed_nowhere.handler", {}, StartError, "embed_nowhere"),
        (echo, {"concurrency": 0}, UsageError, "concurrency"),
        (echo, {"konkurrenz": 1}, TypeError, "no setting konkurrenz"),
        (lambda: None, {}, StartError, re.escape("(event, context)")),
    ],
    ids=["name", "value", "setting", "signature"],
)
def test_what_cannot_be_served_is_told(
    arguments: Any, settings: dict[str, Any], error: type[Exception], why: str
) -> None:
    """What is wrong is told when the application is made, as at a start."""
    with pytest.raises(error, match=why):
        service.create_app(arguments, **settings)
