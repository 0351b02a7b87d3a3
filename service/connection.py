"""One client connection: aiohttp's, with what it gets wrong for this platform put right
(reliability.md section 0).

A Connection is aiohttp's RequestHandler with a request loop of its own: stock aiohttp wakes a task
for each request and builds each answer field by field, here a request that needs no wait is served
while its bytes arrive. aiohttp's parser, its web.Request, its flow control and its way to write a
large or unusual answer stay; nothing of aiohttp is changed from outside.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.http import HttpVersion10, HttpVersion11, RawRequestMessage, StreamWriter
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong
from aiohttp.streams import StreamReader

from service import protocol
from service.answers import Answer, failure_answer, last_answer
from service.calls import eager_task
from service.errors import (
    BadFraming,
    FieldsTooLarge,
    RequestTimeout,
    ServiceError,
    TargetTooLong,
)
from service.framing import BadChunk, ChunkedBody, TooLong
from service.lifecycle import Lifecycle
from service.logs import log_rarely

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

SECOND_LOOK = 0.05
"""Seconds between a timer's end and its effect: after a freeze uvloop runs overdue timers before it
reads.
"""

_TAB = re.compile(rb"(?i)(\r\ntransfer-encoding:[ \t]*chunked)[ \t]+(?=\r\n)")
"""White space behind the coding, of which the parser knows no tabs (RFC 9112 section 5.1)."""

_SIZED = b"\r\nContent-Length: "

SIZED_WITHIN = 512
"""Bytes in which a length is looked for."""

_VERSIONS = (HttpVersion11, HttpVersion10)

_log = logging.getLogger("service")


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds until a request's head must be complete, and seconds a body may stand still; how many
    connections.
    """

    header_timeout: float
    body_timeout: float
    connections: int


@dataclass(frozen=True, slots=True)
class Backend:
    """What a connection works for.

    `handle` answers a request. `when_out` calls its argument once the log lines written so far are
    out. `plain` says that no signal of the application wants to see an answer before it is written.
    """

    limits: Limits
    lifecycle: Lifecycle
    handle: Callable[[web.Request], Awaitable[web.StreamResponse]]
    when_out: Callable[[Callable[[], None]], None]
    plain: bool = True


class Connection(web.RequestHandler):
    """One connection. Counts its requests as in flight from the arrival of the head to the written
    answer.
    """

    __slots__ = (
        "_backend",
        "_body",
        "_chunked",
        "_closing_after",
        "_deaf",
        "_due",
        "_gone",
        "_head",
        "_lifecycle",
        "_limits",
        "_open",
        "_progress",
        "_reader_timer",
        "_refused",
        "_serving",
        "_timer",
    )

    def __init__(
        self, server: web.Server, backend: Backend, loop: asyncio.AbstractEventLoop
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
        self._backend = backend
        self._limits = backend.limits
        self._lifecycle = backend.lifecycle
        self._serving: StreamReader | None = None  # the body of the request that is served now
        self._due = False  # its answer is not written
        self._open = 0  # requests whose answers are not written, with those that wait behind it
        self._body: StreamReader | None = None
        self._chunked: ChunkedBody | None = None
        self._closing_after = False
        self._deaf = False  # what arrives now is thrown away
        self._gone = asyncio.Event()
        self._head = b""  # the last bytes of a head that has not arrived whole
        self._refused = False
        self._progress = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._reader_timer: asyncio.TimerHandle | None = None

    # --- its life

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Serve the connection, unless there are as many as the process can hold (F17)."""
        assert self._manager is not None
        self._refused = len(self._manager.connections) >= self._limits.connections
        if self._refused:
            log_rarely(
                "connections", "refused a connection: all %d are open", self._limits.connections
            )
            transport.close()
            return
        super().connection_made(transport)
        self._task_handler = None

    async def start(self) -> None:
        """Do nothing. aiohttp waits for requests in this task; `_serve_next` needs none."""

    def close(self) -> None:
        """Take no further request, and end: now, or after the answer that is due."""
        super().close()
        if self._serving is None and self.transport is not None:
            self.transport.close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection; a call that runs goes on, since events have side effects."""
        self._stop_timer()
        self._stop_reader_timer()
        self._gone.set()
        if self._refused:
            return
        super().connection_lost(exc)
        self._messages.clear()
        while self._open > self._due:
            self._leave()

    # --- what arrives

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
            self._feed(head)

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
            self._feed(passed)
        return behind

    def _feed(self, data: bytes) -> None:
        """Parse bytes, watch over a head or a body that has not arrived whole, and serve the first
        request.
        """
        if self._force_close or self._close or self._deaf:
            return
        before = self._request_count
        try:
            super().data_received(data)
        except Exception as reason:
            # The parser should turn every bad byte into an HttpProcessingError (section C: a bad
            # IPv6 target did not)
            self._refuse_raw(BadFraming("the request cannot be read"))
            log_rarely("parser", "a request could not be read: %s", type(reason).__name__)
            return
        new = self._request_count - before
        for number in range(-new, 0):
            self._open += 1
            self._lifecycle.enter()
            self._arrived(*self._messages[number], data, alone=new == self._open == 1)
        if self._upgraded:  # declined, always: what stands behind it may not be HTTP
            self._closing_after = True
        if new == 1 and not (self._body or self._chunked or self._timer):
            self._head = b""  # a whole request, nothing to watch over
        else:
            self._note_head(data, got_head=new > 0)
            self._watch(bool(data), new > 0)
        if new:
            self._serve_next()

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

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Read on if reading was paused. aiohttp asks for it twice for each body, paused or not,
        and parses an empty packet then.
        """
        if self._reading_paused:
            super().resume_reading(resume_parser)

    # --- an answer that its client does not take

    def pause_writing(self) -> None:
        """Give the client `body_timeout` seconds to take some of what waits to be sent."""
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        """Go on writing: the client has taken most of it."""
        self._stop_reader_timer()
        super().resume_writing()

    def _watch_reader(self) -> None:
        self._reader_timer = self._loop.call_later(
            self._limits.body_timeout, self._reader_overdue, self._untaken()
        )

    def _stop_reader_timer(self) -> None:
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None

    def _untaken(self) -> int:
        return 0 if self.transport is None else self.transport.get_write_buffer_size()

    def _reader_overdue(self, left: int, looked: bool = False) -> None:
        if self._untaken() != left:
            self._watch_reader()
        elif not looked:
            self._reader_timer = self._loop.call_later(
                SECOND_LOOK, self._reader_overdue, left, True
            )
        elif self.transport is not None:
            log_rarely(
                "reader",
                "an answer was given up: its client took nothing for %g seconds",
                self._limits.body_timeout,
            )
            self.transport.abort()

    # --- one request after the other

    def _serve_next(self) -> None:
        """Serve the request that arrived first, up to its first wait at once."""
        if self._serving is not None or not self._messages or self.transport is None:
            return
        message, payload = self._messages.popleft()
        assert self._parser is not None
        self._parser.message_consumed()
        self._serving, self._due = payload, True
        if self._buffer_paused and len(self._messages) <= self._msg_queue_resume_size:
            self._resume_reading_if_drained()
        self._request_in_progress = True
        if isinstance(message, RawRequestMessage) and message.version in _VERSIONS:
            assert self._request_factory is not None
            # Without what nobody reads: a call that waits keeps its memory, and what is freed at
            # once is still in the core's cache (166 to 149 us for a handler that awaits 50 ms).
            message = message._replace(raw_headers=())
            # Most answers need no StreamWriter: it is made where one does.
            request = self._request_factory(message, payload, self, None, None)  # type: ignore[arg-type]
            self._current_request = request
            work = self._serve(request, message, payload)
        else:
            work = self._refuse(_objection(message))
        # In a context of its own: where this runs in the context of an earlier call, whose handler
        # has made the socket readable again, nothing of that call is passed on.
        task = eager_task(work, self._loop, Context())
        if not task.done():
            self._task_handler = task

    async def _serve(self, request: Any, message: RawRequestMessage, payload: StreamReader) -> None:
        try:
            try:
                response = await self._backend.handle(request)
            except web.HTTPException as failure:
                response = failure
            except Exception as failure:
                response = _fault(failure)
            if isinstance(response, Answer) and self._is_plain(message, payload):
                block = response.block()
                if block is not None:
                    self._current_request = None  # freed now, not when all of the turn are out
                    self._backend.when_out(partial(self._write, block))
                    return
            await self._write_out(request, response, payload)
        except BaseException:  # the end of the process
            self.force_close()
            self._served()
            raise

    def _is_plain(self, message: RawRequestMessage, payload: StreamReader) -> bool:
        """Say whether the answer is all that is to be written, and nothing is left to be read."""
        return (
            message.version == HttpVersion11
            and message.method != "HEAD"
            and payload.is_eof()
            and self._backend.plain
            and not message.should_close
            and not self._closing_after
            and not self._paused  # a client that does not read its answers
            and not self._lifecycle.draining.is_set()
        )

    def _write(self, block: bytes) -> None:
        if self.transport is not None:
            self.transport.write(block)
        self._served()

    async def _write_out(
        self, request: web.Request, response: web.StreamResponse, payload: StreamReader
    ) -> None:
        """Write an answer aiohttp's way once the call's log is out, and see to what is left of the
        body.
        """
        out = asyncio.Event()
        self._backend.when_out(out.set)
        await out.wait()
        request._payload_writer = StreamWriter(self, self._loop)
        response, lost = await self.finish_response(request, response, None)
        if isinstance(response, web.Response):
            response.body = None  # an idle connection keeps its last answer (F21)
        self._answered()
        self._close = self._close or lost or not response.keep_alive
        if not lost and (self._closing_after or self._deaf):
            await self._see_off()
        elif not lost and not payload.is_eof():
            await self._linger(payload)
        self._served()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Write the answer; while the instance drains, the last one ends its connection (F2)."""
        if self._closing_after or (self._lifecycle.draining.is_set() and not self._messages):
            resp.force_close()
            self._message_tail = b""  # else what stands behind a declined upgrade is parsed
        return await super().finish_response(request, resp, start_time)

    def _answered(self) -> None:
        """Count the request that is served as answered, once."""
        self._due = False
        self._leave()

    def _served(self) -> None:
        """Go on to the next request, or end."""
        if self._due:
            self._answered()
        payload, self._serving = self._serving, None
        if payload is not None and not payload.is_eof():
            payload.set_exception(BadFraming("the call is over"))
        self._current_request = self._task_handler = None
        self._request_in_progress = False
        if self._handler_waiter is not None and not self._handler_waiter.done():
            self._handler_waiter.set_result(None)
        if self.transport is None:
            return
        if self._close:
            self.transport.close()
        elif self._messages:
            # In a turn of its own: a client that sends 1,000 calls at once is not served 1,000
            # frames deep, nor before all others.
            self._loop.call_soon(self._serve_next)
        elif self._closing_after:
            self.transport.close()
        elif self._head and self._timer is None:
            self._set_timer(self._limits.header_timeout, self._head_overdue)

    async def _linger(self, payload: StreamReader) -> None:
        """Read what the handler left of the body, so that its sender reads the answer, and the
        connection can go on.
        """
        with contextlib.suppress(Exception):  # a time-out, or what is wrong with the body
            async with asyncio.timeout(LINGER):
                while not payload.is_eof():
                    await payload.readany()
        self._close = self._close or not payload.is_eof()

    async def _refuse(self, error: ServiceError) -> None:
        """Answer what the parser refused, with nothing of it in the answer or the log (F6)."""
        log_rarely(error.code, "%s: a request was refused", error.code)
        self._deaf = self._close = True
        if self.transport is not None:
            self.transport.write(last_answer(error))
        self._answered()
        await self._see_off()
        self._served()

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

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log that aiohttp failed, without the exception's text: it quotes the request (F6)."""
        log_rarely("aiohttp", "%s: %s", str(args[0]), type(kw.get("exc_info")).__name__)

    def _refuse_raw(self, error: ServiceError) -> None:
        """Answer where there is no request to answer, and close: at once, or behind the calls that
        run.
        """
        if self._open:
            self._closing_after = self._deaf = True
            return
        if self.transport is not None:
            self.transport.write(last_answer(error))
        self.force_close()


def _fault(failure: Exception) -> web.StreamResponse:
    """Return the answer where the service itself failed; what it says may quote the request."""
    log_rarely("service", "the service failed: %s", type(failure).__name__)
    error = ServiceError("the service failed: see its log")
    answer = failure_answer(error, protocol.new_request_id(), error_trace=False)
    answer.force_close()
    return answer


def _objection(message: Any) -> ServiceError:
    """Return what is wrong with what the parser made of a head, and nothing of its text."""
    if isinstance(message, RawRequestMessage):
        return BadFraming("the HTTP version is neither 1.0 nor 1.1")
    reason = message.exc
    if isinstance(reason, LineTooLong) and str(reason.args[1]) == str(MAX_LINE):
        return TargetTooLong(f"the request target is over {MAX_LINE} bytes")
    if isinstance(reason, LineTooLong) or "Too many headers" in str(reason):
        return FieldsTooLarge(
            f"a header field is over {MAX_FIELD} bytes, or there are more than {MAX_FIELDS} fields"
        )
    if isinstance(reason, BadHttpMessage):
        return BadFraming("the request is not sound HTTP/1.1")
    return ServiceError("the service failed: see its log")
