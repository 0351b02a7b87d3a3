"""What the service answers with: a response whose head is one prepared block."""

from __future__ import annotations

import time
from email.utils import formatdate

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict

from .. import protocol
from ..calls import tracebacks
from ..errors import HandlerFailed, ServiceError

SERVER = "fc-event-service"
"""The Server field: aiohttp would name its own and Python's versions."""

MAX_BLOCK = 64 * 1024
"""Bytes of a body that is joined with its head; a larger one is written behind it."""


class Answer(web.Response):
    """An answer that Function Compute counts as a success for 200 and as a failure for all else.

    It has the fields of the service and, where it gets no further ones, needs none of aiohttp's
    work on them: building and writing a head field by field is a third of a small call.
    """

    _zlib_executor_size = 1024 * 1024
    _zlib_executor = None

    def __init__(
        self, body: bytes = b"", status: int = 200, content_type: str = "application/json"
    ) -> None:
        # Not web.Response's own: it looks for what a body may be given as, and ours is bytes.
        web.StreamResponse.__init__(self, status=status)
        self._body = body
        self.request_id = ""
        self._kind = content_type

    def block(self) -> bytes | None:
        """Return head and body as they are sent over HTTP/1.1 on a connection that stays open.

        None where somebody has changed what `Answer` was made with, or where it is large: then
        `prepare` and `write_eof` write it.
        """
        body = self._body
        if (
            self._headers
            or self._keep_alive is not None
            or self._cookies
            or self._chunked
            or self._compression
            or not isinstance(body, bytes)
            or len(body) > MAX_BLOCK
        ):
            return None
        head = _head(self._status, self._reason, self._kind)
        return b"%b%b\r\nContent-Length: %d\r\n\r\n%b" % (
            head,
            self.request_id.encode(),
            len(body),
            body,
        )

    @property
    def headers(self) -> CIMultiDict[str]:
        """The fields, the service's own among them; whoever asks for them may change them."""
        for name, value in _fields(self._status, self._kind):
            self._headers.setdefault(name, value)
        if self.request_id:
            self._headers[protocol.REQUEST_ID] = self.request_id
        return self._headers

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write the head field by field."""
        if not self.prepared:
            _ = self.headers
        return await super().prepare(request)


def _fields(status: int, kind: str) -> tuple[tuple[str, str], ...]:
    return (
        (protocol.STATUS, "200" if status == 200 else "404"),
        ("Content-Type", kind),
        ("Server", SERVER),
    )


_heads: dict[tuple[int, str, str], bytes] = {}
_made = 0


def _head(status: int, reason: str, kind: str) -> bytes:
    """Return the head up to the request id. It changes with the Date field, once a second."""
    global _made
    now = int(time.time())
    if now != _made:
        _made = now
        _heads.clear()
    head = _heads.get((status, reason, kind))
    if head is None:
        fields = "".join(f"{name}: {value}\r\n" for name, value in _fields(status, kind))
        head = (
            f"HTTP/1.1 {status} {reason}\r\n{fields}Date: {formatdate(now, usegmt=True)}\r\n"
            f"{protocol.REQUEST_ID}: "
        ).encode()
        _heads[status, reason, kind] = head
    return head


def failure_answer(error: ServiceError, request_id: str, *, error_trace: bool) -> Answer:
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
    if error.closes:
        answer.force_close()
        answer.headers["Connection"] = "close"  # aiohttp does not say it to HTTP/1.0
    return answer


def last_answer(error: ServiceError) -> bytes:
    """Return the answer to what is no request, on a connection that ends with it."""
    request_id = protocol.new_request_id()
    body = protocol.error_body(error.code, str(error), request_id, [])
    head = _head(error.status, error.code, "application/json")
    return b"%b%b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (
        head,
        request_id.encode(),
        len(body),
        body,
    )
