"""What the page asks for to write an event: samples, their schemas, and a check."""

from __future__ import annotations

import base64
from typing import Any

from aiohttp import web

from ..events import sample
from .answers import json_response
from .event_check import event_mistakes, event_schema
from .requests import body_fields, text_field


async def list_samples(_request: web.Request) -> web.Response:
    """Return all sample events."""
    return json_response([_shown(name) for name in sample.names()])


async def show_schema(request: web.Request) -> web.Response:
    """Return the JSON Schema of a sample's type."""
    return json_response(event_schema(request.match_info["name"]))


async def check_event(request: web.Request) -> web.Response:
    """Return what is wrong in a text, and where."""
    fields = await body_fields(request)
    mistakes = event_mistakes(text_field(fields, "type", ""), text_field(fields, "text"))
    return json_response({"errors": mistakes})


def _shown(name: str) -> dict[str, Any]:
    body = sample.sample(name)
    shown = {"name": name, "about": sample.about(name), "type": sample.type_of(name)}
    try:
        return shown | {"text": body.decode()}
    except UnicodeDecodeError:
        return shown | {"base64": base64.b64encode(body).decode()}


SAMPLE_ROUTES = (
    ("GET", "/api/samples", list_samples),
    ("GET", "/api/schemas/{name}", show_schema),
    ("POST", "/api/check", check_event),
)
"""Method, path, and who answers."""
