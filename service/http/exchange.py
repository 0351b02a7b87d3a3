"""The way of a request through aiohttp: its handler answers it, the answer is written, and what is
left of its body is seen to. A call that is like the last one goes another way (`direct.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import Protocol

from aiohttp import web
from aiohttp.http import RawRequestMessage
from aiohttp.streams import StreamReader

from ..errors import ServiceError
from .answer_writer import AnswerWriter
from .answers import fault_answer
from .arrivals import Arrivals
from .backend import Backend
from .flow import Flow
from .state import ConnectionState

LINGER = 3.0
"""Seconds in which what is left of a body is read and thrown away, so that its sender can read the
answer; and seconds that a client has to read its last answer and to end.
"""


class RequestClient(Protocol):
    """Who gets the answer to the request that is served."""

    @property
    def transport(self) -> asyncio.Transport | None:
        """Where to write, None once the connection is lost."""

    def write_block(self, block: bytes) -> None:
        """Write the whole answer."""

    def answered(self) -> None:
        """Count the request as answered, once."""

    def served(self) -> None:
        """Go on to the next request, or end."""

    def end(self) -> None:
        """End now; what is written is sent."""


class Exchanges:
    """Serves the requests of a connection, one after the other."""

    __slots__ = ("_arrivals", "_backend", "_client", "_flow", "_gone", "_writer")

    def __init__(
        self,
        client: RequestClient,
        backend: Backend,
        arrivals: Arrivals,
        flow: Flow,
        writer: AnswerWriter,
    ) -> None:
        self._client = client
        self._backend = backend
        self._arrivals = arrivals
        self._flow = flow
        self._writer = writer
        self._gone: asyncio.Future[None] | None = None  # what waits for the client to end

    def lost(self) -> None:
        """Wait for the client no more: it has ended."""
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

    async def serve(
        self,
        request: web.BaseRequest,
        message: RawRequestMessage,
        body: StreamReader,
        response: web.StreamResponse | None = None,
    ) -> None:
        """Serve a request, or write the response that there is already."""
        try:
            try:
                if response is None:
                    response = await self._backend.handle(request)
            except web.HTTPException as failure:
                response = failure
            except Exception as failure:
                response = fault_answer(failure)
            if self._arrivals.state is ConnectionState.OPEN:
                block = self._writer.block(response, message, body)
                if block is not None:
                    self._backend.when_out(partial(self._client.write_block, block))
                    return
            await self._write_out(request, response, body)
        except BaseException:  # it was cut, or the process ends
            self._client.end()
            self._client.served()
            raise

    async def _write_out(
        self, request: web.BaseRequest, response: web.StreamResponse, body: StreamReader
    ) -> None:
        """Write an answer that is no block, and see to what is left of the body."""
        arrivals = self._arrivals
        sent = await self._writer.write(request, response, self._is_last)
        self._client.answered()
        stays = sent and response.keep_alive is not False
        least = ConnectionState.LAST if body.is_eof() else ConnectionState.DEAF
        if sent and arrivals.state >= least:
            await self._see_off()
        elif sent and not body.is_eof():
            stays = await _read_rest(body) and stays
        if not stays or (arrivals.state > ConnectionState.OPEN and not arrivals.waiting):
            self._client.end()
        self._client.served()

    def _is_last(self) -> bool:
        """Return whether this answer ends the connection; while the instance drains, the last one
        does (docs/faults.md F2).
        """
        arrivals, draining = self._arrivals, self._backend.lifecycle.draining
        return not arrivals.waiting and (draining.is_set() or arrivals.state > ConnectionState.OPEN)

    async def refuse(self, error: ServiceError) -> None:
        """Answer what the parser refused."""
        answer = self._backend.rules.refuse(error)
        if self._client.transport is not None:
            self._client.transport.write(answer)
        self._client.answered()
        try:
            await self._see_off()
        finally:
            self._client.end()
            self._client.served()

    async def _see_off(self) -> None:
        """Let a sender that was refused read why: closing on what it still sends would reset the
        connection.
        """
        transport = self._client.transport
        if self._arrivals.waiting or transport is None or transport.is_closing():
            return
        self._arrivals.go(ConnectionState.LEAVING)
        transport.write_eof()
        self._flow.body_full = self._flow.queue_full = False
        self._flow.apply()
        self._gone = self._backend.loop.create_future()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER):
                await self._gone


async def _read_rest(body: StreamReader) -> bool:
    """Read what the handler left of the body, so that its sender reads the answer, and the
    connection can go on; return whether it can.
    """
    with contextlib.suppress(Exception):  # a time-out, or what is wrong with the body
        async with asyncio.timeout(LINGER):
            while not body.is_eof():
                await body.readany()
    return body.is_eof()
