"""The chunked coding of a body (RFC 9112 section 7.1), read strictly."""

from __future__ import annotations

from enum import Enum, auto

from ..patterns import LatePattern

MAX_CHUNK_LINE = 4096
"""Bytes of a line of the chunked coding: a size with its extensions, a trailer field."""

MAX_TRAILER = 32 * 1024
"""Bytes of all trailer fields of a body."""

_HUGE = 1 << 63
"""Bytes of a chunk that few readers can count: they take it for another size."""

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
_SIZE = LatePattern(
    rb"([0-9A-Fa-f]{1,1000})"
    rb"(?:[ \t]*;[ \t]*"
    + _TOKEN
    + rb"(?:[ \t]*=[ \t]*(?:"
    + _TOKEN
    + rb"|"
    + _QUOTED
    + rb"))?)*\r\n"
)
_WHOLE_SIZE = LatePattern(rb"([0-9A-Fa-f]{1,8})\r\n")
_SIZE_BEGIN = LatePattern(rb"[0-9A-Fa-f]+(?:[ \t;\r]|$)")
_FIELD = LatePattern(_TOKEN + rb":[\t -~\x80-\xff]*\r\n")


class BadChunk(Exception):
    """The bytes are no chunked body; the text says what is wrong, and quotes nothing."""


class TooLong(BadChunk):
    """A line or the trailer is over its limit."""


class _State(Enum):
    SIZE = auto()
    DATA = auto()
    DATA_END = auto()
    TRAILER = auto()


def _take_whole_chunks(data: bytes, at: int, parts: list[bytes]) -> int:
    """Add the content of the plain chunks that stand there whole to `parts`; return their end."""
    while found := _WHOLE_SIZE.compiled.match(data, at):
        begin = found.end()
        end = begin + int(found[1], 16)
        if end == begin or data[end : end + 2] != b"\r\n":
            break
        parts.append(data[begin:end])
        at = end + 2
    return at


class ChunkedBody:
    """Reads the chunked coding of one body: returns its content, without the extensions and without
    the trailer fields, which are fields of no request (docs/faults.md F18).

    It works in any fragmentation, and keeps one line at most.
    """

    __slots__ = ("_left", "_line", "_state", "_trailer", "over")

    def __init__(self) -> None:
        self.over = False
        """True once the body has ended."""
        self._state = _State.SIZE
        self._left = 0  # bytes of the chunk that are to come
        self._line = b""  # the begin of a line that has not arrived whole
        self._trailer = 0  # bytes of trailer fields

    def feed(self, data: bytes, at: int = 0) -> tuple[bytes, int]:
        """Take the bytes from `at` on; return their content, and where in them the body ends: at
        their end unless it is `over`.

        Raises BadChunk for what is not the grammar, TooLong for too long a line or trailer.
        """
        parts: list[bytes] = []
        while at < len(data) and not self.over:
            if self._state is _State.SIZE and not self._line:
                at = _take_whole_chunks(data, at, parts)
                if at == len(data):
                    break
            if self._state is _State.DATA:
                parts.append(data[at : at + self._left])
                at += len(parts[-1])
                self._left -= len(parts[-1])
                if not self._left:
                    self._state = _State.DATA_END
                continue
            at = self._take_line(data, at)
        return b"".join(parts), at

    def _take_line(self, data: bytes, at: int) -> int:
        end = data.find(b"\n", at) + 1 or len(data)
        line = self._line + data[at:end]
        if len(line) > MAX_CHUNK_LINE:
            raise TooLong(f"a line of the chunked body is over {MAX_CHUNK_LINE} bytes")
        self._line = b"" if line.endswith(b"\n") else line
        if self._line:
            self._check_begin(line)
        else:
            self._read(line)
        return end

    def _check_begin(self, begin: bytes) -> None:
        """Raise for what no line begins with: its sender may send no more, and wait for us."""
        if (
            b"\r" in begin[:-1]
            or (self._state is _State.SIZE and not _SIZE_BEGIN.compiled.match(begin))
            or (self._state is _State.DATA_END and begin != b"\r")
        ):
            raise BadChunk("the body is not sound HTTP/1.1")

    def _read(self, line: bytes) -> None:
        """Read a whole line."""
        if self._state is _State.DATA_END:
            if line != b"\r\n":
                raise BadChunk("a chunk is not as long as its size says")
            self._state = _State.SIZE
        elif self._state is _State.SIZE:
            found = _SIZE.compiled.fullmatch(line)
            if found is None or int(found[1], 16) >= _HUGE:
                raise BadChunk("the size of a chunk is not sound HTTP/1.1")
            self._left = int(found[1], 16)
            self._state = _State.DATA if self._left else _State.TRAILER
        else:
            self._trailer += len(line)
            if self._trailer > MAX_TRAILER:
                raise TooLong(f"the trailer fields are over {MAX_TRAILER} bytes")
            self.over = line == b"\r\n"
            if not self.over and not _FIELD.compiled.fullmatch(line):
                raise BadChunk("a trailer field is not sound HTTP/1.1")
