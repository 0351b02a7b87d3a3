"""What arrives on a connection: aiohttp's parser, fed so that no bytes mislead it, and never waited
for longer than a client may take (docs/faults.md section 0).
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.http import RawRequestMessage
from aiohttp.streams import StreamReader

from ..calls.lifecycle import Lifecycle
from ..errors import BadFraming, FieldsTooLarge, RequestTimeout, ServiceError
from ..logs.log import log_rarely
from ..protocol import SERVICE_LOGGER
from .chunked import BadChunk, ChunkedBody, TooLong
from .timeouts import Timeout

NEVER = 10 * 365 * 86400.0
"""Seconds. An idle connection is never closed: a POST that meets a closing one becomes a 502 to the
caller, and after a freeze any shorter timer is overdue before the request that thaws the instance
is read (F4, F5).
"""

MAX_LINE = 8190
"""Bytes of the request target."""

MAX_FIELD = 32 * 1024
"""Bytes of one header field. The platform's security tokens are long, and their real limit is not
documented.
"""

MAX_FIELDS = 128

BODY_BUFFER = 64 * 1024
"""Bytes of a body that nobody reads yet at which its socket is paused (twice that, plus one read).
With aiohttp's 256 KiB, 200 bodies that wait for the budget took 170 MB beside it, with this 50 MB.
"""

LINGER = 3.0
"""Seconds in which a refused body is read and thrown away, so that its sender can read the refusal.
"""

_TAB = re.compile(rb"(?i)(\r\ntransfer-encoding:[ \t]*chunked)[ \t]+(?=\r\n)")
"""White space behind the coding, of which the parser knows no tabs (RFC 9112 section 5.1)."""

_SIZED = b"\r\nContent-Length: "

SIZED_WITHIN = 512
"""Bytes of a head in which its length is looked for."""

_log = logging.getLogger(SERVICE_LOGGER)


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds until a request's head must be complete, and seconds a body may stand still; how many
    connections.
    """

    header_timeout: float
    body_timeout: float
    connections: int


class Receiver(web.RequestHandler):
    """The half of a connection that reads. It queues each request in `_messages`, counts it as in
    flight from the arrival of its head, and has `serve_next` look there.
    """

    __slots__ = (
        "_body",
        "_chunked",
        "_closing_after",
        "_deaf",
        "_head",
        "_lifecycle",
        "_limits",
        "_open",
        "_progress",
        "_timeout",
    )

    def __init__(
        self,
        server: web.Server,
        limits: Limits,
        lifecycle: Lifecycle,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=NEVER,
            access_log=None,  # type: ignore[arg-type] # "off", which aiohttp's annotation forgets
            debug=False,  # else PYTHONASYNCIODEBUG puts tracebacks into answers (F7)
            logger=_log,
            max_line_size=MAX_LINE,
            max_headers=MAX_FIELDS,
            max_field_size=MAX_FIELD,
            lingering_time=LINGER,
            auto_decompress=False,  # an event is the bytes that were sent (F20)
            read_bufsize=BODY_BUFFER,
        )
        self._limits = limits
        self._lifecycle = lifecycle
        self._open = 0  # requests whose answers are not written
        self._body: StreamReader | None = None  # what arrives now, while it does
        self._chunked: ChunkedBody | None = None
        self._closing_after = False  # with the answers that are due
        self._deaf = False  # what arrives now is thrown away
        self._head = b""  # the last bytes of a head that has not arrived whole
        self._progress = 0.0
        self._timeout = Timeout(loop)

    @abstractmethod
    def serve_next(self) -> None:
        """Serve the request that arrived first, unless one is served now."""

    @abstractmethod
    def refuse_unread(self, error: ServiceError) -> None:
        """Answer where there is no request to answer, and close."""

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived: a chunked body through a `ChunkedBody`, its head by itself."""
        if not data or (self._chunked is None and not self._may_be_chunked(data)):
            self._feed(data)
            return
        while data:
            if self._chunked is not None:
                data = self._feed_chunks(self._chunked, data)
                continue
            head, data = self._cut(data)
            self._feed(head, alone=bool(data))

    def _may_be_chunked(self, data: bytes) -> bool:
        """Say whether a chunked request may begin here, or go on. Where one does and this says no,
        it is answered all the same, and its connection ends (`_follow_chunks`).

        A request with a length is not chunked, and the platform's gateway writes it among the first
        fields: to look through all of a small event instead takes 3 us.
        """
        if self._head:
            return True
        if self._body is not None:
            return False
        sized = data.find(_SIZED, 0, SIZED_WITHIN)
        if sized >= 0 and data.find(b"\r\n\r\n", 0, sized) < 0:  # of the first head
            return False
        return b"hunked" in data or b"HUNKED" in data  # as the coding is spelled

    def _cut(self, data: bytes) -> tuple[bytes, bytes]:
        """Return what ends with the next request's head, or else everything, and what is left."""
        found = -1 if self._body is not None else (self._head + data).find(b"\r\n\r\n")
        if found < 0:
            return data, b""
        end = found + 4 - len(self._head)
        head = data[:end]
        return head if self._open else _TAB.sub(rb"\1", head), data[end:]

    def _feed_chunks(self, body: ChunkedBody, data: bytes) -> bytes:
        """Have the parser read what has arrived of a chunked body; return what stands behind it."""
        try:
            passed, behind = body.feed(data)
        except BadChunk as reason:
            # Before the parser sees it: a read that it has woken up would not fail any more.
            kind = FieldsTooLarge if isinstance(reason, TooLong) else BadFraming
            self._fail_body(kind(str(reason)))
            return b""
        if body.over:
            self._chunked = None
        if passed:
            self._feed(passed, alone=True)
        return behind

    def _feed(self, data: bytes, *, alone: bool = False) -> None:
        """Parse bytes, watch over a head or a body that has not arrived whole, and serve the first
        request. `alone` says that no head begins behind what ends in them.
        """
        if self._force_close or self._close or self._deaf:
            return
        before, body = self._request_count, self._body
        read = 0 if body is None else body.total_bytes
        try:
            super().data_received(data)
        except Exception as reason:
            # The parser should turn every bad byte into an HttpProcessingError (section C: a bad
            # IPv6 target did not)
            self.refuse_unread(BadFraming("the request cannot be read"))
            log_rarely("parser", "a request could not be read: %s", type(reason).__name__)
            return
        new = self._request_count - before
        for number in range(-new, 0):
            self._open += 1
            self._lifecycle.enter()
            self._arrived(*self._messages[number], data, alone=new == self._open == 1)
        if self._upgraded:  # declined, always: what stands behind it may not be HTTP
            self._closing_after = True
        at = 0 if body is None else body.total_bytes - read
        self._note_head(data, at, new, alone=alone)
        if new != 1 or self._body or self._chunked or self._timeout.timer:
            self._watch(bool(data), new > 0)  # else a whole request, nothing to watch over
        if new:
            self.serve_next()

    def _arrived(self, message: Any, payload: StreamReader, data: bytes, *, alone: bool) -> None:
        if not isinstance(message, RawRequestMessage):
            # In a later packet than its head, a bad chunk is an error nobody reads: the handler
            # waits for bytes (F19).
            self._fail_body(BadFraming("the body is not sound HTTP/1.1"))
            return
        self._body = None if payload.is_eof() else payload
        if message.chunked:
            self._follow_chunks(data, alone=alone)

    def _follow_chunks(self, data: bytes, *, alone: bool) -> None:
        joined = self._head + data
        certain = alone and (self._head or data[:1] not in (b"\r", b"\n"))
        if not certain or joined.find(b"\r\n\r\n") != len(joined) - 4:
            # Where the head ended is not certain (pipelined, or behind empty lines): nothing that
            # follows on this connection is read, so no trailer can reach another request (F18).
            self._closing_after = True
            return
        self._chunked = ChunkedBody()

    def _note_head(self, data: bytes, at: int, new: int, *, alone: bool) -> None:
        """Keep the end of what may be the next head: its line end may come in two packets, and it
        has its time. The body that was arriving ends at `at`, and `new` requests follow.
        """
        if not new and self._body is None:
            self._head = (self._head + data if self._head else data.lstrip(b"\r\n"))[-3:]
        elif alone or self._head:  # the end of a head is fed by itself
            self._head = b""
        else:
            for number in range(-new, 0):
                if data[at : at + 1] in (b"\r", b"\n"):
                    at = len(data) - len(data[at:].lstrip(b"\r\n"))
                end = data.find(b"\r\n\r\n", at)
                at = len(data) if end < 0 else end + 4 + self._messages[number][1].total_bytes
            self._head = data[at:].lstrip(b"\r\n")[-3:] if at < len(data) else b""

    def _fail_body(self, error: ServiceError) -> None:
        """Make the running call's read fail with `error`, and the connection end after its
        answer, or now where that is written.
        """
        self._closing_after = self._deaf = True
        self._chunked = None
        if not self._open:
            self.force_close()
        if self._body is not None:
            self._body.set_exception(error)
            self._body = None

    def _leave(self) -> None:
        self._open -= 1
        self._lifecycle.leave()

    @property
    def is_arriving(self) -> bool:
        """True while the head of a request has arrived in part, and nothing else is in flight."""
        return bool(self._head) and not self._open and self.transport is not None

    # --- time limits

    def _watch(self, got_data: bool, got_head: bool) -> None:
        """Start or stop the timer that this moment needs: none for a request that arrived whole."""
        if self._body is None or self._body.is_eof():
            self._body = self._chunked = None
        if self._body is not None:
            self._progress = time.monotonic()
            if got_head or self._timeout.timer is None:
                self._timeout.set(self._limits.body_timeout, self._body_overdue)
        elif got_head:
            self._timeout.stop()
        elif got_data and self._timeout.timer is None and not self._open:
            self.watch_head()
        elif self._open:
            self._timeout.stop()

    def watch_head(self) -> None:
        """Give the head that has begun to arrive its time."""
        self._timeout.set(self._limits.header_timeout, self._head_overdue)

    def _head_overdue(self) -> None:
        seconds = self._limits.header_timeout
        self.refuse_unread(RequestTimeout(f"the head was not complete within {seconds:g} seconds"))

    def _body_overdue(self) -> None:
        if self._body is None:
            return
        limit = self._limits.body_timeout
        if self._reading_paused:  # it is we who do not read
            self._progress = time.monotonic()
        left = self._progress + limit - time.monotonic()
        if left > 0:
            self._timeout.set(left, self._body_overdue)
        else:
            self._fail_body(RequestTimeout(f"the body stood still for {limit:g} seconds"))

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Read on if reading was paused. aiohttp asks for it twice for each body, paused or not,
        and parses an empty packet then.
        """
        if self._reading_paused:
            super().resume_reading(resume_parser)
