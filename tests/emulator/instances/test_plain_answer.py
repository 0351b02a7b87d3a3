"""Answers that are read without a parser: what aiohttp's would say of them, or nothing."""

from __future__ import annotations

import pytest

from service.emulator.instances.plain_answer import InstanceAnswer, read_plain

HEAD = b"HTTP/1.1 200 OK\r\nx-fc-status: 200\r\nContent-Type: text/plain; charset=utf-8\r\n"
DATE = b"Date: Sat, 28 Nov 2026 22:00:00 GMT\r\n"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (HEAD + DATE + b"Content-Length: 2\r\n\r\nok", InstanceAnswer(200, "200", b"ok")),
        (
            b"HTTP/1.1 404 Not Found\r\nX-FC-STATUS: 404\r\ncontent-length: 3\r\n\r\n\r\n\0",
            InstanceAnswer(404, "404", b"\r\n\0"),
        ),
        (b"HTTP/1.1 503 \r\nContent-Length: 0\r\n\r\n", InstanceAnswer(503, "", b"")),
    ],
    ids=["a result", "an error", "nothing"],
)
def test_a_plain_answer_is_read(answer: bytes, expected: InstanceAnswer) -> None:
    """Its status, its verdict and its body."""
    assert read_plain(answer) == expected


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"Content-Length: 3\r\n\r\nok",
        HEAD + b"Content-Length: 2\r\n\r\nok" + HEAD,
        HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        HEAD + b"Content-Length: 2\r\nContent-length:2\r\n\r\nok",
        HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
        HEAD + b"Content-Length: 2\r\nConnection: close\r\n\r\nok",
        HEAD + b"Content-Length: +2\r\n\r\nok",
        HEAD + b"Content-Length: 2 \r\n\r\nok",
        HEAD + b"Content-Length: 2\r\n\r\n",
        HEAD + b"Content-Length: 2\nx: y\r\n\r\nok",
        HEAD + b" folded\r\nContent-Length: 2\r\n\r\nok",
        HEAD + b"a field: x\r\nContent-Length: 2\r\n\r\nok",
        HEAD + "x: é\r\nContent-Length: 2\r\n\r\nok".encode(),
        HEAD + b"\r\nok",
        HEAD,
        HEAD + b"Server: \r\nContent-Length: 2\r\n\r\nok",
        HEAD.replace(b"HTTP/1.1", b"HTTP/1.0") + b"Content-Length: 2\r\n\r\nok",
        HEAD.replace(b"200 OK", b"204 None") + b"Content-Length: 2\r\n\r\nok",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"",
    ],
)
def test_any_other_answer_is_left_to_the_parser(answer: bytes) -> None:
    """In part, in chunks, in doubt: it may be sound, but is not read here."""
    assert read_plain(answer) is None
