"""One client connection: which request is served when, and how all of it ends.

What arrives becomes requests (`arrivals.py`), aiohttp's `web.Request` is what a handler sees
(`exchange.py`), and its answer leaves (`answer_writer.py`). A client has time limits
(`client_watch.py`). How far the connection is towards its end is one state with a picture
(`state.py`; docs/faults.md section 1); whether a request is served, and whether its answer is due,
are the fields `_serving` and `_due`.

A request that needs no wait is served while its bytes arrive: no task is woken up for it, and its
answer is one block of bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.tcp_helpers import tcp_keepalive

from ..calls.tasks import eager_task
from ..errors import BadFraming, RequestTimeout, ServiceError
from ..logs.log import log_rarely
from .answer_writer import AnswerWriter
from .answers import MAX_BLOCK, RESULT, Answer, answer_block
from .arrivals import MANY, Arrivals, break_off
from .backend import Backend
from .client_watch import ClientWatch
from .direct import BegunCall, DirectWay
from .exchange import Exchanges
from .flow import Flow
from .heads import MAX_FIELD, MAX_FIELDS
from .state import ConnectionState

FEW = MANY // 2
"""Requests that wait behind another one at which further ones are read again."""


class Connection(BaseProtocol):
    """One connection. Serves its requests one after the other, each in flight from the arrival of
    its head until its answer is written.
    """

    __slots__ = (
        *("_arrivals", "_backend", "_due", "_exchanges", "_flow", "_serving", "_task", "_waiting"),
        *("_watch", "_writer", "max_field_size", "max_headers"),
        *("peername", "sockname", "ssl_context"),
    )

    def __init__(self, backend: Backend) -> None:
        self._flow = Flow()
        super().__init__(backend.loop, self._flow)  # type: ignore[arg-type] # all it asks of it
        self._backend = backend
        self._arrivals = Arrivals(self, backend)
        self._waiting = self._arrivals.waiting
        self._watch = ClientWatch(backend.loop, backend.limits, self._flow, self._too_late)
        self._writer = AnswerWriter(self, backend, self._flow)
        self._exchanges = Exchanges(self, backend, self._arrivals, self._flow, self._writer)
        self._serving: StreamReader | None = None  # the body of the request that is served now
        self._due = False  # its answer is not written
        self._task: asyncio.Task[None] | BegunCall | None = None  # it waits for something
        # What `web.Request` asks of its protocol.
        self.ssl_context = self.peername = self.sockname = None
        self.max_field_size, self.max_headers = MAX_FIELD, MAX_FIELDS

    # --- its life

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Serve the connection, unless there are as many as the process can hold (F17)."""
        limit, connections = self._backend.limits.connections, self._backend.connections
        if len(connections.open) >= limit:
            log_rarely("connections", "refused a connection: all %d are open", limit)
            self._arrivals.go(ConnectionState.CLOSED)
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
        """Forget the connection; a call that runs goes on, unless the rules say otherwise."""
        if self.transport is None:  # it was refused
            return
        self._arrivals.go(ConnectionState.CLOSED)
        self._watch.stop()
        self._flow.end()
        super().connection_lost(exc)
        self._exchanges.lost()
        if self._serving is not None:
            break_off(self._serving)
        self._arrivals.forget()
        if self._due and self._task is not None and self._backend.rules.leaving_cancels:
            self._task.cancel()
        self._backend.connections.remove(self)

    def close(self) -> None:
        """Take no further request, and end: now, or after the answer that is due."""
        self._arrivals.go(ConnectionState.DEAF)
        if self._serving is None and not self._waiting:
            self.end()

    def cut(self) -> None:
        """End now, with the call that runs; what is written is sent."""
        if self._task is not None:
            self._task.cancel()
        self.end()

    def end(self) -> None:
        """End now; what is written is sent."""
        self._arrivals.go(ConnectionState.CLOSED)
        if self.transport is not None:
            self.transport.close()

    # --- what arrives

    def data_received(self, data: bytes) -> None:
        """Take what has arrived, and serve the request that is next, up to its first wait."""
        arrivals, waiting, direct = self._arrivals, self._waiting, self._backend.direct
        if direct is not None and self._serving is None and arrivals.at_rest:
            sent = direct.match(data)
            if sent is not None:
                self._serve_direct(direct, sent)
                return
        if arrivals.state >= ConnectionState.DEAF:
            return
        try:
            arrivals.receive(data)
        except ServiceError as error:
            self._fail(error)
        if len(waiting) >= MANY:
            self._flow.queue_full = True
            self._flow.apply()
        if self._watch.is_on or arrivals.body is not None or arrivals.wire.within_head:
            self._look()
        if waiting and self._serving is None:
            self._serve_next()

    def _look(self) -> None:
        """Have the watch see what has arrived in part."""
        self._watch.see(head=self.is_arriving, body=self._arrivals.body is not None)

    def _fail(self, error: ServiceError) -> None:
        """Refuse what arrives: where a head should be after the answers that are due; a body now,
        and with it the connection if its request is answered.
        """
        arrivals = self._arrivals
        within_body = arrivals.body is not None
        arrivals.fail(error)
        if within_body and not self._due and not self._waiting:
            self.end()

    def _too_late(self, error: RequestTimeout) -> None:
        self._fail(error)
        self._serve_next()

    @property
    def is_arriving(self) -> bool:
        """True while the head of a request has arrived in part, and nothing else is in flight."""
        return self._arrivals.wire.within_head and not self._due and not self._waiting

    # --- reading and writing as fast as the other side does

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
        self.data_received(b"")

    def pause_writing(self) -> None:
        """Write no more until the client has taken most of it, for which it has a time limit."""
        self._flow.unread = True
        super().pause_writing()
        if self.transport is not None:
            self._watch.must_take(self.transport)

    def resume_writing(self) -> None:
        """Go on writing: the client has taken most of it."""
        self._flow.unread = False
        self._watch.has_taken()
        super().resume_writing()

    # --- one request after the other

    def _serve_next(self) -> None:
        """Serve the request that arrived first, up to its first wait at once."""
        if self._serving is not None or not self._waiting:
            return
        if self._arrivals.state is ConnectionState.CLOSED:
            return
        message, body = self._waiting.popleft()
        self._serving, self._due = body, True
        if isinstance(message, ServiceError):
            work = self._exchanges.refuse(message)
        else:
            make = self._backend.make_request
            request = make(message, body, self, self._writer.stream, None)
            work = self._exchanges.serve(request, message, body)
        self._begin(work)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        # In a context of its own: where this runs in the context of an earlier call, whose handler
        # has made the socket readable again, nothing of that call is passed on.
        task = eager_task(work, self._backend.loop, Context())
        if not task.done():
            self._task = task

    # --- the direct way of a call

    def _serve_direct(self, direct: DirectWay, sent: Any) -> None:
        self._serving, self._due = EMPTY_PAYLOAD, True
        self._backend.lifecycle.enter()
        call = direct.begin(sent, self._backend.loop, self)
        if not call.is_answered:
            self._task = call

    def answer_call(self, answer: bytes | Answer, request_id: str) -> None:
        """Answer the call that is served, in one block if that can be."""
        is_open = self._arrivals.state is ConnectionState.OPEN
        if isinstance(answer, bytes):
            # As `takes_block` says: a call of it would be one of 52 that a small event makes.
            if is_open and len(answer) <= MAX_BLOCK and self._writer.takes_blocks:
                block = answer_block(200, RESULT, request_id, answer)
                self._backend.when_out(partial(self.write_block, block))
                return
            answer = Answer(answer, content_type=RESULT)
        answer.request_id = request_id
        self.answer_with(answer)

    def takes_block(self, size: int) -> bool:
        """Return whether an answer with a body of so many bytes may be one block now."""
        is_open = self._arrivals.state is ConnectionState.OPEN
        return is_open and size <= MAX_BLOCK and self._writer.takes_blocks

    def answer_with(self, response: web.StreamResponse) -> None:
        """Answer the call that is served as aiohttp writes it."""
        assert self._backend.direct is not None
        message = self._backend.direct.message
        make = self._backend.make_request
        request = make(message, EMPTY_PAYLOAD, self, self._writer.stream, None)
        self._begin(self._exchanges.serve(request, message, EMPTY_PAYLOAD, response))

    def give_up_call(self) -> None:
        """End without an answer to the call that is served."""
        self.end()
        self.served()

    # --- how it leaves

    def write_block(self, block: bytes) -> None:
        """Write the whole answer to the request that is served."""
        if self.transport is not None:
            self.transport.write(block)
        self.served()

    def answered(self) -> None:
        """Count the request that is served as answered, once."""
        if self._due:
            self._due = False
            self._backend.lifecycle.leave()

    def served(self) -> None:
        """Go on to the next request, or end."""
        if self._due:
            self._due = False
            self._backend.lifecycle.leave()
        body, self._serving, self._task = self._serving, None, None
        if body is not None and body is not EMPTY_PAYLOAD and not body.is_eof():
            body.set_exception(BadFraming("the call is over"))
        state = self._arrivals.state
        if self.transport is None or state is ConnectionState.CLOSED:
            return
        if self._waiting or self._flow.queue_full:
            self._go_on()
        elif state > ConnectionState.OPEN:
            self.end()
        elif self._arrivals.wire.within_head:
            self._look()

    def _go_on(self) -> None:
        """Serve the next request, when the loop has seen to the others: a client that sends 1,000
        calls at once is not served 1,000 frames deep, nor before all others.
        """
        call_soon = self._backend.loop.call_soon
        if self._flow.queue_full and len(self._waiting) <= FEW:
            call_soon(self._refill, context=Context())
        call_soon(self._serve_next, context=Context())
