"""What the service answers with: a response whose head is one prepared block."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import formatdate
from functools import wraps
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict

from .. import protocol
from ..calls import tracebacks
from ..errors import HandlerFailed, ServiceError
from ..logs.log import log_rarely

SERVER = "fc-event-service"
"""The Server field: aiohttp would name its own and Python's versions."""

MAX_BLOCK = 64 * 1024
"""Bytes of a body that is joined with its head; a larger one is written behind it."""

RESULT = "application/octet-stream"
"""The content type of what a handler returned."""

SLICE = 256 * 1024
"""Bytes of a large body that are given to the transport at a time: it may copy what it keeps."""


class Answer(web.StreamResponse):
    """An answer that Function Compute counts as a success for 200 and as a failure for all else.

    It has the fields of the service and, if it gets no further ones, needs none of aiohttp's
    work on them: building and writing a head field by field is a third of a small call. Whoever
    changes it, or looks at its fields, has aiohttp write it.
    """

    def __init__(
        self, body: bytes = b"", status: int = 200, content_type: str = "application/json"
    ) -> None:
        super().__init__(status=status)
        self.request_id = ""
        self._code = status
        self._content: bytes | None = body
        self._kind = content_type
        self._changed = False
        self._bare = False  # it has no body on the wire, whatever its length says

    @property
    def body(self) -> bytes | None:
        """The bytes of the body."""
        return self._content

    @body.setter
    def body(self, body: bytes | None) -> None:
        self._content, self._changed = body, True

    def block(self) -> bytes | None:
        """Return head and body as they are sent over HTTP/1.1 on a connection that stays open.

        None if somebody has changed what `Answer` was made with, or if it is large: then
        `prepare` and `write_eof` write it.
        """
        body = self._content
        if self._changed or body is None or len(body) > MAX_BLOCK:
            return None
        return answer_block(self._code, self._kind, self.request_id, body)

    @property
    def headers(self) -> CIMultiDict[str]:
        """The fields, the service's own among them; whoever asks for them may change them."""
        self._changed = True
        fields = super().headers
        for name, value in _fields(self.status, self._kind):
            fields.setdefault(name, value)
        if self.request_id:
            fields[protocol.REQUEST_ID] = self.request_id
        return fields

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write the head field by field."""
        if not self.prepared:
            self._bare = request.method == "HEAD" or self.status in (204, 304)
            self.headers[protocol.STATUS] = _outcome(self.status)
            if not self.chunked and "Content-Length" not in self.headers:
                self.content_length = len(self._content or b"")
        return await super().prepare(request)

    async def write_eof(self, data: bytes = b"") -> None:
        """Write the body, no more at a time than its client takes, and let it go."""
        body, self._content = memoryview(self._content or b""), None
        if len(body) > SLICE and not self._bare:
            for at in range(0, len(body), SLICE):
                await self.write(body[at : at + SLICE])
            body = body[:0]
        await super().write_eof(b"" if self._bare else bytes(body))


def answer_block(status: int, kind: str, request_id: str, body: bytes) -> bytes:
    """Return an answer as it is sent over HTTP/1.1 on a connection that stays open."""
    return b"%b%b\r\nContent-Length: %d\r\n\r\n%b" % (
        _head(status, kind),
        request_id.encode(),
        len(body),
        body,
    )


CHANGING = (
    *("force_close", "enable_chunked_encoding", "enable_compression"),
    *("set_cookie", "del_cookie", "set_status"),
)
SHOWING = ("content_length", "content_type", "charset", "last_modified", "etag", "cookies")
"""The methods that change an answer, and the properties that stand for its fields."""


def _noted(inherited: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of aiohttp's that notes a change, and finds the service's fields there."""

    @wraps(inherited)
    def noted(self: Answer, *arguments: Any, **named: Any) -> Any:
        _ = self.headers
        return inherited(self, *arguments, **named)

    return noted


for _name in CHANGING:
    setattr(Answer, _name, _noted(getattr(web.StreamResponse, _name)))
for _name in SHOWING:
    _property = getattr(web.StreamResponse, _name)
    setattr(
        Answer, _name, property(_noted(_property.fget), _property.fset and _noted(_property.fset))
    )


def _outcome(status: int) -> str:
    """Return what the platform counts an answer of this status as."""
    return "200" if status == 200 else "404"


def _fields(status: int, kind: str) -> tuple[tuple[str, str], ...]:
    return (
        (protocol.STATUS, _outcome(status)),
        ("Content-Type", kind),
        ("Server", SERVER),
    )


_heads: dict[tuple[int, str], bytes] = {}
_made = 0


def _head(status: int, kind: str, reason: str | None = None) -> bytes:
    """Return the head up to the request id. It changes with the Date field, once a second."""
    global _made
    now = int(time.time())
    if now != _made:
        _made = now
        _heads.clear()
    head = _heads.get((status, kind)) if reason is None else None
    if head is None:
        phrase = reason or _phrase(status)
        fields = "".join(f"{name}: {value}\r\n" for name, value in _fields(status, kind))
        head = (
            f"HTTP/1.1 {status} {phrase}\r\n{fields}Date: {formatdate(now, usegmt=True)}\r\n"
            f"{protocol.REQUEST_ID}: "
        ).encode()
        if reason is None:
            _heads[status, kind] = head
    return head


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def failure_answer(
    error: ServiceError, request_id: str, *, error_trace: bool, closes: bool = False
) -> Answer:
    """Return the answer for a failure: status, `x-fc-status: 404` and the error JSON of design
    section 9.
    """
    stack = []
    if error_trace and isinstance(error, HandlerFailed):
        stack = tracebacks.as_strings(tracebacks.of_failure(error.failure))
    body = protocol.error_body(error.code, str(error), request_id, stack)
    answer = Answer(body, error.status)
    answer.request_id = request_id
    for name, value in error.headers:
        answer.headers[name] = value
    if error.closes or closes:
        answer.force_close()
        answer.headers["Connection"] = "close"  # aiohttp does not say it to HTTP/1.0
    return answer


def fault_answer(failure: Exception) -> Answer:
    """Return the answer if the service itself failed; what it says may quote the request."""
    log_rarely("service", "the service failed: %s", type(failure).__name__)
    error = ServiceError("the service failed: see its log")
    return failure_answer(error, protocol.new_request_id(), error_trace=False, closes=True)


def refuse_request(error: ServiceError) -> bytes:
    """Return the answer to what is no request, and log it: with nothing of it in either
    (docs/faults.md F6).
    """
    log_rarely(error.code, "%s: a request was refused", error.code)
    return last_answer(error)


def last_answer(error: ServiceError) -> bytes:
    """Return the answer to what is no request, on a connection that ends with it."""
    request_id = protocol.new_request_id()
    body = protocol.error_body(error.code, str(error), request_id, [])
    head = _head(error.status, "application/json", error.code)
    return b"%b%b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (
        head,
        request_id.encode(),
        len(body),
        body,
    )
