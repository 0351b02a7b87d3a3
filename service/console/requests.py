"""What is read of the page's requests."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from .refusal import ConsoleRefusal

MAX_REQUEST = 64 * 1024 * 1024
"""Bytes of a request: an event of 32 MB in base64, and more."""

BINARY = "application/octet-stream"


async def body_fields(request: web.Request) -> dict[str, Any]:
    """Return the fields of a request: a JSON object, or bytes, which become `event`, with the rest
    in the address. Raises ConsoleRefusal.
    """
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise ConsoleRefusal(413, f"a request may have {MAX_REQUEST:,} bytes") from None
    if request.content_type == BINARY:
        return {**request.query, "event": body}
    if request.content_type != "application/json":
        raise ConsoleRefusal(415, f"a request's body is application/json or {BINARY}")
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError as reason:
        raise ConsoleRefusal(400, f"the request's body is no JSON: {reason}") from None
    if not isinstance(fields, dict):
        raise ConsoleRefusal(400, "the request's body is no JSON object")
    return fields


def text_field(fields: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """Return a text. Raises ConsoleRefusal for another type, and if it is missing and there is no
    default.
    """
    value = fields.get(name, default)
    if not isinstance(value, str):
        raise ConsoleRefusal(400, f"{name!r} is to be a text")
    return value


def number_field(
    fields: Mapping[str, Any], name: str, default: float | None, least: float, most: float
) -> float:
    """Return a number within bounds, given as one or as a text. Raises ConsoleRefusal."""
    value = fields.get(name, default)
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            value = None
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ConsoleRefusal(400, f"{name!r} is to be a number from {least:g} to {most:,g}")
    return value


def flag_field(fields: Mapping[str, Any], name: str, default: bool = False) -> bool:
    """Return a truth value, given as one or as a text. Raises ConsoleRefusal."""
    value = fields.get(name, default)
    if value in ("true", "1", "on"):
        return True
    if value in ("false", "0", "off", ""):
        return False
    if not isinstance(value, bool):
        raise ConsoleRefusal(400, f"{name!r} is to be true or false")
    return value


def event_field(fields: Mapping[str, Any]) -> bytes:
    """Return the bytes of `event`: they are there already, or `{"text": ...}`, `{"base64": ...}`.

    Raises ConsoleRefusal.
    """
    event = fields.get("event")
    if isinstance(event, bytes):
        return event
    if isinstance(event, dict):
        if isinstance(text := event.get("text"), str):
            return text.encode("utf-8", "surrogatepass")
        if isinstance(coded := event.get("base64"), str):
            try:
                return base64.b64decode(coded, validate=True)
            except (binascii.Error, ValueError):
                raise ConsoleRefusal(400, "the event's base64 cannot be read") from None
    raise ConsoleRefusal(400, """'event' is to be {"text": ...} or {"base64": ...}""")
