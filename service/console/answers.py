"""What the page asks for of calls, and what it asks to be done."""

from __future__ import annotations

import re
from typing import Any

from aiohttp import web

from .detail import call_detail
from .entry import CallEntry
from .history import CallsQuery
from .json_text import json_bytes
from .refusal import ConsoleRefusal
from .requests import body_fields, number_field
from .source import ConsoleSource

SOURCE: web.AppKey[ConsoleSource] = web.AppKey("source")

_MOST_LISTED = 500
"""Calls of a page of the list at most."""


async def list_calls(request: web.Request) -> web.Response:
    """Return calls by function, status and text, the newest first."""
    sought = request.query
    query = CallsQuery(
        function=sought.get("function", ""),
        status=sought.get("status", ""),
        text=sought.get("text", ""),
        before=sought.get("before", ""),
        limit=int(number_field(sought, "limit", 100, 1, _MOST_LISTED)),
    )
    entries, more = request.app[SOURCE].history.page(query)
    return json_response({"calls": [entry.row() for entry in entries], "more": more})


async def show_call(request: web.Request) -> web.Response:
    """Return all that is known of a call."""
    entry = _entry(request)
    return json_response({**call_detail(entry), **request.app[SOURCE].detail(entry)})


async def give_event(request: web.Request) -> web.Response:
    """Return a call's event, whole, to be kept as a file."""
    entry = _entry(request)
    return _file(entry, "event", entry.event)


async def give_result(request: web.Request) -> web.Response:
    """Return a call's result, whole, to be kept as a file."""
    entry = _entry(request)
    return _file(entry, "result", entry.result)


async def copy_call(request: web.Request) -> web.Response:
    """Return a call as a text to be pasted."""
    copied = request.app[SOURCE].copied(_entry(request), request.query.get("as", ""))
    return web.Response(text=copied, content_type="text/plain")


async def repeat_call(request: web.Request) -> web.Response:
    """Send a call's event again."""
    entry = _entry(request)
    if entry.event is None:
        raise ConsoleRefusal(410, NOT_KEPT)
    return json_response(await _operate(request, "again", {"call": entry}))


async def operate(request: web.Request) -> web.Response:
    """Do what the path names: send events, fire a timer, switch a fault."""
    name = request.path.rpartition("/")[2]
    return json_response(await _operate(request, name, await body_fields(request)))


NOT_KEPT = "the event and the result are not kept any more: newer calls have taken their room"


async def _operate(request: web.Request, name: str, fields: dict[str, Any]) -> dict[str, Any]:
    operation = request.app[SOURCE].operations.get(name)
    if operation is None:
        raise ConsoleRefusal(501, f"this console cannot do that: {name}")
    return await operation(fields)


def json_response(value: Any) -> web.Response:
    """Return a value as JSON."""
    return web.Response(body=json_bytes(value), content_type="application/json")


def _entry(request: web.Request) -> CallEntry:
    return request.app[SOURCE].history.find(request.match_info["id"])


def _file(entry: CallEntry, what: str, body: bytes | None) -> web.Response:
    if body is None:
        raise ConsoleRefusal(410, NOT_KEPT)
    name = re.sub(r"[^A-Za-z0-9_-]", "_", f"{entry.id}")[:80]
    headers = {"Content-Disposition": f'attachment; filename="{name}.{what}"'}
    return web.Response(body=body, headers=headers, content_type="application/octet-stream")


_ONE = "/api/calls/{id}"
CALL_ROUTES = (
    ("GET", "/api/calls", list_calls),
    ("GET", _ONE, show_call),
    ("GET", f"{_ONE}/event", give_event),
    ("GET", f"{_ONE}/result", give_result),
    ("GET", f"{_ONE}/copy", copy_call),
    ("POST", f"{_ONE}/again", repeat_call),
    ("POST", "/api/send", operate),
    ("POST", "/api/timers", operate),
    ("POST", "/api/faults", operate),
)
"""Method, path, and who answers."""
