"""What arrives on a connection: bytes in, requests out, each with its body.

A `Wire` cuts the bytes into heads and bodies, aiohttp's parser reads each head (`parser.py`), and
its `StreamReader` is the body that a handler reads. A request waits in `waiting` from the arrival
of its head on, with its body, which is whole by then or goes on to arrive, and is counted as in
flight. What is no request waits there as the error that it is answered with.

No more is read behind a request that says so, nor behind what is no request (`state.py`). This
neither serves nor ends anything: that is for the connection, which takes from `waiting`.
"""

from __future__ import annotations

from collections import deque

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from ..errors import ServiceError
from .backend import Backend
from .body import WholeBody
from .parser import error_of, read_head
from .state import ConnectionState
from .wire import PieceKind, Unsound, Wire

BODY_BUFFER = 64 * 1024
"""Bytes of a body that nobody reads yet at which its socket is paused (twice that, plus one read).
With aiohttp's 256 KiB, 200 bodies that wait for the budget took 170 MB beside it, with this 50 MB.
"""

MANY = 32
"""Requests that wait behind another one at which no more are read."""

WaitingRequests = deque[tuple[RawRequestMessage | ServiceError, StreamReader]]


class Arrivals:
    """The requests that have arrived and wait, and the one that arrives.

    `body` is the one that arrives now, None if none does. `state` is the connection's.
    """

    __slots__ = (
        *("_learn", "_lifecycle", "_loop", "_protocol"),
        *("body", "state", "waiting", "wire"),
    )

    def __init__(self, protocol: BaseProtocol, backend: Backend) -> None:
        self._protocol = protocol  # of the bodies: they pause and resume it
        self._loop = backend.loop
        self._lifecycle = backend.lifecycle
        self._learn = None if backend.direct is None else backend.direct.learn
        self.wire = Wire()
        self.state = ConnectionState.OPEN
        self.waiting: WaitingRequests = deque()
        self.body: StreamReader | None = None

    @property
    def at_rest(self) -> bool:
        """True if nothing has arrived that is not served, and what arrives now is a head."""
        is_open = self.state is ConnectionState.OPEN
        return is_open and not self.waiting and self.body is None and self.wire.at_rest

    def go(self, state: ConnectionState) -> None:
        """Go on to a state, if it is not behind."""
        if state > self.state:
            self.state = state
            if state >= ConnectionState.DEAF:
                self.wire.close()

    def receive(self, data: bytes) -> None:
        """Take bytes, and make requests of them until MANY wait. Raises ServiceError for what is no
        HTTP, in a body or where a head should be: `fail` is to be called with it.
        """
        wire, waiting = self.wire, self.waiting
        wire.receive(data)
        try:
            while len(waiting) < MANY and (piece := wire.next()) is not None:
                kind, data = piece
                if kind is PieceKind.HEAD:
                    self._take_head(data)
                else:
                    self._take_body(kind, data)
        except Unsound as reason:
            raise error_of(reason) from None

    def _take_head(self, data: bytes) -> None:
        """Count a request as in flight from here on, and let it wait until it is served."""
        message, length, last = read_head(data, self._protocol, self._loop)
        if self._learn is not None:
            self._learn(data, message)
        self.wire.frame(length)
        self._lifecycle.enter()
        body = EMPTY_PAYLOAD if length == 0 else self._begin_body()
        self.waiting.append((message, body))
        if last:
            self.go(ConnectionState.LAST)
            self._stop_behind()

    def _begin_body(self) -> StreamReader:
        """Return the body whole if it is here, else a stream of it."""
        try:
            piece = self.wire.next()
        except Unsound as reason:
            self.go(ConnectionState.DEAF)
            body = self._stream()
            body.set_exception(error_of(reason))
            return body
        if piece is not None and piece[0] is PieceKind.LAST:
            return WholeBody(piece[1])
        body = self.body = self._stream()
        if piece is not None:
            body.feed_data(piece[1])
        return body

    def _stream(self) -> StreamReader:
        return StreamReader(self._protocol, BODY_BUFFER, loop=self._loop)

    def _take_body(self, kind: PieceKind, data: bytes) -> None:
        body = self.body
        assert body is not None
        if data:
            body.feed_data(data)
        if kind is PieceKind.LAST:
            self.body = None
            body.feed_eof()
            if self.state is ConnectionState.LAST:
                self._stop_behind()

    def _stop_behind(self) -> None:
        """Read nothing behind the last request."""
        if self.body is None:
            if self.wire.waiting:
                self.go(ConnectionState.DEAF)
            self.wire.close()

    def fail(self, error: ServiceError) -> None:
        """Read nothing any more: what arrives is no HTTP, or comes too late.

        A body that arrives now fails its reader with `error`; where a head should be, `error` waits
        to be answered.
        """
        if self.state >= ConnectionState.DEAF and self.body is None:
            return
        self.go(ConnectionState.DEAF)
        body, self.body = self.body, None
        if body is not None:
            body.set_exception(error)
        else:
            self.waiting.append((error, EMPTY_PAYLOAD))
            self._lifecycle.enter()

    def forget(self) -> None:
        """Count what waits as in flight no more: its client is gone."""
        body, self.body = self.body, None
        if body is not None:
            break_off(body)
        for _ in range(len(self.waiting)):
            self._lifecycle.leave()
        self.waiting.clear()


def break_off(body: StreamReader) -> None:
    """Let the reading of a body that is not whole fail: the connection was lost."""
    if not body.is_eof() and body.exception() is None:
        body.set_exception(ConnectionResetError("the connection was lost"))
