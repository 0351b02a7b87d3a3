"""What HTTP/1.1's framing allows and aiohttp's parser lets through: pure checks on heads and
chunked bodies.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum, auto
from functools import lru_cache

_DIGITS = re.compile(rb"[0-9A-Fa-f]*")
_HUGE = 1 << 64
"""Bytes of a chunk that the parser refuses."""

_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+;=%-]*)(?::[0-9]*)?", re.ASCII)


def objection(version: tuple[int, int], headers: Mapping[str, str]) -> str:
    """Return what makes this head ambiguous, "" for a sound one (reliability.md F20 and
    section C).
    """
    if version not in ((1, 1), (1, 0)):
        return "the HTTP version is neither 1.0 nor 1.1"
    coding = headers.get("Transfer-Encoding")
    if coding is not None:
        if version == (1, 0):
            return "HTTP/1.0 has no Transfer-Encoding"
        if coding.strip().lower() != "chunked":
            return "the only Transfer-Encoding served here is chunked"
    host = headers.get("Host")
    if host is not None and not _is_host(host):
        return "the Host field is not a host with an optional port"
    return ""


@lru_cache(maxsize=16)  # the platform's requests have one
def _is_host(text: str) -> bool:
    return _HOST.fullmatch(text) is not None


class _State(Enum):
    SIZE = auto()
    DATA = auto()
    END = auto()


class ChunkedBody:
    """Follows the bytes of one chunked body to see whether trailer fields follow its last chunk.

    aiohttp's C parser drops trailers into the head of the next request of the connection
    (reliability.md F18). Validity is the parser's work: this only finds the end, in any
    fragmentation.
    """

    __slots__ = ("_in_digits", "_left", "_state")

    def __init__(self) -> None:
        self._state = _State.SIZE
        self._in_digits = True
        self._left = 0

    def feed(self, data: bytes) -> bool:
        """Take the next bytes; return True when a trailer field has begun."""
        at = 0
        while at < len(data):
            if self._state is _State.END:
                return data[at] not in b"\r\n"
            at = self._skip(data, at) if self._state is _State.DATA else self._size(data, at)
        return False

    def _skip(self, data: bytes, at: int) -> int:
        taken = min(self._left, len(data) - at)
        self._left -= taken
        if not self._left:
            self._state = _State.SIZE
        return at + taken

    def _size(self, data: bytes, at: int) -> int:
        end = data.find(b"\n", at)
        stop = len(data) if end < 0 else end
        if self._in_digits:
            self._in_digits = self._add_digits(data, at, stop) == stop
        if end < 0:
            return stop
        self._in_digits = True
        self._state = _State.DATA if self._left else _State.END
        self._left += 2  # the line end that closes a chunk
        return end + 1

    def _add_digits(self, data: bytes, at: int, stop: int) -> int:
        """Add the digits there to the size; return where they end.

        No line is kept, however long; what is no digit is left to the parser, which refuses it.
        """
        digits = _DIGITS.match(data, at, stop)
        assert digits is not None
        if digits[0]:
            size = self._left << 4 * len(digits[0]) | int(digits[0], 16)
            self._left = min(size, _HUGE)
        return digits.end()
