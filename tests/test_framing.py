"""What makes a head ambiguous, and where a chunked body ends."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from service.framing import ChunkedBody, objection

EXTENSIONS = st.sampled_from([b"", b";a=b", b' ; q="x"'])
TRAILERS = st.sampled_from([b"A: b\r\n\r\n", b"x-fc-request-id: z\r\n", b"0", b"G"])


@st.composite
def chunked(draw: st.DrawFn) -> bytes:
    """A sound chunked body up to the end of its last chunk's line."""
    body = bytearray()
    for data in draw(st.lists(st.binary(min_size=1, max_size=40), max_size=6)):
        size = draw(st.sampled_from([b"%x", b"%X", b"00%x"])) % len(data)
        body += size + draw(EXTENSIONS) + b"\r\n" + data + b"\r\n"
    return bytes(body) + draw(st.sampled_from([b"0", b"000"])) + draw(EXTENSIONS) + b"\r\n"


def fed(body: bytes, cuts: list[int]) -> bool:
    """Whether a trailer is found when the body comes in these pieces."""
    follower = ChunkedBody()
    edges = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    return any(follower.feed(body[a:b]) for a, b in pairwise(edges))


@given(chunked(), st.lists(st.integers(0, 10_000)))
def test_a_body_without_trailers_is_never_suspected(body: bytes, cuts: list[int]) -> None:
    """In any chunking and any fragmentation, no trailer is seen where there is none."""
    assert not fed(body + b"\r\n", cuts)


@given(chunked(), TRAILERS, st.lists(st.integers(0, 10_000)))
def test_a_trailer_is_always_found(body: bytes, trailer: bytes, cuts: list[int]) -> None:
    """In any chunking and any fragmentation, a trailer field is seen."""
    assert fed(body + trailer, cuts)


@given(chunked(), TRAILERS)
def test_a_body_byte_by_byte_gives_the_same_verdict(body: bytes, trailer: bytes) -> None:
    """The finest fragmentation finds what the coarsest one finds."""
    assert fed(body + trailer, list(range(len(body) + 9)))
    assert not fed(body + b"\r\n", list(range(len(body) + 2)))


def test_a_size_that_is_none_ends_the_body() -> None:
    """What the parser refuses is followed no further than needed."""
    assert not ChunkedBody().feed(b"nonsense\r\n\r\n")
    assert not ChunkedBody().feed(b"")


@pytest.mark.timeout(30)
@pytest.mark.parametrize("line", [b"-6\r\n", b"-7\r\n", b" -6\r\n", b"-0000008\r\n"])
def test_a_negative_size_ends_the_body(line: bytes) -> None:
    """A size with a sign does not hold the loop."""
    for data in (line, line + b"X" * 99, line * 99):
        follower = ChunkedBody()
        follower.feed(data)
        follower.feed(b"\r\n")


@pytest.mark.parametrize(
    ("version", "headers", "why"),
    [
        ((1, 1), {"Host": "a"}, ""),
        ((1, 0), {}, ""),
        ((1, 1), {"Host": "127.0.0.1:9000"}, ""),
        ((1, 1), {"Host": "[::1]:9000"}, ""),
        ((1, 1), {"Host": ""}, ""),
        ((1, 1), {"Host": "a", "Transfer-Encoding": "chunked"}, ""),
        ((1, 1), {"host": "a", "transfer-encoding": " Chunked "}, ""),
        ((0, 9), {}, "version"),
        ((2, 0), {"Host": "a"}, "version"),
        ((1, 2), {"Host": "a"}, "version"),
        ((1, 0), {"Transfer-Encoding": "chunked"}, "HTTP/1.0"),
        ((1, 1), {"Transfer-Encoding": "gzip, chunked"}, "Transfer-Encoding"),
        ((1, 1), {"Transfer-Encoding": ""}, "Transfer-Encoding"),
        ((1, 1), {"Host": "a b"}, "Host"),
        ((1, 1), {"Host": "a, b"}, "Host"),
        ((1, 1), {"Host": "a/b"}, "Host"),
        ((1, 1), {"Host": "user@a"}, "Host"),
        ((1, 1), {"Host": "[::1"}, "Host"),
        ((1, 1), {"Host": "a:b"}, "Host"),
        ((1, 1), {"Host": "é"}, "Host"),
    ],
)
def test_an_ambiguous_head_is_objected_to(
    version: tuple[int, int], headers: dict[str, str], why: str
) -> None:
    """Versions, codings and hosts that two readers may read differently are told by name."""
    found = objection(version, CIMultiDict(headers))
    assert (why in found) if why else found == ""
