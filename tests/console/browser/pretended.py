"""A server for the console's page that says what a test wants: 200 instances, 10,000 calls."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from tests.console.browser.scenes import Row, scene

PAGE = Path(__file__).parents[3] / "service" / "console" / "page"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none';"
    " require-trusted-types-for 'script'; trusted-types 'none'"
)
TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}


class PretendedConsole:
    """Speaks as a console's server does. `snapshot` is what a page is told first, `details` what is
    known of each call, `posted` what was asked of it. A call in full, the calls with a text, and
    what is sent are answered once `may_answer` is set, with what was known when they were `asked`
    for.
    """

    def __init__(self, snapshot: Row | None = None, port: int = 0) -> None:
        self.snapshot = snapshot or scene()
        self.details: dict[str, Row] = {}
        self.posted: list[tuple[str, Any]] = []
        self.answers: dict[str, Row] = {}
        self.refuses = False
        self.asked: asyncio.Queue[str] = asyncio.Queue()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self._pages: set[asyncio.Queue[bytes | None]] = set()
        self._runner: web.AppRunner | None = None
        self.port = port

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.port}/"

    async def start(self) -> None:
        """Listen: after a `stop` on the port of before."""
        app = web.Application(middlewares=[self._headers])
        app.router.add_get("/events", self._events)
        app.router.add_get("/api/calls", self._calls)
        app.router.add_get("/api/calls/{id}", self._call)
        app.router.add_get("/api/calls/{id}/copy", self._copy)
        app.router.add_get("/api/samples", self._samples)
        app.router.add_post("/api/{path:.*}", self._post)
        app.router.add_get("/{path:.*}", self._file)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """End all streams, and listen no more."""
        for page in self._pages:
            page.put_nowait(None)
        if self._runner:
            await self._runner.cleanup()

    def tell(self, **change: Any) -> None:
        """Tell each page of a change."""
        for page in self._pages:
            page.put_nowait(_event("change", {"now": time.time(), **change}))

    @web.middleware
    async def _headers(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if self.refuses and request.path.startswith(("/api/", "/events")):
            return web.json_response({"error": "open the address as it was printed"}, status=401)
        answer: web.StreamResponse = await handler(request)
        if not answer.prepared:
            answer.headers["Content-Security-Policy"] = POLICY
            answer.headers["X-Content-Type-Options"] = "nosniff"
        return answer

    async def _events(self, request: web.Request) -> web.StreamResponse:
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        page: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._pages.add(page)
        try:
            await stream.write(_event("snapshot", {**self.snapshot, "now": time.time()}))
            while (said := await page.get()) is not None:
                await stream.write(said)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._pages.discard(page)
        return stream

    async def _calls(self, request: web.Request) -> web.Response:
        text = request.query.get("text", "").lower()
        found = [call for call in self.snapshot["calls"] if text in self._text_of(call)]
        if text:
            self.asked.put_nowait(text)
            await self.may_answer.wait()
        return web.json_response({"calls": found[:200], "more": False}, dumps=_json)

    def _text_of(self, call: Row) -> str:
        return _json({**call, **self.details.get(call["id"], {})}).lower()

    async def _call(self, request: web.Request) -> web.Response:
        wanted = request.match_info["id"]
        for call in self.snapshot["calls"]:
            if call["id"] == wanted:
                told = {**empty_detail(), **call, **self.details.get(wanted, {})}
                self.asked.put_nowait(wanted)
                await self.may_answer.wait()
                return web.json_response(told, dumps=_json)
        return web.json_response({"error": f"no call {wanted}"}, status=404)

    async def _copy(self, request: web.Request) -> web.Response:
        return web.Response(text=f"{request.query['as']} of {request.match_info['id']}")

    async def _samples(self, _request: web.Request) -> web.Response:
        text = '{\n  "events": [\n    {"eventName": "ObjectCreated:PutObject"}\n  ]\n}\n'
        typed = {"name": "oss.put", "about": "an object", "type": "OssEvent", "text": text}
        coded = {"name": "tablestore", "about": "rows", "type": "", "base64": "o2E="}
        return web.json_response([typed, coded])

    async def _post(self, request: web.Request) -> web.Response:
        path = request.match_info["path"]
        if request.headers.get("X-Console") != "1":
            return web.json_response({"error": "no X-Console"}, status=403)
        body = await request.read()
        known: Any = body
        if request.content_type == "application/json":
            known = orjson.loads(body)
        self.posted.append((path, known))
        if path == "send":
            self.asked.put_nowait(path)
            await self.may_answer.wait()
        known_answer: Mapping[str, Any] = {"ids": ["call-0"], "count": 1, "errors": []}
        answer = self.answers.get(path.rpartition("/")[2], known_answer)
        return web.json_response(answer, status=answer.get("code", 200), dumps=_json)

    async def _file(self, request: web.Request) -> web.Response:
        file = PAGE / (request.match_info["path"] or "index.html")
        if not file.is_file():
            raise web.HTTPNotFound
        kind = TYPES.get(file.suffix, "text/plain")
        return web.Response(body=file.read_bytes(), content_type=kind, charset="utf-8")


def body_of(data: bytes, size: int | None = None) -> Row:
    """Return an event or a result as the server tells it."""
    return {
        "bytes": size or len(data),
        "base64": base64.b64encode(data).decode(),
        "cut": size is not None,
        "kept": True,
    }


def empty_detail() -> Row:
    """Return what is known of a call of which nothing is known."""
    return {"event": body_of(b"{}"), "result": body_of(b"null"), "lines": [], "reports": []}


def _event(kind: str, data: Row) -> bytes:
    return f"event: {kind}\ndata: {_json(data)}\n\n".encode()


def _json(data: Any) -> str:
    return orjson.dumps(data).decode()
