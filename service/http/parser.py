"""A whole head, read by aiohttp's parser: what `web.Request` is made of, or what is wrong with it.

Each head has a parser of its own, so nothing of one request reaches the next; making one takes
0.6 us. The parser never sees a body: `response_with_body` is its word for that, of requests, too.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser, HttpVersion10, HttpVersion11, RawRequestMessage
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong

from ..errors import BadFraming, FieldsTooLarge, ServiceError, TargetTooLong
from ..logs.log import log_rarely
from .heads import MAX_FIELD, MAX_FIELDS, MAX_LINE, without_blanks
from .wire import Unsound, WireFault

_VERSIONS = (HttpVersion11, HttpVersion10)
_AS_ASKED: dict[str, Any] = {
    "limit": MAX_LINE,
    "max_line_size": MAX_LINE,
    "max_field_size": MAX_FIELD,
    "max_headers": MAX_FIELDS,
    "response_with_body": False,
    "auto_decompress": False,  # an event is the bytes that were sent (F20)
}
"""How a parser is made."""

TOO_LONG = f"the request target is over {MAX_LINE} bytes"
TOO_LARGE = f"a header field is over {MAX_FIELD} bytes, or there are more than {MAX_FIELDS} fields"


def read_head(
    data: bytes, protocol: BaseProtocol, loop: asyncio.AbstractEventLoop
) -> tuple[RawRequestMessage, int | None, bool]:
    """Return what a whole head says, the length of its body, None for a chunked one, and whether it
    is the last of its connection. Raises ServiceError, which quotes nothing
    of it (docs/faults.md F6).
    """
    parser = HttpRequestParser(protocol, loop, **_AS_ASKED)
    if b"\t" in data:
        data = without_blanks(data)
    try:
        messages, upgraded, _ = parser.feed_data(data)
        ((message, _),) = messages
    except Exception as reason:
        raise _objection(reason) from None
    if message.version not in _VERSIONS:
        raise BadFraming("the HTTP version is neither 1.0 nor 1.1")
    headers, chunked, closes = message.headers, message.chunked, message.should_close
    # Without what nobody reads: a call that waits keeps its memory, and what is freed at once is
    # still in the core's cache (166 to 149 us for a handler that awaits 50 ms).
    message = RawRequestMessage(
        message.method,
        message.path,
        message.version,
        headers,
        (),
        closes,
        message.compression,
        message.upgrade,
        chunked,
        message.url,
    )
    if chunked:
        return message, None, closes or "Content-Length" in headers
    strange = "Transfer-Encoding" in headers  # which is refused, and its end is not known
    # An upgrade is declined, always: what stands behind it may not be HTTP.
    upgraded = upgraded or (message.upgrade and headers.get("Upgrade", "").lower() == "websocket")
    return message, int(headers.get("Content-Length", 0)), closes or upgraded or strange


def _objection(reason: Exception) -> ServiceError:
    """Return what is wrong with a head, and nothing of its text."""
    if isinstance(reason, LineTooLong):
        of_target = str(reason.args[1]) == str(MAX_LINE)
        return TargetTooLong(TOO_LONG) if of_target else FieldsTooLarge(TOO_LARGE)
    if isinstance(reason, BadHttpMessage) and "Too many headers" in reason.message:
        return FieldsTooLarge(TOO_LARGE)
    if not isinstance(reason, BadHttpMessage):
        # The parser should turn every bad byte into one (a bad IPv6 target did not).
        log_rarely("parser", "a request could not be read: %s", type(reason).__name__)
        return BadFraming("the request cannot be read")
    return BadFraming("the request is not sound HTTP/1.1")


def error_of(reason: Unsound) -> ServiceError:
    """Return the error for bytes that were no request before aiohttp's parser saw them."""
    if reason.fault is WireFault.TARGET:
        return TargetTooLong(TOO_LONG)
    return (FieldsTooLarge if reason.fault is WireFault.FIELDS else BadFraming)(str(reason))
