"""Requests that are not what they should be, each with secrets of its own, so that a secret that
shows up names its request.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

from tests.system.mutants import mutated

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
METHODS = (b"POST", b"POST", b"POST", b"GET", b"PUT", b"CONNECT", b"TRACE", b"OPTIONS", b"PRI")
TARGETS = (
    *(b"/invoke", b"/invoke", b"/invoke", b"//invoke", b"*", b"http://a/invoke", b"/invoke?a=b"),
    *(b"http://[::1/invoke", b"/%00", b"/" + b"a" * 9000, b"/inv\xf6ke"),
)


def requests(count: int, seed: int = 6) -> Iterator[bytes]:
    """Return so many requests, the same ones for each seed."""
    chance = random.Random(seed)
    for number in range(count):
        # One of which nothing is left is no request: who sends nothing keeps a connection open.
        yield _request(number, chance) or HEAD[:4]


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
    return mutated(data, chance) if plain else data
