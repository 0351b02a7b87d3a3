"""The wire: any cut of any stream of requests gives the same pieces."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.http.heads import BESIDE, MAX_FIELD, MAX_FIELDS, MAX_LINE
from service.http.wire import PieceKind, Unsound, Wire, WireFault, WireState
from tests.http.test_chunked import chunked

HEAD = b"POST /invoke HTTP/1.1\r\nHost: a\r\n"

Request = tuple[bytes, int | None, bytes]
"""A head, how its body is framed, and the body's content."""


@st.composite
def requests(draw: st.DrawFn) -> tuple[bytes, list[Request]]:
    """A stream of sound requests, and what they are."""
    stream, found = b"", []
    for kind in draw(st.lists(st.sampled_from(["none", "sized", "chunked"]), max_size=5)):
        fields = draw(st.sampled_from([b"", b"a: b\r\n", b"a:\t \r\nb: \xff\r\n"]))
        head = HEAD + fields + b"\r\n"
        length: int | None = 0
        body = content = b""
        if kind == "sized":
            body = content = draw(st.binary(min_size=1, max_size=60))
            length = len(body)
        elif kind == "chunked":
            (body, content), length = draw(chunked()), None
        stream += draw(st.sampled_from([b"", b"\r\n", b"\n\r\n"])) + head + body
        found.append((head, length, content))
    return stream, found


def fed(stream: bytes, cuts: list[int], framings: list[int | None]) -> list[tuple[bytes, bytes]]:
    """The heads and contents that the wire finds, with the stream in these packets."""
    wire, found, whole = Wire(), list[tuple[bytes, bytes]](), list[bool]()
    told = iter(framings)
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    for start, end in pairwise(edges):
        wire.receive(stream[start:end])
        while piece := wire.next():
            kind, data = piece
            if kind is PieceKind.HEAD:
                found.append((data, b""))
                length = next(told)
                whole.append(length == 0)
                wire.frame(length)
            else:
                found[-1] = (found[-1][0], found[-1][1] + data)
                assert not whole[-1]
                whole[-1] = kind is PieceKind.LAST
        assert not wire.waiting
    assert wire.state is WireState.HEAD
    assert all(whole)
    assert not wire.within_head
    return found


@given(requests(), st.lists(st.integers(0, 10_000), max_size=20))
def test_any_cut_gives_the_same_requests(
    sent: tuple[bytes, list[Request]], cuts: list[int]
) -> None:
    """Heads are found whole and bodies with their content, wherever the packets end."""
    stream, expected = sent
    framings = [length for _, length, _ in expected]
    assert fed(stream, cuts, framings) == [(head, content) for head, _, content in expected]


@given(requests())
def test_byte_by_byte_gives_the_same_requests(sent: tuple[bytes, list[Request]]) -> None:
    """The finest cut is one like the others."""
    stream, expected = sent
    framings = [length for _, length, _ in expected]
    found = fed(stream, list(range(len(stream))), framings)
    assert found == [(head, content) for head, _, content in expected]


@given(st.lists(st.binary(max_size=50), max_size=10), st.sampled_from([0, 3, None]))
def test_hostile_bytes_are_pieces_or_unsound(packets: list[bytes], length: int | None) -> None:
    """Whatever arrives, the wire gives pieces or raises once, and keeps nothing after that."""
    wire = Wire()
    if fault := fault_of(wire, packets, length):
        assert wire.state is WireState.CLOSED
        wire.receive(HEAD + b"\r\n")
        assert wire.next() is None
        assert not wire.waiting
        assert str(fault).isascii()


def fault_of(wire: Wire, packets: list[bytes], length: int | None) -> Unsound | None:
    """Give the wire these packets; return what it raises."""
    try:
        for packet in packets:
            wire.receive(packet)
            while piece := wire.next():
                if piece[0] is PieceKind.HEAD:
                    wire.frame(length)
    except Unsound as reason:
        return reason
    return None


@pytest.mark.parametrize(
    "begin",
    [
        *(b"\x16\x03\x01\x00\xa5", b" GET / HTTP/1.1", b"GE\0T", b"GET\t/ HTTP/1.1\r\n", b"(x)"),
        *(HEAD + b"a: b\nc", HEAD + b"a\0", HEAD + b"a: b\rc", b"GET / HTTP/1.1\n", b"P\x7f"),
        *(HEAD[:-1] + b"a", b"{}"),
    ],
)
def test_what_can_become_no_head_is_not_waited_for(begin: bytes) -> None:
    """Its sender may have no more to send: it is unsound as soon as the bytes say so."""
    for cuts in ([], list(range(len(begin)))):
        with pytest.raises(Unsound) as caught:
            fed(begin, cuts, [])
        assert caught.value.fault is WireFault.UNSOUND


@given(requests(), st.data())
def test_the_begin_of_a_stream_is_never_unsound(
    sent: tuple[bytes, list[Request]], data: st.DataObject
) -> None:
    """What may become sound requests is waited for."""
    stream, expected = sent
    wire, told = Wire(), iter(length for _, length, _ in expected)
    for byte in stream[: data.draw(st.integers(0, len(stream)))]:
        wire.receive(bytes([byte]))
        while piece := wire.next():
            if piece[0] is PieceKind.HEAD:
                wire.frame(next(told))


@pytest.mark.parametrize(
    ("begin", "fault"),
    [
        (b"GET /" + b"a" * (MAX_LINE + BESIDE), WireFault.TARGET),
        (b"GET /" + b"a" * (MAX_LINE + BESIDE) + b" HTTP/1.1\r\nHo", WireFault.TARGET),
        (HEAD + b"a: " + b"b" * (MAX_FIELD + BESIDE), WireFault.FIELDS),
        (HEAD + b"a: " + b"b" * (MAX_FIELD + BESIDE) + b"\r\nc", WireFault.FIELDS),
        (HEAD + b"a: b\r\n" * (MAX_FIELDS + 1), WireFault.FIELDS),
    ],
    ids=["target", "line", "field", "field-behind", "fields"],
)
@pytest.mark.parametrize("size", [100, 1 << 20])
def test_what_never_ends_is_not_kept(begin: bytes, fault: WireFault, size: int) -> None:
    """A head that is too long is refused before it is complete, however it is cut."""
    with pytest.raises(Unsound) as caught:
        fed(begin, list(range(0, len(begin), size)), [])
    assert caught.value.fault is fault


@pytest.mark.parametrize(
    ("body", "fault"), [(b"z\r\n", WireFault.UNSOUND), (b"5;" + b"a" * 5000, WireFault.FIELDS)]
)
def test_a_bad_chunk_ends_the_wire(body: bytes, fault: WireFault) -> None:
    """Where the next request would begin is not known: nothing behind is read."""
    wire = Wire()
    wire.receive(HEAD + b"\r\n" + body + HEAD)
    assert wire.next() == (PieceKind.HEAD, HEAD + b"\r\n")
    wire.frame(None)
    with pytest.raises(Unsound) as caught:
        wire.next()
    assert caught.value.fault is fault
    assert (wire.next(), wire.state, wire.waiting) == (None, WireState.CLOSED, 0)


def test_what_is_waiting_is_told() -> None:
    """Bytes that are not cut and the begin of a head can be asked for."""
    wire = Wire()
    wire.receive(b"\r\n\r\n" + HEAD)
    assert wire.next() is None
    assert wire.within_head
    wire.receive(b"\r\n12345")
    assert wire.next() is not None
    assert (wire.within_head, wire.waiting, wire.next()) == (False, 5, None)
    wire.frame(7)
    assert wire.next() == (PieceKind.PART, b"12345")
    wire.receive(b"67GET")
    assert wire.next() == (PieceKind.LAST, b"67")
    assert wire.next() is None
    assert wire.within_head
    wire.close()
    assert (wire.within_head, wire.state) == (False, WireState.CLOSED)
