"""The function's own middlewares, around every request."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from aiohttp import web
from aiohttp.typedefs import Middleware
from pytest_aiohttp.plugin import AiohttpClient

import service
from service.app import assemble_app
from service.calls.function import Handlers
from service.calls.imports import Wanted
from service.calls.loader import load
from service.calls.surroundings import SURROUNDINGS, check_lifespan, check_middlewares
from service.context.call import Context, Platform
from service.errors import StartError
from service.http.answers import Answer
from service.http.middleware import Next
from service.settings.table import Settings
from tests.assembly import Logged, error_of, handlers_of

HOME = ModuleType("index")
QUIET = Settings(log_calls="off")


def app_with(
    log: Logged, *middlewares: Middleware, settings: Settings = QUIET, **more: Any
) -> web.Application:
    """The service's application with middlewares, around a handler that echoes."""

    async def handler(event: bytes, context: Context) -> bytes:
        return event

    found = check_middlewares(Wanted("middlewares", "index.middlewares"), [*middlewares], HOME)
    handlers = Handlers(handlers_of(handler).handler, middlewares=found, **more)
    return assemble_app(settings, Platform(), handlers, log[0])


@web.middleware
async def stamped(request: web.Request, handler: Next) -> web.StreamResponse:
    """Add a field to each answer."""
    logging.getLogger("stamp").info("%s by %s", request.path, service.current_context().request_id)
    response = await handler(request)
    response.headers["x-stamp"] = str(response.status)
    return response


async def test_they_are_around_every_request(aiohttp_client: AiohttpClient, log: Logged) -> None:
    """They see each request within its call's log lines, in their order, and its answer: of events,
    of failures and of the other paths.
    """
    order: list[str] = []

    @web.middleware
    async def outer(request: web.Request, handler: Next) -> web.StreamResponse:
        order.append("outer")
        return await handler(request)

    @web.middleware
    async def inner(request: web.Request, handler: Next) -> web.StreamResponse:
        order.append("inner")
        return await handler(request)

    client = await aiohttp_client(app_with(log, outer, inner, stamped))
    got = await client.post("/invoke", data=b"an event", headers={"x-fc-request-id": "r1"})
    assert (got.status, await got.read()) == (200, b"an event")
    assert (got.headers["x-stamp"], got.headers["x-fc-status"]) == ("200", "200")
    assert order == ["outer", "inner"]
    assert (await client.get("/health")).headers["x-stamp"] == "200"
    assert (await client.get("/nowhere")).headers["x-stamp"] == "404"
    lines = log[1].lines()
    assert lines[0] == "FC Invoke Start RequestId: r1"
    assert re.search(r"r1 \[INFO\] /invoke by r1", lines[1])
    assert lines[2] == "FC Invoke End RequestId: r1"


async def test_they_are_told_the_path_that_counts(
    aiohttp_client: AiohttpClient, log: Logged
) -> None:
    """A call that comes by another path, with `x-fc-control-path`, is a call for them, too."""

    @web.middleware
    async def keyed(request: web.Request, handler: Next) -> web.StreamResponse:
        if request.path == "/invoke" and "x-key" not in request.headers:
            raise web.HTTPForbidden
        return await handler(request)

    client = await aiohttp_client(app_with(log, keyed))
    by_another = {"x-fc-control-path": "/invoke"}
    assert (await client.post("/health", data=b"1", headers=by_another)).status == 403
    keyed_too = {**by_another, "x-key": "42"}
    got = await client.post("/health?a=1", data=b"1", headers=keyed_too)
    assert (got.status, await got.read()) == (200, b"1")
    assert (await client.get("/health")).status == 200


async def test_what_they_answer_themselves_is_read_by_the_platform(
    aiohttp_client: AiohttpClient, log: Logged
) -> None:
    """The status counts as success or failure, the request id is there, and no answer is 5xx: its
    effect on the platform is not documented.
    """

    @web.middleware
    async def answers(request: web.Request, handler: Next) -> web.StreamResponse:
        what = request.headers["x-what"]
        if what == "forbidden":
            raise web.HTTPForbidden(text="no key")
        if what == "unavailable":
            raise web.HTTPServiceUnavailable(text="later")
        return web.json_response({"cached": True}, status=int(what))

    client = await aiohttp_client(app_with(log, answers))
    found = []
    for what in ("200", "202", "forbidden", "unavailable"):
        got = await client.post(
            "/invoke", data=b"{}", headers={"x-what": what, "x-fc-request-id": what}
        )
        assert got.headers["x-fc-request-id"] == what
        assert got.headers["Server"] == "fc-event-service"
        found.append((got.status, got.headers["x-fc-status"], await got.text()))
    assert found == [
        (200, "200", '{"cached": true}'),
        (202, "404", '{"cached": true}'),
        (403, "404", "no key"),
        (404, "404", "later"),
    ]
    text = "\n".join(log[1].lines())
    assert "FC Invoke End RequestId: forbidden, Error" in text
    assert "unavailable [WARNING] a middleware has answered 503: it is sent as 404" in text


async def test_what_they_raise_fails_their_request_alone(
    aiohttp_client: AiohttpClient, log: Logged
) -> None:
    """It is answered as a failure of the handler's is, with its traceback in the log; so is one
    that returns no response, and one that ends the process.
    """

    @web.middleware
    async def fails(request: web.Request, handler: Next) -> Any:
        what = request.headers.get("x-what")
        if what == "raises":
            raise ValueError("bad key")
        if what == "exits":
            raise SystemExit(3)
        return None if what == "forgets" else await handler(request)

    client = await aiohttp_client(app_with(log, fails))
    told = {}
    for what in ("raises", "exits", "forgets", "nothing"):
        got = await client.post("/invoke", data=b"{}", headers={"x-what": what})
        told[what] = (got.status, await got.read())
    codes = {what: error_of(body)[0] for what, (status, body) in told.items() if status != 200}
    assert codes == {"raises": "ValueError", "exits": "SystemExit", "forgets": "TypeError"}
    assert "return await handler(request)" in error_of(told["forgets"][1])[1]
    assert told["nothing"] == (200, b"{}")


async def test_one_that_hangs_is_answered_soon_behind_its_calls_deadline(
    aiohttp_client: AiohttpClient, log: Logged
) -> None:
    """The caller gets FunctionTimeout, and the middleware is cancelled."""
    ended: list[str] = []

    @web.middleware
    async def hangs(request: web.Request, handler: Next) -> web.StreamResponse:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")
        return await handler(request)

    settings = Settings(timeout=0.12, deadline_margin=0.1, log_calls="off")
    client = await aiohttp_client(app_with(log, hangs, settings=settings))
    code, message = error_of(await (await client.post("/invoke", data=b"{}")).read())
    assert (code, "in the function's middlewares" in message) == ("FunctionTimeout", True)
    assert ended == ["cancelled"]


async def test_they_have_the_state_of_the_lifespan(
    aiohttp_client: AiohttpClient, log: Logged
) -> None:
    """`current_context().state` is there as soon as it is open."""

    async def lifespan(context: Any) -> AsyncIterator[str]:
        yield "open"

    @web.middleware
    async def keyed(request: web.Request, handler: Next) -> web.StreamResponse:
        response = await handler(request)
        response.headers["x-state"] = service.current_context().state
        return response

    found = check_lifespan(Wanted("lifespan", "index.lifespan"), lifespan, HOME)
    client = await aiohttp_client(app_with(log, keyed, lifespan=found))
    assert (await client.post("/initialize")).status == 200
    got = await client.post("/invoke", data=b"{}")
    assert got.headers["x-state"] == "open"


async def test_one_may_answer_while_it_writes(aiohttp_client: AiohttpClient, log: Logged) -> None:
    """A response that has begun is left as it is."""

    @web.middleware
    async def streams(request: web.Request, handler: Next) -> web.StreamResponse:
        response = web.StreamResponse(headers={"x-fc-status": "200"})
        await response.prepare(request)
        await response.write(b"part")
        return response

    client = await aiohttp_client(app_with(log, streams))
    got = await client.post("/invoke", data=b"{}")
    assert (got.status, await got.read()) == (200, b"part")


async def bare(request: web.Request, handler: Next) -> web.StreamResponse:
    """Not marked as a middleware."""
    return Answer()


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ([stamped, bare], r"number 2, bare, is none; write `@web.middleware` of aiohttp"),
        (stamped, r"is function, not a list of middlewares"),
        ([5], r"number 1, int, is none"),
    ],
)
def test_what_is_no_list_of_middlewares_is_refused(found: Any, why: str) -> None:
    """The error says which one is none, and how to write it."""
    with pytest.raises(StartError, match=why):
        check_middlewares(Wanted("middlewares", "index.middlewares"), found, HOME)


def test_a_list_of_another_kind_is_left_alone() -> None:
    """Strings, and functions of other frameworks, are not taken for it; a forgotten decorator is
    told of.
    """
    kind = SURROUNDINGS["middlewares"]
    assert not kind.is_candidate(["a.b"])
    assert not kind.is_candidate([])
    assert kind.is_candidate([len])
    assert not kind.is_meant([len])
    assert kind.is_meant([bare])
    assert kind.is_candidate(stamped)


def test_they_are_found_in_the_handlers_module_or_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`middlewares = [...]`, or the setting."""
    (tmp_path / "with_middlewares.py").write_text(
        "from aiohttp import web\n"
        "@web.middleware\n"
        "async def one(request, handler):\n    return await handler(request)\n"
        "middlewares = [one]\n"
        "fewer = (one,)\n"
        "def handler(event, context): ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    names = ["with_middlewares.handler"]
    assert [each.__name__ for each in load(names, tmp_path).middlewares] == ["one"]
    assert load(names, tmp_path, middlewares="none").middlewares == ()
    named = load(names, tmp_path, middlewares="with_middlewares.fewer").middlewares
    assert [each.__name__ for each in named] == ["one"]
