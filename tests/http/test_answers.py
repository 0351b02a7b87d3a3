"""Answers as one block of bytes, and as aiohttp writes them: the same to who reads them."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import parsedate_to_datetime

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from pytest_aiohttp.plugin import AiohttpClient

from service.errors import BadFraming, Overloaded
from service.http.answers import MAX_BLOCK, Answer, failure_answer, last_answer


def parsed(block: bytes) -> tuple[str, dict[str, str], bytes]:
    """The status line, the fields and the body of an answer."""
    head, _, body = block.partition(b"\r\n\r\n")
    line, *fields = head.decode().split("\r\n")
    return line, dict(field.split(": ", 1) for field in fields), body


@given(body=st.binary(max_size=1000), status=st.sampled_from([200, 400, 404, 413, 429]))
def test_a_block_is_a_whole_answer(body: bytes, status: int) -> None:
    """Status line, the service's fields, the length, and the body as it is."""
    answer = Answer(body, status)
    answer.request_id = "r-1"
    block = answer.block()
    assert block is not None
    line, fields, rest = parsed(block)
    assert line.startswith(f"HTTP/1.1 {status} ")
    assert parsedate_to_datetime(fields.pop("Date")).tzinfo is not None
    assert fields == {
        "x-fc-status": "200" if status == 200 else "404",
        "Content-Type": "application/json",
        "Server": "fc-event-service",
        "x-fc-request-id": "r-1",
        "Content-Length": str(len(body)),
    }
    assert rest == body


CHANGES: dict[str, Callable[[Answer], object]] = {
    "a field": lambda answer: answer.headers.update({"x-more": "1"}),
    "a look at the fields": lambda answer: answer.headers,
    "a cookie": lambda answer: answer.set_cookie("a", "b"),
    "its end": lambda answer: answer.force_close(),
    "chunks": lambda answer: answer.enable_chunked_encoding(),
    "compression": lambda answer: answer.enable_compression(),
    "no body": lambda answer: setattr(answer, "body", None),
    "a large body": lambda answer: setattr(answer, "body", b"x" * (MAX_BLOCK + 1)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_somebody_changed_is_no_block(change: Callable[[Answer], object]) -> None:
    """A middleware's change is never lost: aiohttp writes such an answer."""
    answer = Answer(b"body")
    change(answer)
    assert answer.block() is None


async def test_both_ways_say_the_same(aiohttp_client: AiohttpClient) -> None:
    """What aiohttp writes has the fields of the block."""

    async def handler(_request: web.Request) -> Answer:
        answer = Answer(b"body", 404, "text/plain")
        answer.request_id = "r-2"
        return answer

    app = web.Application()
    app.router.add_get("/", handler)
    got = await (await aiohttp_client(app)).get("/")
    same = Answer(b"body", 404, "text/plain")
    same.request_id = "r-2"
    line, fields, body = parsed(same.block() or b"")
    assert line == f"HTTP/1.1 {got.status} {got.reason}"
    assert {**got.headers, "Date": ""} == {**fields, "Date": ""}
    assert await got.read() == body


def test_a_failures_own_fields_are_kept() -> None:
    """Retry-After stands beside the service's fields."""
    answer = failure_answer(Overloaded("full"), "r-3", error_trace=False)
    assert answer.headers["Retry-After"] == "1"
    assert answer.headers["x-fc-status"] == "404"
    assert answer.headers["x-fc-request-id"] == "r-3"
    assert answer.block() is None


def test_the_last_answer_says_that_it_is() -> None:
    """What is no request gets the error JSON, an id of its own, and a closed connection."""
    line, fields, body = parsed(last_answer(BadFraming("not sound")))
    assert line == "HTTP/1.1 400 BadRequest"
    assert fields["Connection"] == "close"
    assert fields["x-fc-request-id"].encode() in body
    assert int(fields["Content-Length"]) == len(body)
