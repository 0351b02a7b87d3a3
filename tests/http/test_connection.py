"""A connection on a transport in this process: what it serves when, and how it ends."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from service.http.arrivals import BODY_BUFFER, MANY
from service.instance.assembly import SERVICE
from tests.assembly import Logged
from tests.harness import request
from tests.http.transport import Client, served, until

EVENT = request(b"event")
HALF = b"POST /invoke HTTP/1.1\r\nHo"
BAD = b"POST /invoke HTTP/1.1\r\nHost: a b\r\nContent-Length: x\r\n\r\n"


async def echo(event: bytes, _context: Any) -> bytes:
    """Return the event."""
    return event


class Gate:
    """A handler that waits until it may go on."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.running = 0

    async def __call__(self, event: bytes, _context: Any) -> bytes:
        """Wait, and return the event."""
        self.running += 1
        await self.go.wait()
        return event


def gated(gate: Gate) -> Any:
    """A handler of a gate."""

    async def handler(event: bytes, context: Any) -> bytes:
        return await gate(event, context)

    return handler


@pytest.mark.skipif(sys.version_info < (3, 12), reason="there are no eager tasks before 3.12")
async def test_an_event_is_answered_in_the_turn_in_which_it_arrives(log: Logged) -> None:
    """No task is woken up, and the loop does not turn, for what needs no wait."""
    async with served(log, echo) as server:
        client = Client(server)
        client.send(EVENT)
        assert client.transport.written.endswith(b"\r\n\r\nevent")


@pytest.mark.parametrize("number", [31, 32, 40, 300])
async def test_many_calls_behind_one_in_two_packets_are_answered(log: Logged, number: int) -> None:
    """However many requests a packet has, all of them are answered, in their order."""
    async with served(log, echo) as server:
        client = Client(server)
        client.send(EVENT[:-2], EVENT[-2:])
        client.send(b"".join(request(b"%d" % each) for each in range(number)))
        await until(lambda: len(client.transport.statuses) == number + 1)
        bodies = [part.split(b"HTTP/")[0] for part in client.transport.written.split(b"\r\n\r\n")]
        assert bodies[1:] == [b"event", *(b"%d" % each for each in range(number))]
        assert client.transport.reading
        assert not client.transport.closing


@pytest.mark.parametrize("number", [1, 31, 32, 40, 100])
async def test_half_a_head_behind_many_calls_has_its_time(log: Logged, number: int) -> None:
    """What begins to arrive behind any number of requests is waited for no longer than another."""
    async with served(log, echo, header_timeout=0.01) as server:
        client = Client(server)
        client.send(EVENT * number + HALF)
        await until(lambda: client.transport.ended)
        assert client.transport.statuses == [200] * number + [408]


async def test_as_many_wait_as_may_and_the_socket_is_not_read(log: Logged) -> None:
    """Behind a call that runs a bounded number of requests is read; the rest is when it is over."""
    gate = Gate()
    async with served(log, gated(gate)) as server:
        client, lifecycle = Client(server), server.app[SERVICE].lifecycle
        client.send(EVENT * (MANY + 10))
        await until(lambda: gate.running)
        assert not client.transport.reading
        assert lifecycle.in_flight == MANY
        gate.go.set()
        await until(lambda: len(client.transport.statuses) == MANY + 10)
        assert client.transport.reading
        assert lifecycle.in_flight == 0


async def test_a_body_that_nobody_reads_pauses_the_socket(log: Logged) -> None:
    """The socket is paused at twice the buffer, and read again when the body is."""
    async with served(log, echo, concurrency=1) as server:
        client = Client(server)
        size = 4 * BODY_BUFFER
        head = request(bytes(size)).split(b"\r\n\r\n")[0] + b"\r\n\r\n"
        admission = server.app[SERVICE].admission
        assert admission.take()
        client.send(head, bytes(size - 1))
        await until(lambda: not client.transport.reading)
        admission.leave()
        await until(lambda: client.transport.reading)
        client.send(bytes(1))
        await until(lambda: client.transport.statuses == [200])


async def test_a_bad_request_is_answered_behind_the_good_ones(log: Logged) -> None:
    """What was sound before it runs; nothing behind it is read."""
    async with served(log, echo) as server:
        client = Client(server)
        client.send(EVENT * 3 + BAD + EVENT)
        await until(lambda: client.transport.ended)
        assert client.transport.statuses == [200, 200, 200, 400]
        client.leave()
        await until(lambda: not server.connections.open)


async def test_a_client_that_leaves_is_forgotten_with_what_it_sent(log: Logged) -> None:
    """The call that runs goes on to its end; those behind it are not in flight any more."""
    gate = Gate()
    async with served(log, gated(gate)) as server:
        client, lifecycle = Client(server), server.app[SERVICE].lifecycle
        client.send(EVENT * 5)
        await until(lambda: gate.running)
        client.leave()
        assert lifecycle.in_flight == 1
        gate.go.set()
        await until(lambda: not lifecycle.in_flight)
        assert gate.running == 1
        assert not server.connections.open


async def test_a_request_that_closes_is_the_last(log: Logged) -> None:
    """Behind `Connection: close` nothing is read."""
    async with served(log, echo) as server:
        client = Client(server)
        client.send(EVENT + request(b"last", Connection="close") + EVENT)
        await until(lambda: client.transport.ended or client.transport.closing)
        assert client.transport.statuses == [200, 200]
        assert b"Connection: close" in client.transport.written


async def test_what_follows_the_last_request_does_not_reset_its_answer(log: Logged) -> None:
    """After the last answer the connection waits for its client's end: closed at once it would be
    reset by what the client sends, and the answer lost with it.
    """
    async with served(log, echo) as server:
        client = Client(server)
        client.send(request(b"last", Connection="close"))
        await until(lambda: client.transport.ended or client.transport.closing)
        client.send(EVENT)
        assert (client.transport.statuses, client.transport.closing) == ([200], False)
        client.leave()


async def test_a_client_that_takes_nothing_is_given_up(log: Logged) -> None:
    """Its connection is cut after `body_timeout` seconds; one that takes something is not."""
    async with served(log, echo, body_timeout=0.01) as server:
        client, slow = Client(server), Client(server)
        for each in (client, slow):
            each.connection.pause_writing()
        slow.connection.resume_writing()
        await until(lambda: client.transport.aborted)
        assert not slow.transport.closing


async def test_beyond_the_limit_a_connection_is_refused(log: Logged) -> None:
    """It is closed, and its end changes nothing for the others."""
    async with served(log, echo, connections=1) as server:
        first, second = Client(server), Client(server)
        assert second.transport.closing
        second.connection.connection_lost(None)
        first.send(EVENT)
        await until(lambda: first.transport.statuses == [200])


async def test_a_drain_serves_what_waits_and_then_closes(log: Logged) -> None:
    """Calls behind another one are answered, and the last answer says that it is."""
    gate = Gate()
    async with served(log, gated(gate)) as server:
        client = Client(server)
        client.send(EVENT * 3)
        await until(lambda: gate.running)
        server.app[SERVICE].lifecycle.draining.set()
        gate.go.set()
        await until(lambda: client.transport.closing)
        assert client.transport.statuses == [200] * 3
        assert client.transport.written.count(b"Connection: close") == 1
