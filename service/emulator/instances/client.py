"""The connections to one instance: kept open for ever, and never tried twice.

aiohttp's parser reads what is no plain answer (`plain_answer.py`); its client session is not used,
since a call through it costs more than all that the emulator does besides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpResponseParser, RawResponseMessage
from aiohttp.streams import StreamReader

from ...protocol import STATUS
from .descriptors import OUT_OF_FILES
from .plain_answer import InstanceAnswer, read_plain

MAX_ANSWER_FIELD = 64 * 1024
"""Bytes of one header field of an answer."""


SMALL = 64 * 1024
"""Bytes of an event up to which a copy of it costs less than a write of its own."""

BODY = 64 * 1024
"""Bytes of a body at which the parser would have reading paused, which is not done."""


class Lost(Exception):
    """The connection could not be made, or ended before the answer was whole."""


class OutOfFiles(Lost):
    """The connection could not be made, since this process may open no more files."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class Unreadable(Exception):
    """What came back is no HTTP answer."""


Then = Callable[[InstanceAnswer | Exception], None]
"""Is told the answer, or why there is none: Lost, Unreadable, or TimeoutError."""


class ClientConnection(BaseProtocol):
    """One connection. It carries one request at a time."""

    __slots__ = (
        *("_clock", "_clock_end", "_connections", "_end", "_has_more", "_message"),
        *("_parser_is_used", "_payload", "_then"),
    )

    def __init__(self, connections: InstanceConnections, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._parser = HttpResponseParser(
            self,
            loop,
            BODY,
            max_line_size=MAX_ANSWER_FIELD,
            max_field_size=MAX_ANSWER_FIELD,
            read_until_eof=True,
            auto_decompress=False,
        )
        self._connections = connections
        self._parser_is_used = False  # it may hold the begin of something, then
        self._then: Then | None = None
        self._end = 0.0
        self._clock: asyncio.TimerHandle | None = None  # it runs on over several requests
        self._clock_end = 0.0
        self._message: RawResponseMessage | None = None
        self._payload: StreamReader | None = None
        self._has_more = False

    def send(self, head: bytes, body: bytes, end: float, then: Then) -> None:
        """Send a request; `then` is called once, with its answer or, if there is none at `end` on
        the loop's clock or cannot be any, with why.
        """
        self._then = then
        if self.transport is None or self.transport.is_closing():
            self.end()
            return
        self._end = end
        if self._clock is None or end < self._clock_end:
            self._set_clock()
        if len(body) <= SMALL:
            self.transport.write(head + body)
        else:
            self.transport.write(head)
            self.transport.write(body)

    def _set_clock(self) -> None:
        self._stop_clock()
        self._clock, self._clock_end = self._loop.call_at(self._end, self._on_clock), self._end

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _on_clock(self) -> None:
        self._clock = None
        if self._then is None:
            return
        if self._end > self._clock_end:  # it was set for an earlier request
            self._set_clock()
        else:
            self._tell(TimeoutError())
            self.end()  # whatever comes on it now is nobody's

    def _tell(self, answer: InstanceAnswer | Exception) -> None:
        """Tell who has asked, once."""
        then, self._then = self._then, None
        if then is not None:
            then(answer)

    def end(self) -> None:
        """Close the connection at once; a request that is under way fails with Lost."""
        self._connections.forget(self)
        self._stop_clock()
        if self.transport is not None:
            self.transport.abort()
        self._tell(Lost())

    def pause_reading(self) -> None:
        """Read on: an answer is read whole, however long it is."""

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Do nothing, since reading is never paused."""

    # --- what arrives

    def data_received(self, data: bytes) -> None:
        """Take what has arrived; bytes that nobody asked for end the connection."""
        if self._then is None:
            self.end()
            return
        if not self._parser_is_used and (answer := read_plain(data)) is not None:
            self._connections.keep(self)
            self._tell(answer)
            return
        self._parse(data)

    def _parse(self, data: bytes) -> None:
        assert self._parser is not None
        self._parser_is_used = True
        try:
            messages, _, _ = self._parser.feed_data(data)
        except Exception as reason:  # the parser's own errors, of several kinds
            self._tell(Unreadable(str(reason)))
            self.end()
            return
        for message, payload in messages:
            if self._message is not None:
                self._has_more = True  # than one answer to one request
            elif message.code >= 200:
                self._message, self._payload = message, payload
        self._finish()

    def _finish(self) -> None:
        message, payload = self._message, self._payload
        if message is None or payload is None or not payload.is_eof():
            return
        self._message = self._payload = None
        answer = InstanceAnswer(
            message.code, message.headers.get(STATUS, ""), payload.read_nowait()
        )
        if message.should_close or self._has_more:
            self._tell(answer)
            self.end()
        else:
            self._connections.keep(self)
            self._tell(answer)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be known, so that the connection can be dropped."""
        super().connection_made(transport)
        self._connections.all.add(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Fail what is under way, but for an answer that only this end completes."""
        super().connection_lost(exc)
        self._connections.forget(self)
        self._stop_clock()
        if exc is None and self._payload is not None:
            assert self._parser is not None
            try:
                self._parser.feed_eof()
                self._finish()
            except Exception:  # it was not the end of the answer
                pass
        self._tell(Lost())


class InstanceConnections:
    """All connections to one instance, as many as calls have been in it at once."""

    def __init__(self, host: str) -> None:
        self._host = host
        self.port = 0
        self._idle: list[ClientConnection] = []
        self.all: set[ClientConnection] = set()

    def take(self) -> ClientConnection | None:
        """Return a warm connection for a request, None if all are in use."""
        return self._idle.pop() if self._idle else None

    async def ask(self, head: bytes, body: bytes, seconds: float) -> InstanceAnswer:
        """Send a request on a warm connection, or on a new one if none is idle; return the
        answer.

        If there is a warm one, the request is written before this waits for anything. Nothing
        is ever sent twice. Raises Lost, Unreadable, and TimeoutError after so many seconds.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        connection = self.take() or await self.open(seconds)
        answer: asyncio.Future[InstanceAnswer] = loop.create_future()
        connection.send(head, body, end, partial(_settle, answer))
        try:
            return await answer
        except asyncio.CancelledError:
            connection.end()  # whatever comes on it now is nobody's
            raise

    async def open(self, seconds: float) -> ClientConnection:
        """Return a new connection. Raises Lost, and TimeoutError after so many seconds."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(seconds):
                _, connection = await loop.create_connection(
                    lambda: ClientConnection(self, loop), self._host, self.port
                )
        except TimeoutError:
            raise
        except OSError as reason:
            if reason.errno in OUT_OF_FILES:
                raise OutOfFiles(reason) from None
            raise Lost from reason
        return connection

    def keep(self, connection: ClientConnection) -> None:
        """Take back a connection whose answer is read."""
        self._idle.append(connection)

    def forget(self, connection: ClientConnection) -> None:
        """Let go of a connection that has ended."""
        self.all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def drop(self) -> None:
        """End them all, with what is under way on them."""
        for connection in list(self.all):
            connection.end()


def _settle(future: asyncio.Future[InstanceAnswer], answer: InstanceAnswer | Exception) -> None:
    if future.done():
        return
    if isinstance(answer, InstanceAnswer):
        future.set_result(answer)
    else:
        future.set_exception(answer)
