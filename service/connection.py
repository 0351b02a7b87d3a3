"""One client connection: aiohttp's, with what it gets wrong for this platform put right
(reliability.md section 0).

`Server` makes them, and `Runner` puts an application behind it. Everything here uses what aiohttp's
RequestHandler offers to subclasses; nothing of aiohttp is changed from outside.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong
from aiohttp.streams import StreamReader

from service import protocol
from service.errors import BadFraming, FieldsTooLarge, RequestTimeout, ServiceError
from service.framing import ChunkedBody
from service.lifecycle import Lifecycle
from service.middleware import failure_answer

NEVER = 10 * 365 * 86400.0
"""Seconds. An idle connection is never closed: a POST that meets a closing one becomes a 502 to the
caller, and after a freeze any shorter timer is overdue before the request that thaws the instance
is read (F4, F5).
"""

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

SECOND_LOOK = 0.05
"""Seconds between a timer's end and its effect: after a freeze uvloop runs overdue timers before it
reads.
"""

_log = logging.getLogger("service")


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds until a request's head must be complete, and seconds a body may stand still; how many
    connections.
    """

    header_timeout: float
    body_timeout: float
    connections: int


class Connection(web.RequestHandler):
    """One connection. Counts its requests as in flight from the arrival of the head to the written
    answer.
    """

    __slots__ = (
        "_body",
        "_chunked",
        "_closing_after",
        "_counted",
        "_deaf",
        "_gone",
        "_head",
        "_lifecycle",
        "_limits",
        "_open",
        "_progress",
        "_refused",
        "_server",
        "_timer",
    )

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=NEVER,
            access_log=None,  # type: ignore[arg-type] # "off", which aiohttp's annotation forgets
            debug=False,  # else PYTHONASYNCIODEBUG puts tracebacks into answers (F7)
            logger=_log,
            max_line_size=8190,
            max_headers=MAX_FIELDS,
            max_field_size=MAX_FIELD,
            lingering_time=LINGER,
            auto_decompress=False,  # an event is the bytes that were sent (F20)
            read_bufsize=BODY_BUFFER,
        )
        self._server = server
        self._limits = server.limits
        self._lifecycle = server.lifecycle
        self._open = 0
        self._counted = 0
        self._body: StreamReader | None = None
        self._chunked: ChunkedBody | None = None
        self._closing_after = False
        self._deaf = False  # what arrives now is thrown away
        self._gone = asyncio.Event()
        self._head = b""  # the last bytes of a head that has not arrived whole
        self._refused = False
        self._progress = 0.0
        self._timer: asyncio.TimerHandle | None = None

    # --- its life

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Serve the connection, unless there are as many as the process can hold (F17)."""
        self._refused = len(self._server.connections) >= self._limits.connections
        if self._refused:
            log_rarely(
                "connections", "refused a connection: all %d are open", self._limits.connections
            )
            transport.close()
            return
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection; a call that runs goes on, since events have side effects."""
        self._stop_timer()
        self._gone.set()
        if not self._refused:
            super().connection_lost(exc)

    async def start(self) -> None:
        """Serve requests until the connection ends, then give up those that were not served."""
        try:
            await super().start()
        finally:
            while self._open:
                self._leave()

    # --- what arrives

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived, and watch over a head or a body that has not arrived whole."""
        if self._force_close or self._close or self._deaf:
            return
        if self._chunked is not None and self._chunked.feed(data):
            # Before the parser sees it: a read that it has woken up would not fail any more.
            self._refuse_trailer()
            return
        before = len(self._messages)
        try:
            super().data_received(data)
        except Exception as reason:
            # The parser should turn every bad byte into an HttpProcessingError (section C: a bad
            # IPv6 target did not)
            self._refuse_raw(BadFraming("the request cannot be read"))
            log_rarely("parser", "a request could not be read: %s", type(reason).__name__)
            return
        self._count_new()
        new = list(self._messages)[before:] if len(self._messages) > before else []
        for message, payload in new:
            self._arrived(message, payload, data, alone=len(new) == 1 and self._open == 1)
        if self._upgraded:  # declined, always: what stands behind it may not be HTTP
            self._closing_after = True
        self._note_head(data, got_head=bool(new))
        self._watch(bool(data), bool(new))

    def _arrived(self, message: Any, payload: StreamReader, data: bytes, *, alone: bool) -> None:
        if not isinstance(message, RawRequestMessage):
            # In a later packet than its head, a bad chunk is an error nobody reads: the handler
            # waits for bytes (F19).
            self._fail_body(BadFraming("the body is not sound HTTP/1.1"))
            return
        self._body = None if payload.is_eof() else payload
        if message.chunked:
            self._follow_chunks(payload, data, alone=alone)

    def _follow_chunks(self, payload: StreamReader, data: bytes, *, alone: bool) -> None:
        joined = self._head + data
        certain = alone and (self._head or data[:1] not in (b"\r", b"\n"))
        _, end, body = joined.partition(b"\r\n\r\n")
        if not certain or not end:
            # Where the head ended is not certain (pipelined, or behind empty lines): nothing that
            # follows on this connection is read, so no trailer can reach another request (F18).
            self._closing_after = True
            return
        self._chunked = ChunkedBody()
        if self._chunked.feed(body):
            self._body = payload
            self._refuse_trailer()

    def _refuse_trailer(self) -> None:
        self._fail_body(BadFraming("a chunked body is served without trailer fields only"))

    def _note_head(self, data: bytes, *, got_head: bool) -> None:
        """Keep the end of what may be the next head: its line end may come in two packets."""
        if got_head or self._body is not None:
            self._head = b""
        else:
            self._head = (self._head + data if self._head else data.lstrip(b"\r\n"))[-3:]

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

    # --- counting

    def _count_new(self) -> None:
        while self._counted < self._request_count:
            self._counted += 1
            self._open += 1
            self._lifecycle.enter()

    def _leave(self) -> None:
        if self._open:
            self._open -= 1
            self._lifecycle.leave()

    # --- time limits

    def _watch(self, got_data: bool, got_head: bool) -> None:
        """Start or stop the timer that this moment needs: none for a request that arrived whole."""
        if self._body is None or self._body.is_eof():
            self._body = self._chunked = None
        if self._body is not None:
            self._progress = time.monotonic()
            if got_head or self._timer is None:
                self._set_timer(self._limits.body_timeout, self._body_overdue)
        elif got_head:
            self._stop_timer()
        elif got_data and self._timer is None and not self._open:
            self._set_timer(self._limits.header_timeout, self._head_overdue)
        elif self._open:
            self._stop_timer()

    def _set_timer(self, seconds: float, overdue: Any, *arguments: Any) -> None:
        self._stop_timer()
        self._timer = self._loop.call_later(seconds, overdue, *arguments)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _head_overdue(self, *, looked: bool = False) -> None:
        if not looked:
            self._timer = self._loop.call_later(
                SECOND_LOOK, lambda: self._head_overdue(looked=True)
            )
            return
        self._timer = None
        seconds = self._limits.header_timeout
        self._refuse_raw(RequestTimeout(f"the head was not complete within {seconds:g} seconds"))

    def _body_overdue(self, *, looked: bool = False) -> None:
        self._timer = None
        if self._body is None:
            return
        limit = self._limits.body_timeout
        if self._reading_paused:  # it is we who do not read
            self._progress = time.monotonic()
        left = self._progress + limit - time.monotonic()
        if left > 0:
            self._set_timer(left, self._body_overdue)
        elif not looked:
            self._timer = self._loop.call_later(
                SECOND_LOOK, lambda: self._body_overdue(looked=True)
            )
        else:
            self._fail_body(RequestTimeout(f"the body stood still for {limit:g} seconds"))

    # --- answers

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Write the answer; while the instance drains, every answer ends its connection (F2)."""
        if self._closing_after or self._lifecycle.draining.is_set():
            resp.force_close()
            self._message_tail = b""  # else what stands behind a declined upgrade is parsed
        try:
            result = await super().finish_response(request, resp, start_time)
        finally:
            if isinstance(resp, web.Response):
                resp.body = None  # an idle connection keeps its last answer (F21)
            self._leave()
            if self._head and not (self._open or self._timer or self._gone.is_set()):
                self._set_timer(self._limits.header_timeout, self._head_overdue)
        if self._closing_after or self._deaf:
            await self._see_off()
        return result

    async def _see_off(self) -> None:
        """Let a sender that was refused read why: closing on what it still sends would reset the
        connection.
        """
        self._deaf = True
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        transport.write_eof()
        transport.resume_reading()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER):
                await self._gone.wait()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a request that the parser refused, with nothing of it in the answer or the log
        (F6).
        """
        self._deaf = True
        error: ServiceError
        if isinstance(exc, LineTooLong) or "Too many headers" in str(exc):
            error = FieldsTooLarge(
                f"the request line is over {self.max_line_size} bytes, a header field over"
                f" {MAX_FIELD}, or there are more than {MAX_FIELDS} fields"
            )
        elif isinstance(exc, BadHttpMessage):
            error = BadFraming("the request is not sound HTTP/1.1")
        else:
            error = ServiceError("the service failed: see its log")
        log_rarely(error.code, "%s: a request was refused: %s", error.code, type(exc).__name__)
        request_id = protocol.new_request_id()
        answer = failure_answer(error, request_id, error_trace=False)
        answer.headers[protocol.REQUEST_ID] = request_id
        answer.headers["Connection"] = "close"  # aiohttp answers as HTTP/1.0, which only implies it
        answer.force_close()
        return answer

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log that aiohttp failed, without the exception's text: it quotes the request (F6)."""
        reason = kw.get("exc_info")
        if isinstance(reason, ServiceError):
            return  # aiohttp lingers on a body that failed: the call has logged why
        log_rarely("aiohttp", "%s: %s", str(args[0]), type(reason).__name__)

    def _refuse_raw(self, error: ServiceError) -> None:
        """Answer where there is no request to answer, and close: at once, or behind the calls that
        run.
        """
        if self._open:
            self._closing_after = self._deaf = True
            return
        if self.transport is not None:
            self.transport.write(_raw_answer(error))
        self.force_close()


def _raw_answer(error: ServiceError) -> bytes:
    request_id = protocol.new_request_id()
    body = protocol.error_body(error.code, str(error), request_id, [])
    head = (
        f"HTTP/1.1 {error.status} {error.code}\r\n{protocol.STATUS}: 404\r\n"
        f"{protocol.REQUEST_ID}: {request_id}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + body


_said: dict[str, float] = {}


def log_rarely(kind: str, message: str, *arguments: object) -> None:
    """Log at most one line of a kind in a second: a flood of bad requests is not a flood of
    lines.
    """
    now = time.monotonic()
    if now - _said.get(kind, -1.0) >= 1.0:
        _said[kind] = now
        _log.warning(message, *arguments)


class Server(web.Server):
    """Makes a Connection for each client."""

    def __init__(self, stock: web.Server, lifecycle: Lifecycle, limits: Limits) -> None:
        super().__init__(
            stock.request_handler,
            request_factory=stock.request_factory,
            # An event's side effects are not undone by a client that leaves.
            handler_cancellation=False,
        )
        self.lifecycle = lifecycle
        self.limits = limits
        self.live = 0
        self.left: Callable[[], object] = lambda: None  # called when a connection has ended
        self.empty = asyncio.Event()
        self.empty.set()

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Note an open connection."""
        super().connection_made(handler, transport)
        self.live += 1
        self.empty.clear()

    def connection_lost(
        self, handler: web.RequestHandler, exc: BaseException | None = None
    ) -> None:
        """Note a closed connection; `empty` is set when the last byte of the last one has left."""
        super().connection_lost(handler, exc)
        self.live -= 1
        if not self.live:
            self.empty.set()
        self.left()

    def __call__(self) -> web.RequestHandler:
        """Return the protocol of a new connection.

        aiohttp's own factory drops every limit when one keyword is wrong (F9): here that is an
        error.
        """
        return Connection(self, asyncio.get_running_loop())


class Runner(web.AppRunner):
    """Runs an application behind `Server`."""

    def __init__(self, app: web.Application, lifecycle: Lifecycle, limits: Limits) -> None:
        super().__init__(app, handle_signals=False, shutdown_timeout=1.0, access_log=None)
        self._lifecycle = lifecycle
        self._limits = limits

    async def _make_server(self) -> web.Server:
        stock = await super()._make_server()
        return Server(stock, self._lifecycle, self._limits)
