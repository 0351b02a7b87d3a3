"""Requests that are not what they should be: seeded mutations of sound ones, each with secrets of
its own, so that a secret that shows up names its request.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator

SECRET = re.compile(rb"CANARY(\d{6})")
"""What a secret begins with; the number is the request's."""

HEAD = (
    b"%(method)s %(target)s HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    b"x-fc-request-id: 1-6922c5d1-150c1267-%(number)012d\r\n"
    b"x-fc-access-key-id: %(secret)sI\r\n"
    b"x-fc-access-key-secret: %(secret)sS\r\n"
    b"x-fc-security-token: %(secret)sT%(more)s\r\n"
    b"Authorization: Bearer %(secret)sA\r\nCookie: session=%(secret)sC\r\n"
)
BODIES = (
    b"Content-Length: 13\r\n\r\necho mutant 1",
    b"Transfer-Encoding: chunked\r\n\r\nd\r\necho mutant 2\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n4;a=b\r\necho\r\n9\r\n mutant 3\r\n0\r\nx: y\r\n\r\n",
    b"Content-Length: 0\r\n\r\n",
    b"Expect: 100-continue\r\nContent-Length: 13\r\n\r\necho mutant 4",
    b"Connection: close\r\nContent-Encoding: gzip\r\nContent-Length: 13\r\n\r\necho mutant 5",
)
TOKENS = (
    *(b"\r\n", b"\n", b"\r", b"\0", b"\x01", b"\x0b", b" ", b"\t", b":", b";", b",", b"\x7f"),
    *(b"\x80", b"\xff", b"\xc3\xa9", b"%0d%0a", b"Content-Length: 5\r\n", b"0\r\n\r\n"),
    *(b"Content-Length: 9223372036854775808\r\n", b"Content-Length: +5\r\n", b"0x1\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n"),
    *(b"Transfer-Encoding:\x0bchunked\r\n", b"Host: a, b\r\n", b"Upgrade: h2c\r\n", b"-1\r\n"),
    *(b" folded\r\n", b"HTTP/2.0", b"HTTP/0.9", b"x: " + b"y" * 9000 + b"\r\n"),
    b"GET /invoke HTTP/1.1\r\nHost: b\r\n\r\n",
)
METHODS = (b"POST", b"POST", b"POST", b"GET", b"PUT", b"CONNECT", b"TRACE", b"OPTIONS", b"PRI")
TARGETS = (
    *(b"/invoke", b"/invoke", b"/invoke", b"//invoke", b"*", b"http://a/invoke", b"/invoke?a=b"),
    *(b"http://[::1/invoke", b"/%00", b"/" + b"a" * 9000, b"/inv\xf6ke"),
)


def requests(count: int, seed: int = 6) -> Iterator[bytes]:
    """Return so many requests, the same ones for each seed."""
    chance = random.Random(seed)
    for number in range(count):
        yield _request(number, chance)


def _request(number: int, chance: random.Random) -> bytes:
    plain = number % 10 > 1  # of ten, two are about a secret that the parser refuses
    head = HEAD % {
        b"method": chance.choice(METHODS) if plain else b"POST",
        b"target": chance.choice(TARGETS) if plain else b"/invoke",
        b"number": number,
        b"secret": b"CANARY%06d" % number,
        b"more": (b"\x01", b"x" * 40_000)[number % 10] if not plain else b"",
    }
    data = head + chance.choice(BODIES)
    if plain:
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            data = chance.choice(MUTATIONS)(data, chance)
    return data


def _flipped(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]


def _cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data) // 2, len(data))]


def _without(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + data[at + chance.randrange(1, 12) :]


def _with_token(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + chance.choice(TOKENS) + data[at:]


def _with_field(data: bytes, chance: random.Random) -> bytes:
    first, end, rest = data.partition(b"\r\n")
    return first + end + chance.choice(TOKENS) + rest


def _line_twice(data: bytes, chance: random.Random) -> bytes:
    lines = data.split(b"\r\n")
    at = chance.randrange(len(lines))
    return b"\r\n".join([*lines[: at + 1], *lines[at:]])


def _lines_swapped(data: bytes, chance: random.Random) -> bytes:
    lines = data.split(b"\r\n")
    a, b = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[a], lines[b] = lines[b], lines[a]
    return b"\r\n".join(lines)


Mutation = Callable[[bytes, random.Random], bytes]
MUTATIONS: tuple[Mutation, ...] = (
    _flipped,
    _flipped,
    _cut,
    _without,
    _with_token,
    _with_field,
    _line_twice,
    _lines_swapped,
)
