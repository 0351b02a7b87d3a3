"""Alibaba Cloud on loopback, as far as the SDKs in our tests ask it: objects and parameters."""

from __future__ import annotations

import asyncio
import functools
import json
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, ParamSpec

from aiohttp import web

VALUES: dict[str, tuple[str, Callable[[str | None], dict[str, object]]]] = {
    "GetParameter": ("Name", lambda value: {"Parameter": {"Value": value, "Type": "String"}}),
    "GetSecretParameter": ("Name", lambda value: {"Parameter": {"Value": value}}),
    "GetSecretValue": ("SecretName", lambda value: {"SecretData": value}),
}
"""Actions: in which field the name is, and what the answer looks like."""

P = ParamSpec("P")

KEY = re.compile(r"Credential=([^/,]+)")


@dataclass(frozen=True)
class Asked:
    """A request as it arrived: what for, with whose credentials, and from which port."""

    what: str
    key: str
    token: str
    query: dict[str, str]
    port: int


@dataclass
class Cloud:
    """What it has, what it refuses, and what it was asked. Requests wait while it is not `open`."""

    url: str = ""
    values: dict[str, str | None] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    refuses: tuple[int, str] | None = None
    nonsense: bytes | None = None
    asked: list[Asked] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.Response:
        """Answer a request."""
        body = await request.read()
        action = request.headers.get("x-acs-action", "")
        found = KEY.search(request.headers.get("Authorization", ""))
        tokens = (request.headers.get(f"x-{api}-security-token", "") for api in ("acs", "oss"))
        what, key = action or f"{request.method} {request.path}", found[1] if found else ""
        assert request.transport is not None
        port = request.transport.get_extra_info("peername")[1]
        self.asked.append(Asked(what, key, "".join(tokens), dict(request.query.items()), port))
        await self.open.wait()
        if self.nonsense is not None:
            return web.Response(body=self.nonsense, content_type="application/json")
        return self._of_api(action, request) if action else self._of_oss(request, body)

    def _of_api(self, action: str, request: web.Request) -> web.Response:
        named, shape = VALUES[action]
        name = request.query[named]
        if self.refuses is not None:
            status, code = self.refuses
        elif name in self.values:
            answer = {"RequestId": "R-1", **shape(self.values[name])}
            return web.json_response(answer)
        else:
            status, code = 404, "EntityNotExists.Parameter"
        # What a service says may quote what was sent.
        message = f"refused: {request.headers.get('Authorization')} {json.dumps(self.values)}"
        error = {"Code": code, "Message": message, "RequestId": "R-1"}
        return web.json_response(error, status=status)

    def _of_oss(self, request: web.Request, body: bytes) -> web.Response:
        if request.method == "PUT":
            self.objects[request.path] = body
            return web.Response(headers={"ETag": '"1"', "x-oss-request-id": "R-2"})
        if request.path in self.objects:
            return web.Response(body=self.objects[request.path])
        error = "<Error><Code>NoSuchKey</Code><Message>none</Message></Error>"
        return web.Response(status=404, text=error, content_type="application/xml")


@asynccontextmanager
async def cloud() -> AsyncIterator[Cloud]:
    """It runs on this event loop; SDKs that block ask it from threads."""
    played = Cloud()
    played.open.set()
    app = web.Application()
    app.router.add_route("*", "/{any:.*}", played.take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        played.url = f"http://{host}:{port}"
        yield played
    finally:
        played.open.set()
        await runner.cleanup()


def apart(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, Coroutine[Any, Any, None]]:
    """Run a test in a task of its own: the call that it makes the running one is not others'."""

    @functools.wraps(test)
    async def run(*arguments: P.args, **named: P.kwargs) -> None:
        await asyncio.create_task(test(*arguments, **named))

    return run
