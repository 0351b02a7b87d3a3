"""The connections to one instance: kept open for ever, and never tried twice.

aiohttp's parser reads the answers; its client session is not used, since a call through it costs
more than all that the emulator does besides.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpResponseParser, RawResponseMessage
from aiohttp.streams import StreamReader

from ...protocol import STATUS
from .descriptors import OUT_OF_FILES

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


@dataclass(frozen=True, slots=True)
class InstanceAnswer:
    """What an instance answered; `verdict` is its header x-fc-status, "" if it has none."""

    status: int
    verdict: str
    body: bytes


class ClientConnection(BaseProtocol):
    """One connection. It carries one request at a time."""

    __slots__ = ("_answer", "_connections", "_has_more", "_message", "_payload")

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
        self._answer: asyncio.Future[InstanceAnswer] | None = None
        self._message: RawResponseMessage | None = None
        self._payload: StreamReader | None = None
        self._has_more = False

    def ask(self, head: bytes, body: bytes) -> asyncio.Future[InstanceAnswer]:
        """Send a request; return what becomes its answer, or fails with Lost or Unreadable."""
        self._answer = self._loop.create_future()
        if self.transport is None or self.transport.is_closing():
            self._fail(Lost())
            return self._answer
        if len(body) <= SMALL:
            self.transport.write(head + body)
        else:
            self.transport.write(head)
            self.transport.write(body)
        return self._answer

    def end(self) -> None:
        """Close the connection at once; a request that is under way fails with Lost."""
        self._connections.forget(self)
        if self.transport is not None:
            self.transport.abort()
        self._fail(Lost())

    def pause_reading(self) -> None:
        """Read on: an answer is read whole, however long it is."""

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Do nothing, since reading is never paused."""

    # --- what arrives

    def data_received(self, data: bytes) -> None:
        """Take what has arrived; bytes that nobody asked for end the connection."""
        if self._answer is None:
            self.end()
            return
        assert self._parser is not None
        try:
            messages, _, _ = self._parser.feed_data(data)
        except Exception as reason:  # the parser's own errors, of several kinds
            self._fail(Unreadable(str(reason)))
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
        answer, self._answer = self._answer, None
        self._message = self._payload = None
        if message.should_close or self._has_more:
            self.end()
        else:
            self._connections.keep(self)
        if answer is not None and not answer.done():
            body = payload.read_nowait()
            answer.set_result(InstanceAnswer(message.code, message.headers.get(STATUS, ""), body))

    def _fail(self, reason: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(reason)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be known, so that the connection can be dropped."""
        super().connection_made(transport)
        self._connections.all.add(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Fail what is under way, but for an answer that only this end completes."""
        super().connection_lost(exc)
        self._connections.forget(self)
        if exc is None and self._payload is not None:
            assert self._parser is not None
            try:
                self._parser.feed_eof()
                self._finish()
            except Exception:  # it was not the end of the answer
                pass
        self._fail(Lost())


class InstanceConnections:
    """All connections to one instance, as many as calls have been in it at once."""

    def __init__(self, host: str) -> None:
        self._host = host
        self.port = 0
        self._idle: list[ClientConnection] = []
        self.all: set[ClientConnection] = set()

    async def ask(self, head: bytes, body: bytes, seconds: float) -> InstanceAnswer:
        """Send a request on a warm connection, or on a new one if none is idle; return the
        answer.

        If there is a warm one, the request is written before this waits for anything. Nothing
        is ever sent twice. Raises Lost, Unreadable, and TimeoutError after so many seconds.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        connection = self._idle.pop() if self._idle else await self._open(seconds)
        answer = connection.ask(head, body)
        timer = loop.call_at(end, _expire, answer)
        try:
            return await answer
        except BaseException:
            connection.end()  # whatever comes on it now is nobody's
            raise
        finally:
            timer.cancel()

    async def _open(self, seconds: float) -> ClientConnection:
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


def _expire(answer: asyncio.Future[InstanceAnswer]) -> None:
    if not answer.done():
        answer.set_exception(TimeoutError())
