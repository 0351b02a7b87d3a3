"""One client connection: bytes to requests, and answers to bytes.

A `Wire` cuts what arrives into heads and bodies, aiohttp's parser reads each head (`parser.py`),
aiohttp's `web.Request` and `StreamReader` are what a handler sees, and its `StreamWriter` writes
what is large or unusual. The connection itself is ours: which request is served when, what a client
has time for, and how all of it ends (docs/faults.md section 1).

A request that needs no wait is served while its bytes arrive: no task is woken up for it, and its
answer is one block of bytes.

    OPEN ----> LAST ----> DEAF ----> LEAVING ----> CLOSED
      |          |          |                        ^
      +----------+----------+------------------------+

    OPEN      requests are read, and served one after the other
    LAST      no request is read behind the one whose head came last: it asked for that, it wants an
              upgrade, or its end is not certain
    DEAF      what arrives is thrown away; requests that were read before are answered
    LEAVING   all is answered, and the client is given LINGER seconds to read it and to end
    CLOSED    nothing is sent any more

The state goes to the right only. How far a request has arrived is the wire's state; whether one is
served, and whether its answer is due, are the fields `_serving` and `_due`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from contextvars import Context
from enum import IntEnum, auto
from functools import partial

from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpVersion11, RawRequestMessage, StreamWriter
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.tcp_helpers import tcp_keepalive

from .. import protocol
from ..calls.tasks import eager_task
from ..errors import BadFraming, RequestTimeout, ServiceError
from ..logs.log import log_rarely
from .answers import Answer, failure_answer, last_answer
from .backend import Backend
from .body import WholeBody
from .flow import Flow
from .heads import MAX_FIELD, MAX_FIELDS
from .parser import error_of, read_head
from .timeouts import Timeout
from .wire import PieceKind, Unsound, Wire

BODY_BUFFER = 64 * 1024
"""Bytes of a body that nobody reads yet at which its socket is paused (twice that, plus one read).
With aiohttp's 256 KiB, 200 bodies that wait for the budget took 170 MB beside it, with this 50 MB.
"""

LINGER = 3.0
"""Seconds in which what is left of a body is read and thrown away, so that its sender can read the
answer.
"""

MANY, FEW = 32, 16
"""Requests that wait behind another one at which no more are read, and at which they are again."""


class ConnectionState(IntEnum):
    """How far the connection is towards its end; the picture is above."""

    OPEN = auto()
    LAST = auto()
    DEAF = auto()
    LEAVING = auto()
    CLOSED = auto()


class Connection(BaseProtocol):
    """One connection. Serves its requests one after the other, each in flight from the arrival of
    its head until its answer is written.
    """

    __slots__ = (
        "_backend",
        "_body",
        "_body_time",
        "_due",
        "_flow",
        "_gone",
        "_head_time",
        "_limits",
        "_progress",
        "_queue",
        "_serving",
        "_state",
        "_taking",
        "_task",
        "_wire",
        "_writer",
        "max_field_size",
        "max_headers",
        "peername",
        "sockname",
        "ssl_context",
    )

    def __init__(self, backend: Backend) -> None:
        self._flow = Flow()
        super().__init__(backend.loop, self._flow)  # type: ignore[arg-type] # all it asks of it
        self._backend = backend
        self._limits = backend.limits
        self._state = ConnectionState.OPEN
        self._wire = Wire()
        self._queue: deque[tuple[RawRequestMessage | ServiceError, StreamReader]] = deque()
        self._body: StreamReader | None = None  # what arrives now, while it does
        self._serving: StreamReader | None = None  # the body of the request that is served now
        self._due = False  # its answer is not written
        self._task: asyncio.Task[None] | None = None  # it waits for something
        self._writer = StreamWriter(self, backend.loop)  # of the next answer that is no block
        self._gone: asyncio.Future[None] | None = None  # what waits for the client to end
        self._progress = 0.0
        self._head_time = Timeout(backend.loop)
        self._body_time = Timeout(backend.loop)
        self._taking = Timeout(backend.loop)
        # What `web.Request` asks of its protocol.
        self.ssl_context = self.peername = self.sockname = None
        self.max_field_size, self.max_headers = MAX_FIELD, MAX_FIELDS

    # --- its life

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Serve the connection, unless there are as many as the process can hold (F17)."""
        limit, connections = self._limits.connections, self._backend.connections
        if len(connections.open) >= limit:
            log_rarely("connections", "refused a connection: all %d are open", limit)
            self._state = ConnectionState.CLOSED
            transport.close()
            return
        super().connection_made(transport)
        assert self.transport is not None
        tcp_keepalive(self.transport)
        self._flow.begin(self.transport)
        self.peername = transport.get_extra_info("peername")
        self.sockname = transport.get_extra_info("sockname")
        connections.add(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection; a call that runs goes on, since events have side effects."""
        if self.transport is None:  # it was refused
            return
        self._go(ConnectionState.CLOSED)
        for timeout in (self._head_time, self._body_time, self._taking):
            timeout.stop()
        self._flow.end()
        super().connection_lost(exc)
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)
        for body in (self._body, self._serving):
            if body is not None and not body.is_eof() and body.exception() is None:
                body.set_exception(ConnectionResetError("the connection was lost"))
        self._body = None
        for _ in range(len(self._queue)):
            self._backend.lifecycle.leave()
        self._queue.clear()
        self._backend.connections.remove(self)

    def close(self) -> None:
        """Take no further request, and end: now, or after the answer that is due."""
        self._go(ConnectionState.DEAF)
        if self._serving is None and not self._queue:
            self._end()

    def cut(self) -> None:
        """End now, with the call that runs; what is written is sent."""
        if self._task is not None:
            self._task.cancel()
        self._end()

    def _go(self, state: ConnectionState) -> None:
        """Go on to a state, if it is not behind."""
        if state > self._state:
            self._state = state
            if state >= ConnectionState.DEAF:
                self._wire.close()

    def _end(self) -> None:
        self._go(ConnectionState.CLOSED)
        if self.transport is not None:
            self.transport.close()

    # --- what arrives

    def data_received(self, data: bytes) -> None:
        """Take what has arrived, and serve the request that is next, up to its first wait."""
        if self._state >= ConnectionState.DEAF:
            return
        self._wire.receive(data)
        self._read_on()

    def _read_on(self) -> None:
        """Take the pieces that have arrived whole."""
        wire, queue = self._wire, self._queue
        try:
            while len(queue) < MANY and (piece := wire.next()) is not None:
                kind, data = piece
                if kind is PieceKind.HEAD:
                    self._take_head(data)
                else:
                    self._take_body(kind, data)
        except Unsound as reason:
            self._take_fault(error_of(reason))
        except ServiceError as error:
            self._refuse(error)
        if len(queue) >= MANY:
            self._flow.queue_full = True
            self._flow.apply()
        if wire.within_head or self._body is not None or self._body_time.timer is not None:
            self._watch()
        elif self._head_time.timer is not None:
            self._head_time.stop()
        if queue and self._serving is None:
            self._serve_next()

    def _take_head(self, data: bytes) -> None:
        """Count a request as in flight from here on, and let it wait for its turn."""
        message, length, last = read_head(data, self, self._backend.loop)
        self._wire.frame(length)
        self._backend.lifecycle.enter()
        body = EMPTY_PAYLOAD if length == 0 else self._begin_body()
        self._queue.append((message, body))
        if last:
            self._go(ConnectionState.LAST)
            self._stop_behind()

    def _begin_body(self) -> StreamReader:
        """Return the body whole if it is here, else a stream of it."""
        try:
            piece = self._wire.next()
        except Unsound as reason:
            self._go(ConnectionState.DEAF)
            body = StreamReader(self, BODY_BUFFER, loop=self._backend.loop)
            body.set_exception(error_of(reason))
            return body
        if piece is not None and piece[0] is PieceKind.LAST:
            return WholeBody(piece[1])
        body = self._body = StreamReader(self, BODY_BUFFER, loop=self._backend.loop)
        if piece is not None:
            body.feed_data(piece[1])
        return body

    def _take_body(self, kind: PieceKind, data: bytes) -> None:
        body = self._body
        assert body is not None
        if data:
            body.feed_data(data)
        if kind is PieceKind.LAST:
            self._body = None
            body.feed_eof()
            if self._state is ConnectionState.LAST:
                self._stop_behind()

    def _stop_behind(self) -> None:
        """Read nothing behind the last request."""
        if self._body is None:
            if self._wire.waiting:
                self._go(ConnectionState.DEAF)
            self._wire.close()

    def _take_fault(self, error: ServiceError) -> None:
        """Take note that what arrives is no HTTP: of a body, or where a head should be."""
        if self._body is None:
            self._refuse(error)
        else:
            self._fail_body(error)

    def _refuse(self, error: ServiceError) -> None:
        """Answer what is no request when its turn comes, and then end."""
        if self._state >= ConnectionState.DEAF:
            return
        self._go(ConnectionState.DEAF)
        self._queue.append((error, EMPTY_PAYLOAD))
        self._backend.lifecycle.enter()

    def _fail_body(self, error: ServiceError) -> None:
        """Make the running call's read fail with `error`, and the connection end after its answer,
        or now if that is written.
        """
        body, self._body = self._body, None
        self._go(ConnectionState.DEAF)
        if body is not None:
            body.set_exception(error)
        if not self._due and not self._queue:
            self._end()

    @property
    def is_arriving(self) -> bool:
        """True while the head of a request has arrived in part, and nothing else is in flight."""
        return self._wire.within_head and not self._due and not self._queue

    # --- reading as fast as bodies are read

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Read on if a full body had paused it. aiohttp asks for it at each read of a body."""
        if self._flow.body_full:
            self._flow.body_full = False
            super().resume_reading(False)
            self._flow.apply()

    def _refill(self) -> None:
        """Read further requests, now that few wait."""
        self._flow.queue_full = False
        self._flow.apply()
        if self._state < ConnectionState.DEAF:
            self._read_on()

    # --- time limits

    def _watch(self) -> None:
        """Watch over what has arrived in part: a body's progress, or the time of a head."""
        if self._body is not None:
            self._progress = time.monotonic()
            if self._body_time.timer is None:
                self._body_time.set(self._limits.body_timeout, self._body_overdue)
        elif self._body_time.timer is not None:
            self._body_time.stop()
        if not self.is_arriving:
            self._head_time.stop()
        elif self._head_time.timer is None:
            self._head_time.set(self._limits.header_timeout, self._head_overdue)

    def _head_overdue(self) -> None:
        seconds = self._limits.header_timeout
        self._refuse(RequestTimeout(f"the head was not complete within {seconds:g} seconds"))
        self._serve_next()

    def _body_overdue(self) -> None:
        if self._body is None:
            return
        limit = self._limits.body_timeout
        if self._flow.body_full or self._flow.queue_full:  # it is we who do not read
            self._progress = time.monotonic()
        left = self._progress + limit - time.monotonic()
        if left > 0:
            self._body_time.set(left, self._body_overdue)
        else:
            self._fail_body(RequestTimeout(f"the body stood still for {limit:g} seconds"))

    # --- an answer that its client does not take

    def pause_writing(self) -> None:
        """Give the client `body_timeout` seconds to take some of what waits to be sent."""
        self._flow.unread = True
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        """Go on writing: the client has taken most of it."""
        self._flow.unread = False
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

    def _serve_next(self) -> None:
        """Serve the request that arrived first, up to its first wait at once."""
        if self._serving is not None or not self._queue or self._state is ConnectionState.CLOSED:
            return
        message, body = self._queue.popleft()
        self._serving, self._due = body, True
        if isinstance(message, ServiceError):
            work = self._answer_refused(message)
        else:
            make = self._backend.make_request
            request = make(message, body, self, self._writer, None)
            work = self._serve(request, message, body)
        # In a context of its own: where this runs in the context of an earlier call, whose handler
        # has made the socket readable again, nothing of that call is passed on.
        task = eager_task(work, self._backend.loop, Context())
        if not task.done():
            self._task = task

    async def _serve(
        self, request: web.BaseRequest, message: RawRequestMessage, body: StreamReader
    ) -> None:
        try:
            try:
                response = await self._backend.handle(request)
            except web.HTTPException as failure:
                response = failure
            except Exception as failure:
                response = _fault(failure)
            if isinstance(response, Answer) and self._is_plain(message, body):
                block = response.block()
                if block is not None:
                    self._backend.when_out(partial(self._write, block))
                    return
            await self._write_out(request, response, body)
        except BaseException:  # it was cut, or the process ends
            self._end()
            self._served()
            raise

    def _is_plain(self, message: RawRequestMessage, body: StreamReader) -> bool:
        """Return whether the answer is all that is written, and nothing is left to be read."""
        return (
            self._state is ConnectionState.OPEN
            and message.version == HttpVersion11
            and message.method != "HEAD"
            and body.is_eof()
            and self._backend.plain
            and not self._flow.unread
            and not self._backend.lifecycle.draining.is_set()
        )

    def _write(self, block: bytes) -> None:
        if self.transport is not None:
            self.transport.write(block)
        self._served()

    async def _write_out(
        self, request: web.BaseRequest, response: web.StreamResponse, body: StreamReader
    ) -> None:
        """Write an answer aiohttp's way once the call's log is out, and see to what is left of the
        body.
        """
        size = _size(response)
        self._backend.budget.hold(size)
        try:
            await self._logged()
            if self._is_last():
                response.force_close()
            sent = await self._send(request, response)
        finally:
            self._backend.budget.release(size)
        self._answered()
        stays = sent and response.keep_alive is not False
        least = ConnectionState.LAST if body.is_eof() else ConnectionState.DEAF
        if sent and self._state >= least:
            await self._see_off()
        elif sent and not body.is_eof():
            stays = await self._linger(body) and stays
        if not stays or (self._state > ConnectionState.OPEN and not self._queue):
            self._end()
        self._served()

    async def _logged(self) -> None:
        """Wait until what the call has logged is out."""
        out = asyncio.Event()
        self._backend.when_out(out.set)
        await out.wait()

    def _is_last(self) -> bool:
        """Return whether this answer ends the connection; while the instance drains, the last one
        does (F2).
        """
        draining = self._backend.lifecycle.draining.is_set()
        return not self._queue and (draining or self._state > ConnectionState.OPEN)

    async def _send(self, request: web.BaseRequest, response: web.StreamResponse) -> bool:
        """Write head and body; return whether they could be sent."""
        if self.transport is None:
            return False
        try:
            await response.prepare(request)
            await response.write_eof()
        except ConnectionError:
            return False
        finally:
            self._writer = StreamWriter(self, self._backend.loop)
            if isinstance(response, (Answer, web.Response)):
                response.body = None  # an idle connection keeps its last answer (F21)
        return True

    async def _linger(self, body: StreamReader) -> bool:
        """Read what the handler left of the body, so that its sender reads the answer, and the
        connection can go on; return whether it can.
        """
        with contextlib.suppress(Exception):  # a time-out, or what is wrong with the body
            async with asyncio.timeout(LINGER):
                while not body.is_eof():
                    await body.readany()
        return body.is_eof()

    async def _answer_refused(self, error: ServiceError) -> None:
        """Answer what the parser refused, with nothing of it in the answer or the log (F6)."""
        log_rarely(error.code, "%s: a request was refused", error.code)
        if self.transport is not None:
            self.transport.write(last_answer(error))
        self._answered()
        try:
            await self._see_off()
        finally:
            self._end()
            self._served()

    async def _see_off(self) -> None:
        """Let a sender that was refused read why: closing on what it still sends would reset the
        connection.
        """
        transport = self.transport
        if self._queue or transport is None or transport.is_closing():
            return
        self._go(ConnectionState.LEAVING)
        transport.write_eof()
        self._flow.body_full = self._flow.queue_full = False
        self._flow.apply()
        self._gone = self._backend.loop.create_future()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER):
                await self._gone

    def _answered(self) -> None:
        """Count the request that is served as answered, once."""
        if self._due:
            self._due = False
            self._backend.lifecycle.leave()

    def _served(self) -> None:
        """Go on to the next request, or end."""
        if self._due:
            self._due = False
            self._backend.lifecycle.leave()
        body, self._serving, self._task = self._serving, None, None
        if body is not None and not body.is_eof():
            body.set_exception(BadFraming("the call is over"))
        if self.transport is None or self._state is ConnectionState.CLOSED:
            return
        if self._queue or self._flow.queue_full:
            self._go_on()
        elif self._state > ConnectionState.OPEN:
            self._end()
        elif self._wire.within_head:
            self._watch()

    def _go_on(self) -> None:
        """Serve the next request, in a turn of its own: a client that sends 1,000 calls at once is
        not served 1,000 frames deep, nor before all others.
        """
        call_soon = self._backend.loop.call_soon
        if self._flow.queue_full and len(self._queue) <= FEW:
            call_soon(self._refill, context=Context())
        call_soon(self._serve_next, context=Context())


def _size(response: web.StreamResponse) -> int:
    """Return the bytes of an answer that it holds until its client has taken them."""
    body = response.body if isinstance(response, (Answer, web.Response)) else None
    return len(body) if isinstance(body, (bytes, bytearray)) else 0


def _fault(failure: Exception) -> web.StreamResponse:
    """Return the answer if the service itself failed; what it says may quote the request."""
    log_rarely("service", "the service failed: %s", type(failure).__name__)
    error = ServiceError("the service failed: see its log")
    return failure_answer(error, protocol.new_request_id(), error_trace=False, closes=True)
