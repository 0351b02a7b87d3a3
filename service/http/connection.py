"""One client connection: aiohttp's, with what it gets wrong for this platform put right
(docs/faults.md section 0).

A Connection is aiohttp's RequestHandler with a request loop of its own: stock aiohttp wakes a task
for each request and builds each answer field by field, here a request that needs no wait is served
while its bytes arrive. aiohttp's parser, its web.Request, its flow control and its way to write a
large or unusual answer stay; nothing of aiohttp is changed from outside.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.http import HttpVersion10, HttpVersion11, RawRequestMessage, StreamWriter
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong
from aiohttp.streams import StreamReader

from .. import protocol
from ..calls.lifecycle import Lifecycle
from ..calls.tasks import eager_task
from ..errors import BadFraming, FieldsTooLarge, ServiceError, TargetTooLong
from ..logs.log import log_rarely
from .answers import Answer, failure_answer, last_answer
from .receiver import LINGER, MAX_FIELD, MAX_FIELDS, MAX_LINE, Limits, Receiver
from .timeouts import Timeout

_VERSIONS = (HttpVersion11, HttpVersion10)


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


class Connection(Receiver):
    """One connection. Serves its requests one after the other, each in flight until its answer is
    written.
    """

    __slots__ = ("_backend", "_due", "_gone", "_refused", "_serving", "_taking")

    def __init__(
        self, server: web.Server, backend: Backend, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(server, backend.limits, backend.lifecycle, loop)
        self._backend = backend
        self._serving: StreamReader | None = None  # the body of the request that is served now
        self._due = False  # its answer is not written
        self._gone = asyncio.Event()
        self._refused = False
        self._taking = Timeout(loop)  # of the client that takes an answer

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
        """Do nothing. aiohttp waits for requests in this task; `serve_next` needs none."""

    def close(self) -> None:
        """Take no further request, and end: now, or after the answer that is due."""
        super().close()
        if self._serving is None and self.transport is not None:
            self.transport.close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection; a call that runs goes on, since events have side effects."""
        self._timeout.stop()
        self._taking.stop()
        self._gone.set()
        if self._refused:
            return
        super().connection_lost(exc)
        self._messages.clear()
        while self._open > self._due:
            self._leave()

    # --- an answer that its client does not take

    def pause_writing(self) -> None:
        """Give the client `body_timeout` seconds to take some of what waits to be sent."""
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        """Go on writing: the client has taken most of it."""
        self._taking.stop()
        super().resume_writing()

    def _watch_reader(self) -> None:
        self._taking.set(self._limits.body_timeout, self._reader_overdue, self._untaken())

    def _untaken(self) -> int:
        return 0 if self.transport is None else self.transport.get_write_buffer_size()

    def _reader_overdue(self, left: int) -> None:
        if self._untaken() != left:
            self._watch_reader()
        elif self.transport is not None:
            log_rarely(
                "reader",
                "an answer was given up: its client took nothing for %g seconds",
                self._limits.body_timeout,
            )
            self.transport.abort()

    # --- one request after the other

    def serve_next(self) -> None:
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
            self._loop.call_soon(self.serve_next)
        elif self._closing_after:
            self.transport.close()
        elif self._head and self._timeout.timer is None:
            self.watch_head()

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

    def refuse_unread(self, error: ServiceError) -> None:
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
