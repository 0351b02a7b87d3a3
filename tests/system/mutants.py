"""Requests that are not what they should be: what is done to sound ones."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

PIECES = (
    *(b"\r\n", b"\n", b"\r", b"\0", b"\x01", b"\x0b", b" ", b"\t", b":", b";", b",", b"-", b"0"),
    *(b"\x7f", b"\x80", b"\xff", b"\xc3\xa9", b"%0d%0a", b"\r\n\r\n", b"0\r\n\r\n", b"0x1\r\n"),
    *(b"Content-Length: 0\r\n", b"Content-Length: 5\r\n", b"Content-Length: +5\r\n", b"-1\r\n"),
    *(b"Content-Length: 9223372036854775808\r\n", b"Transfer-Encoding: chunked\r\n"),
    *(b"Transfer-Encoding: gzip, chunked\r\n", b"Transfer-Encoding:\x0bchunked\r\n"),
    *(b"Host: b\r\n", b"Host: a, b\r\n", b"Upgrade: h2c\r\n", b"Connection: close\r\n"),
    *(b"Expect: 100-continue\r\n", b" folded\r\n", b"HTTP/1.1", b"HTTP/2.0", b"HTTP/0.9"),
    *(b"x" * 300, b"x: " + b"y" * 9000 + b"\r\n", b"GET /invoke HTTP/1.1\r\nHost: b\r\n\r\n"),
)
"""What may be put into a request."""

Mutation = Callable[[bytes, random.Random], bytes]


def mutated(data: bytes, chance: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """Return a sound request with one to four things done to it; with `others`, it may go on as
    one of them.
    """
    for _ in range(chance.choice((1, 1, 1, 2, 3, 4))):
        if others and chance.randrange(len(MUTATIONS) + 1) == 0:
            other = chance.choice(others)
            data = data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other)) :]
        else:
            data = chance.choice(MUTATIONS)(data, chance)
    return data


def _span(data: bytes, chance: random.Random) -> tuple[int, int]:
    at = chance.randrange(len(data) + 1)
    return at, min(len(data), at + chance.choice((1, 2, 4, 16, 64)))


def _bit_flipped(data: bytes, chance: random.Random) -> bytes:
    if not data:
        return data
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


def _byte_changed(data: bytes, chance: random.Random) -> bytes:
    at, _ = _span(data, chance)
    return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]


def _cut(data: bytes, chance: random.Random) -> bytes:
    return data[: max(1, chance.randrange(len(data) + 1))]


def _without(data: bytes, chance: random.Random) -> bytes:
    at, to = _span(data, chance)
    return data[:at] + data[to:]


def _repeated(data: bytes, chance: random.Random) -> bytes:
    at, to = _span(data, chance)
    return data[:to] + data[at:]


def _with_piece(data: bytes, chance: random.Random) -> bytes:
    at, _ = _span(data, chance)
    return data[:at] + chance.choice(PIECES) + data[at:]


def _with_piece_for_a_part(data: bytes, chance: random.Random) -> bytes:
    at, to = _span(data, chance)
    return data[:at] + chance.choice(PIECES) + data[to:]


def _with_first_field(data: bytes, chance: random.Random) -> bytes:
    first, end, rest = data.partition(b"\r\n")
    return first + end + chance.choice(PIECES) + rest


def _line_twice(data: bytes, chance: random.Random) -> bytes:
    lines = data.split(b"\r\n")
    at = chance.randrange(len(lines))
    return b"\r\n".join([*lines[: at + 1], *lines[at:]])


def _lines_swapped(data: bytes, chance: random.Random) -> bytes:
    lines = data.split(b"\r\n")
    a, b = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[a], lines[b] = lines[b], lines[a]
    return b"\r\n".join(lines)


MUTATIONS: tuple[Mutation, ...] = (
    _bit_flipped,
    _byte_changed,
    _cut,
    _without,
    _repeated,
    _with_piece,
    _with_piece_for_a_part,
    _with_first_field,
    _line_twice,
    _lines_swapped,
)
