"""What makes a head ambiguous, and where a chunked body ends."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from service.http.chunked import BadChunk, ChunkedBody, TooLong
from service.http.heads import is_target, objection

EXTENSIONS = st.sampled_from([b"", b";a=b", b' ; q = "x;\\"y"', b"\t;a;b=c"])
TRAILERS = st.lists(st.sampled_from([b"A: b", b"x-fc-request-id: z", b"Content-Length: 9", b"a:"]))


@st.composite
def chunked(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A sound chunked body, and its content."""
    body, content = bytearray(), bytearray()
    for data in draw(st.lists(st.binary(min_size=1, max_size=40), max_size=6)):
        size = draw(st.sampled_from([b"%x", b"%X", b"00%x"])) % len(data)
        body += size + draw(EXTENSIONS) + b"\r\n" + data + b"\r\n"
        content += data
    body += draw(st.sampled_from([b"0", b"000"])) + draw(EXTENSIONS) + b"\r\n"
    body += b"".join(line + b"\r\n" for line in draw(TRAILERS)) + b"\r\n"
    return bytes(body), bytes(content)


def fed(data: bytes, cuts: list[int]) -> tuple[bytes, bytes, bool]:
    """The content, what is behind, and whether the body has ended, in these pieces."""
    body = ChunkedBody()
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    content = behind = b""
    for start, end in pairwise(edges):
        if body.over:
            behind += data[start:end]
            continue
        new, at = body.feed(data[start:end])
        content += new
        behind += data[start + at : end]
    return content, behind, body.over


@given(chunked(), st.binary(max_size=30), st.lists(st.integers(0, 10_000)))
def test_the_content_of_a_body_is_found(
    bodies: tuple[bytes, bytes], behind: bytes, cuts: list[int]
) -> None:
    """In any chunking and any fragmentation, extensions and trailers go, and the end is found."""
    body, content = bodies
    assert fed(body + behind, cuts) == (content, behind, True)


@given(chunked())
def test_the_content_is_found_byte_by_byte(bodies: tuple[bytes, bytes]) -> None:
    """The finest fragmentation finds what the coarsest one finds."""
    body, content = bodies
    assert fed(body + b"GET", list(range(len(body) + 3))) == (content, b"GET", True)


def test_a_body_is_read_from_where_it_begins() -> None:
    """What stands before it in the packet is another's."""
    assert ChunkedBody().feed(b"behind1\r\na\r\n0\r\n\r\nGET", 6) == (b"a", 17)


@given(chunked(), st.data())
def test_the_begin_of_a_body_is_never_refused(
    bodies: tuple[bytes, bytes], data: st.DataObject
) -> None:
    """What may become a sound body is waited for."""
    begin = bodies[0][: data.draw(st.integers(0, len(bodies[0]) - 1))]
    assert fed(begin, [])[2] is False


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "body",
    [
        *(b"nonsense\r\n", b"-6\r\n", b" 5\r\n", b"+5\r\n", b"0x5\r\n", b"\r\n", b"5 \r\n", b"5\n"),
        *(b"5;\r\n", b"5;=a\r\n", b"5;a\nb\r\n", b'5;a="b\r\n', b"5,a\r\n", b"5;a b\r\n"),
        *(b"f" * 17 + b"\r\n", b"8" + b"0" * 15 + b"\r\n", b"1" + b"0" * 2000 + b"\r\n"),
        *(b"1\r\nab\r\n", b"1\r\na\n", b"1\r\na\rb", b"5\rX", b"z", b"5z", b"-"),
        *(b"0\r\na\r\n", b"0\r\n: b\r\n", b"0\r\na : b\r\n", b"0\r\na: \0\r\n", b"0\r\n\rX"),
        *(b"0\r\n a: b\r\n", b"0\r\na: b\n\n"),
    ],
)
def test_what_is_no_chunk_is_refused_wherever_it_is_cut(body: bytes) -> None:
    """A size, a chunk or a trailer that is not the grammar's is refused before more comes."""
    for cuts in ([], list(range(len(body)))):
        with pytest.raises(BadChunk):
            fed(body, cuts)


@pytest.mark.parametrize(
    "body", [b"5;" + b"a" * 5000, b"0\r\na: " + b"b" * 5000, b"0\r\n" + b"a: b\r\n" * 10_000]
)
def test_lines_and_trailers_have_limits(body: bytes) -> None:
    """An endless extension or trailer is refused before it is read whole."""
    with pytest.raises(TooLong):
        fed(body, list(range(0, len(body), 1000)))


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
        ((1, 1), {"Host": "a%zz"}, "Host"),
        ((1, 1), {"Host": "[1:2]"}, "Host"),
        ((1, 1), {"Host": "a%41"}, ""),
        ((1, 1), {"Host": "a", "Transfer-Encoding": "chun\u212aed"}, "Transfer-Encoding"),
    ],
)
def test_an_ambiguous_head_is_objected_to(
    version: tuple[int, int], headers: dict[str, str], why: str
) -> None:
    """Codings and hosts that two readers may read differently are told by name."""
    found = objection(version, CIMultiDict(headers))
    assert (why in found) if why else found == ""


@pytest.mark.parametrize(
    ("method", "target", "sound"),
    [
        ("POST", "/invoke", True),
        ("POST", "/", True),
        ("POST", "//invoke", True),
        ("POST", "/a%20b;c=d/e:f@g?h=i/j?k&l=%C3%A9", True),
        ("POST", "http://a/invoke", True),
        ("POST", "HTTPS://a:9000?b", True),
        ("POST", "http://[::1]:9000/invoke", True),
        ("OPTIONS", "*", True),
        ("CONNECT", "a:80", True),
        ("POST", "*", False),
        ("POST", "", False),
        ("POST", "invoke", False),
        ("POST", "a:80", False),
        ("CONNECT", "/invoke", False),
        ("CONNECT", "a", False),
        ("POST", "/invoke#a", False),
        ("POST", "/invoke?a#b", False),
        ("POST", "/a%2", False),
        ("POST", "/a%zz", False),
        ("POST", "/a|b", False),
        ("POST", "/a\\b", False),
        ("POST", '/a?"', False),
        ("POST", "/é", False),
        ("POST", "/a?\udce9", False),
        ("POST", "http:///invoke", False),
        ("POST", "http://:80/invoke", False),
        ("POST", "http://user@a/invoke", False),
        ("POST", "http://[::1/invoke", False),
        ("POST", "http://a:b/invoke", False),
        ("POST", "ftp://a/invoke", False),
    ],
)
def test_a_target_has_one_of_four_forms(method: str, target: str, sound: bool) -> None:
    """A path, an http URI, an asterisk for OPTIONS, a host with a port for CONNECT."""
    assert is_target(method, target) is sound
