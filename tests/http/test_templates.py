"""A head like the last one is read without a parser, and means what the parser would say."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp.base_protocol import BaseProtocol

from service.errors import ServiceError
from service.http.parser import read_head
from service.http.templates import MAX_MISSES, Templates
from tests.harness import request

ID = "1-6560a8d1-0123abcd-0123456789ab"
OTHER = "1-6560a8d2-abcd0123-ba9876543210"
USUAL: dict[str, Any] = {
    "x_fc_control_path": "/invoke",
    "x_fc_function_timeout": "60",
    "x_fc_security_token": "token" * 20,
    "x_fc_tracing_opentracing_span_context": "5f22f355044a957a:1",
}


def usual(event: bytes = b"{}", request_id: str = ID, **fields: str) -> bytes:
    """A request as the platform sends it."""
    return request(event, request_id=request_id, **{**USUAL, **fields})


def learned(data: bytes) -> Templates:
    """The templates of a connection that has read the head of a request."""
    templates = Templates()
    head = data[: data.index(b"\r\n\r\n") + 4]
    templates.learn(head, read_head(head, _protocol(), asyncio.get_running_loop())[0])
    return templates


def _protocol() -> BaseProtocol:
    return BaseProtocol(asyncio.get_running_loop(), None)


async def test_a_request_like_the_last_one_is_read_without_the_parser() -> None:
    """Its id, its event and its trace are its own, all else is the last one's."""
    template = learned(usual()).last
    assert template is not None
    sent = usual(b'{"n":1}', OTHER, x_fc_tracing_opentracing_span_context="another:1")
    fields, request_id, event = template.fit(sent) or ({}, "", b"")
    assert (request_id, event) == (OTHER, b'{"n":1}')
    assert fields["x-fc-security-token"] == "token" * 20
    assert fields["x-fc-tracing-opentracing-span-context"] == "another:1"
    again, *_ = template.fit(usual(b"", OTHER)) or ({},)
    assert again["x-fc-tracing-opentracing-span-context"] == "5f22f355044a957a:1"


async def test_a_head_that_differs_in_one_byte_means_what_the_parser_says() -> None:
    """Whatever byte of a request is another one: it fits only if the parser reads the same."""
    whole = usual()
    template = learned(whole).last
    assert template is not None
    fitting = 0
    for at in range(len(whole) - 2):
        for byte in b"\x00\t\n\r 0:a\x7f\xc3":
            mutant = whole[:at] + bytes((byte,)) + whole[at + 1 :]
            sent = template.fit(mutant)
            if sent is None or mutant == whole:
                continue
            fitting += 1
            message, length, last = read_head(mutant[:-2], _protocol(), asyncio.get_running_loop())
            read = {name.lower(): value for name, value in message.headers.items()}
            assert (read, length, last) == (sent[0], len(sent[2]), False)
            assert (read["x-fc-request-id"], sent[2]) == (sent[1], b"{}")
    assert fitting > 50, "ids and traces differ"


@pytest.mark.parametrize(
    "sent",
    [
        usual()[:-1],
        usual() + b"P",
        usual() + usual(),
        usual(request_id="two words"),
        usual(request_id="a" * 129),
        usual(x_fc_security_token="token"),
        usual(x_fc_control_path="/initialize"),
        usual(x_fc_retry_count="1"),
        usual(Expect="100-continue"),
    ],
)
async def test_a_request_that_is_unlike_or_not_whole_does_not_fit(sent: bytes) -> None:
    """The parser reads it."""
    template = learned(usual()).last
    assert template is not None
    assert template.fit(usual()) is not None
    assert template.fit(sent) is None


@pytest.mark.parametrize(
    "sent",
    [
        usual(Connection="close"),
        usual(Expect="100-continue"),
        usual(x_fc_control_path="/initialize"),
        usual(Host="["),
        usual().replace(b"HTTP/1.1", b"HTTP/1.0"),
        usual().replace(b"POST /invoke", b"POST /invoke?x=1"),
        usual().replace(b"x-fc-request-id: ", b"x-fc-request-id:"),
        usual().replace(b"\r\n\r\n", b"\r\nX-Fc-Request-Id: " + ID.encode() + b"\r\n\r\n"),
    ],
)
async def test_an_unusual_head_is_no_template(sent: bytes) -> None:
    """What asks for more than an answer, or can be read in two ways, is read each time."""
    assert learned(sent).last is None


async def test_a_template_that_fits_no_more_is_given_up() -> None:
    """When the credentials have changed, the heads that come now are the template."""
    templates = learned(usual())
    renewed = usual(x_fc_security_token="renewed")
    head = renewed[: renewed.index(b"\r\n\r\n") + 4]
    message = read_head(head, _protocol(), asyncio.get_running_loop())[0]
    for _ in range(MAX_MISSES + 1):
        assert templates.last is not None
        assert templates.last.fit(renewed) is None
        templates.learn(head, message)
    assert templates.last is not None
    assert templates.last.fit(renewed) is not None


async def test_a_request_that_is_refused_is_never_a_template() -> None:
    """The parser refuses it before."""
    with pytest.raises(ServiceError):
        learned(usual().replace(b"HTTP/1.1", b"HTTP/3.1"))
