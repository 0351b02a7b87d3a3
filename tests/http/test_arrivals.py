"""What arrives on a connection: the requests that wait, their bodies, and what is no request."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import RawRequestMessage

from service.calls.admission import Budget
from service.calls.lifecycle import Lifecycle
from service.errors import BadFraming, RequestTimeout, ServiceError
from service.http.arrivals import MANY, Arrivals
from service.http.backend import Backend, Connections, Limits
from service.http.flow import Flow
from service.http.server import at_once
from service.http.state import ConnectionState
from tests.harness import request

EVENT = request(b"event")
HEAD, BODY = EVENT[:-5], EVENT[-5:]
LAST = request(b"last!", Connection="close")
CHUNKED = b"POST /invoke HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
async def arrivals() -> Arrivals:
    """What arrives for a protocol that serves nothing."""
    loop = asyncio.get_running_loop()
    lifecycle = Lifecycle(drain_timeout=1, hurry=lambda: None)

    def nobody(*_arguments: Any) -> Any:
        raise AssertionError("nothing is served here")

    backend = Backend(
        loop=loop,
        limits=Limits(60, 60, 1),
        lifecycle=lifecycle,
        make_request=nobody,
        handle=nobody,
        when_out=at_once,
        budget=Budget(1 << 20),
        connections=Connections(),
    )
    protocol = BaseProtocol(loop, Flow())  # type: ignore[arg-type] # all it asks of it
    return Arrivals(protocol, backend)


def in_flight(arrivals: Arrivals) -> int:
    """How many requests are counted."""
    return arrivals._lifecycle.in_flight


async def test_requests_wait_with_their_bodies(arrivals: Arrivals) -> None:
    """Each is there from its head on, in their order, and is in flight."""
    arrivals.receive(EVENT + request(b"") + HEAD)
    bodies = [body for _, body in arrivals.waiting]
    assert all(isinstance(message, RawRequestMessage) for message, _ in arrivals.waiting)
    assert [body.is_eof() for body in bodies] == [True, True, False]
    assert await bodies[0].read() == b"event"
    assert arrivals.body is bodies[2]
    assert in_flight(arrivals) == 3
    arrivals.receive(BODY[:2])
    arrivals.receive(BODY[2:])
    assert arrivals.body is None
    assert await bodies[2].read() == b"event"


async def test_many_wait_and_the_rest_is_read_later(arrivals: Arrivals) -> None:
    """What came beyond them is kept as bytes, and becomes requests when there is room."""
    arrivals.receive(EVENT * (MANY + 2))
    assert len(arrivals.waiting) == MANY
    arrivals.waiting.clear()
    arrivals.receive(b"")
    assert len(arrivals.waiting) == 2


@pytest.mark.parametrize("packet", [1, 7, 10_000])
async def test_nothing_is_read_behind_the_last_request(arrivals: Arrivals, packet: int) -> None:
    """Its own body arrives whole, in any packets; what stands behind it never becomes a request."""
    stream = LAST + EVENT
    for at in range(0, len(stream), packet):
        if arrivals.state < ConnectionState.DEAF:
            arrivals.receive(stream[at : at + packet])
    ((_, body),) = arrivals.waiting
    assert await body.read() == b"last!"
    assert arrivals.state in (ConnectionState.LAST, ConnectionState.DEAF)
    assert not arrivals.wire.within_head


async def test_a_body_that_is_no_http_fails_its_reader(arrivals: Arrivals) -> None:
    """Whether it comes with its head or later, the read fails, and it is no request of its own."""
    arrivals.receive(CHUNKED + b"nonsense\r\n")
    ((_, body),) = arrivals.waiting
    assert arrivals.state is ConnectionState.DEAF
    assert in_flight(arrivals) == 1
    with pytest.raises(BadFraming):
        await body.read()


async def test_a_body_that_breaks_later_fails_its_reader(arrivals: Arrivals) -> None:
    """What is wrong is raised for the connection, and given to the body by `fail`."""
    arrivals.receive(CHUNKED + b"5\r\nevent\r\n")
    with pytest.raises(BadFraming) as broken:
        arrivals.receive(b"nonsense\r\n")
    arrivals.fail(broken.value)
    ((_, body),) = arrivals.waiting
    assert arrivals.state is ConnectionState.DEAF
    assert arrivals.body is None
    with pytest.raises(BadFraming):
        await body.read()


async def test_what_is_no_request_waits_as_its_error(arrivals: Arrivals) -> None:
    """It is answered when those before it are, once, and counts as in flight until then."""
    with pytest.raises(ServiceError) as refused:
        arrivals.receive(EVENT + b"nonsense\r\n\r\n" + EVENT)
    arrivals.fail(refused.value)
    arrivals.fail(RequestTimeout("the head was not complete"))
    first, second = arrivals.waiting
    assert isinstance(first[0], RawRequestMessage)
    assert second[0] is refused.value
    assert in_flight(arrivals) == 2


async def test_a_lost_connection_forgets_what_waits(arrivals: Arrivals) -> None:
    """Nothing of it is in flight any more, and the body that was arriving breaks off."""
    arrivals.receive(EVENT * 3 + HEAD)
    (_, body) = arrivals.waiting[-1]
    arrivals.forget()
    assert not arrivals.waiting
    assert in_flight(arrivals) == 0
    with pytest.raises(ConnectionResetError):
        await body.read()


async def test_the_state_goes_to_the_right_only(arrivals: Arrivals) -> None:
    """No event of a connection's life brings it back to one that it has left."""
    for state in ConnectionState:
        arrivals.go(state)
        for behind in ConnectionState:
            arrivals.go(min(behind, state))
            assert arrivals.state is state
