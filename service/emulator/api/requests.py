"""What is read of a request: the function that it is for, numbers and choices, the body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from aiohttp import web

from ..calls import PlatformError
from ..spec.model import DeployedFunction
from .platform import PLATFORM, SIGNED_HASH
from .signature import check_body

VERSION = "/2023-03-30"
"""How the API's paths begin."""

SYNC_LIMIT = 32 * 1024 * 1024
"""Bytes of a synchronous call's event (docs/platform.md section 8)."""

PAGE_SIZE = 20
MAX_PAGE = 100
"""Entries of a list by default, and at most."""

MAX_DELAY = 3600
"""Seconds that an asynchronous call may be put off."""


def function_of(request: web.Request) -> DeployedFunction:
    """Return the function that is asked for; a file has no versions and no aliases."""
    return function_named(request, request.match_info["name"])


def function_named(request: web.Request, name: str) -> DeployedFunction:
    """Return a function of the file, as `function_of` does."""
    function = request.app[PLATFORM].functions.get(name)
    if function is None:
        raise PlatformError(404, "FunctionNotFound", f"function '{name}' does not exist")
    qualifier = request.query.get("qualifier", "")
    if qualifier in ("", "LATEST"):
        return function
    code, kind = (
        ("VersionNotFound", "version") if qualifier.isdigit() else ("AliasNotFound", "alias")
    )
    told = f"{kind} '{qualifier}' of function '{name}' does not exist"
    raise PlatformError(404, code, told)


async def body_of(request: web.Request, limit: int) -> bytes:
    """Return the body; one over `limit` bytes is refused as soon as that is known."""
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    if request.content.is_eof():  # as nearly all are, it is here whole
        body = request.content.read_nowait()
        if len(body) > limit:
            raise _too_large(limit)
    else:
        body = await _gathered(request, limit)
    if (content_hash := request.get(SIGNED_HASH)) is not None:
        check_body(body, content_hash)
    return body


async def _gathered(request: web.Request, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
    return b"".join(chunks)


def _too_large(limit: int) -> PlatformError:
    told = f"payload size exceeds maximum allowed size ({limit} bytes)"
    return PlatformError(400, "EntityTooLarge", told)


def choice_of(request: web.Request, name: str, values: Sequence[str]) -> str:
    """Return a header's value, the first of `values` if it is absent."""
    sent = request.headers.get(name, "")
    if not sent:
        return values[0]
    for value in values:
        if sent.lower() == value.lower():
            return value
    raise PlatformError(400, "InvalidArgument", f"{name} '{sent}' is not {' or '.join(values)}")


def number_of(
    request: web.Request, name: str, default: int, least: int = 0, most: int = 2**53
) -> int:
    text = request.query.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and least <= int(text[:20]) <= most):
        raise PlatformError(
            400, "InvalidArgument", f"{name} '{text[:50]}' is not a number in range"
        )
    return int(text)


def delay_of(request: web.Request) -> float:
    """Return the seconds that an asynchronous call is to wait before it runs."""
    sent = request.headers.get("x-fc-async-delay", "")
    if sent and not (sent.isascii() and sent.isdigit() and int(sent[:9]) <= MAX_DELAY):
        told = f"x-fc-async-delay '{sent[:50]}' is not a number of seconds from 0 to {MAX_DELAY}"
        raise PlatformError(400, "InvalidArgument", told)
    return float(sent or 0)


def json_answer(value: Mapping[str, Any], status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")
