"""The bytes of one connection, cut into the heads and bodies of its requests. No sockets, no tasks.

How it works. Bytes go in with `receive`, pieces come out of `next`, one at a time, until that says
None: more bytes are needed. A piece is a kind and its bytes. A HEAD is everything from a request
line to the empty line that ends it. What it says is not read here; whoever reads it tells with
`frame` how its body is framed, and only then the next piece can come. A body comes as any number of
PARTs and one LAST, which has what came with its end, often nothing. A request without a body is a
HEAD alone.

    HEAD --(HEAD)--> FRAMING --frame(0)--> HEAD
                             --frame(n)--> SIZED   --(PART ... LAST)--> HEAD
                             --frame(None)--> CHUNKED --(PART ... LAST)--> HEAD
    each of them --(Unsound raised, or close())--> CLOSED

What cannot become a request raises Unsound, once. The wire is CLOSED then, as after `close`: all
that follows is thrown away, since where the next request would begin is not known.

Why not have aiohttp's parser read the whole stream? It swallows the bytes and does not say where a
head or a body ended, it takes a packet whole or not at all, and it hands the trailer fields of a
body to the next request (docs/faults.md F18). So it reads one whole head at a time here, each with
a parser of its own: it vets the head and makes what `web.Request` needs of it, and nothing of one
request can reach the next.

Whatever the packets are, the same bytes give the same pieces, but for where a body's parts are cut.
"""

from __future__ import annotations

from enum import Enum, auto

from . import heads
from .chunked import BadChunk, ChunkedBody, TooLong

END_OF_HEAD = b"\r\n\r\n"
_LINE_ENDS = b"\r\n"


class PieceKind(Enum):
    """What a piece is."""

    HEAD = auto()
    PART = auto()
    LAST = auto()


class WireState(Enum):
    """What the wire waits for."""

    HEAD = auto()
    FRAMING = auto()
    SIZED = auto()
    CHUNKED = auto()
    CLOSED = auto()


class WireFault(Enum):
    """What is wrong with the bytes."""

    UNSOUND = auto()
    """They are not HTTP/1.1."""
    TARGET = auto()
    """The request target is too long."""
    FIELDS = auto()
    """A field is too long, or there are too many."""


class Unsound(Exception):
    """The bytes are no request; `fault` is what is wrong. The text quotes nothing of them."""

    def __init__(self, fault: WireFault, text: str) -> None:
        super().__init__(text)
        self.fault = fault


Piece = tuple[PieceKind, bytes]


class Wire:
    """Cuts what arrives on one connection; keeps a packet and the begin of a head at most."""

    __slots__ = (
        "_at",
        "_chunks",
        "_data",
        "_head",
        "_left",
        "_line",
        "_lines",
        "state",
        "within_head",
    )

    def __init__(self) -> None:
        self.state = WireState.HEAD
        self.within_head = False
        """True while a head has arrived in part."""
        self._data = b""  # what has arrived and is not cut, from `_at` on
        self._at = 0
        self._head = bytearray()  # the begin of a head that has not arrived whole
        self._line = 0  # where in it the line begins that has not
        self._lines = 0  # how many it has before that
        self._left = 0  # bytes of a sized body that are to come
        self._chunks: ChunkedBody | None = None

    @property
    def waiting(self) -> int:
        """The bytes that have arrived and are not cut."""
        return len(self._data) - self._at

    @property
    def at_rest(self) -> bool:
        """True if the next byte that arrives is the first of a head."""
        is_cut = self._at == len(self._data) and not self.within_head
        return is_cut and self.state is WireState.HEAD

    def receive(self, data: bytes) -> None:
        """Take what has arrived."""
        if self._at < len(self._data):
            data = self._data[self._at :] + data
        self._data, self._at = data, 0

    def close(self) -> None:
        """Throw away what has arrived and all that follows."""
        self.state = WireState.CLOSED
        self._data, self._at, self._chunks = b"", 0, None
        self._forget_begin()

    def frame(self, length: int | None) -> None:
        """Say how the body of the last HEAD is framed: as so many bytes, or None, as chunks."""
        assert self.state is WireState.FRAMING
        if length is None:
            self.state, self._chunks = WireState.CHUNKED, ChunkedBody()
        elif length:
            self.state, self._left = WireState.SIZED, length
        else:
            self.state = WireState.HEAD

    def next(self) -> Piece | None:
        """Return the next piece, None when more bytes are needed for one. Raises Unsound."""
        if self._at == len(self._data):
            return None
        if self.state is WireState.HEAD:
            return self._next_head()
        if self.state is WireState.SIZED:
            return self._next_sized()
        if self.state is WireState.CHUNKED:
            return self._next_chunks()
        if self.state is WireState.CLOSED:
            self.close()
        return None

    def _next_head(self) -> Piece | None:
        data, at = self._data, self._at
        if self.within_head:
            return self._rest_of_head()
        if data[at] in _LINE_ENDS:  # empty lines before a request (RFC 9112 section 2.2)
            at = len(data) - len(data[at:].lstrip(_LINE_ENDS))
        end = data.find(END_OF_HEAD, at)
        if end < 0:
            self._head += data[at:]
            self._at = len(data)
            self.within_head = bool(self._head)
            self._check_begin(0)
            return None
        self._at, self.state = end + 4, WireState.FRAMING
        return PieceKind.HEAD, data[at : end + 4]

    def _rest_of_head(self) -> Piece | None:
        """Complete a head that came in several packets."""
        known = len(self._head)
        self._head += self._data[self._at :]
        end = self._head.find(END_OF_HEAD, max(0, known - 3))
        if end < 0:
            self._at = len(self._data)
            self._check_begin(known)
            return None
        self._at += end + 4 - known
        head = bytes(self._head[: end + 4])
        self._forget_begin()
        self.state = WireState.FRAMING
        return PieceKind.HEAD, head

    def _forget_begin(self) -> None:
        self._head, self._line, self._lines, self.within_head = bytearray(), 0, 0, False

    def _check_begin(self, known: int) -> None:
        """Raise for what cannot become a head, or not within the limits: it is not waited for."""
        head = self._head
        while head:
            end = head.find(b"\n", self._line)
            length = (len(head) if end < 0 else end) - self._line
            if self._lines == 0 and length > heads.MAX_LINE + heads.BESIDE:
                self._fail(WireFault.TARGET, f"the request target is over {heads.MAX_LINE} bytes")
            if length > heads.MAX_FIELD + heads.BESIDE or self._lines > heads.MAX_FIELDS:
                self._fail(WireFault.FIELDS, "a header field is too long, or there are too many")
            if end < 0:
                break
            self._line, self._lines = end + 1, self._lines + 1
        if head and not heads.may_become_sound(head, known):
            self._fail(WireFault.UNSOUND, "the request is not sound HTTP/1.1")

    def _next_sized(self) -> Piece:
        data, at = self._data, self._at
        end = at + self._left
        if end > len(data):
            self._left = end - len(data)
            self._at = len(data)
            return PieceKind.PART, data[at:]
        self._at, self._left, self.state = end, 0, WireState.HEAD
        return PieceKind.LAST, data[at:end]

    def _next_chunks(self) -> Piece | None:
        assert self._chunks is not None
        try:
            content, self._at = self._chunks.feed(self._data, self._at)
        except BadChunk as reason:
            fault = WireFault.FIELDS if isinstance(reason, TooLong) else WireFault.UNSOUND
            self._fail(fault, str(reason))
        if self._chunks.over:
            self._chunks, self.state = None, WireState.HEAD
            return PieceKind.LAST, content
        return (PieceKind.PART, content) if content else None

    def _fail(self, fault: WireFault, text: str) -> None:
        self.close()
        raise Unsound(fault, text)
