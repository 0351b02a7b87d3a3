"""Connections to an instance: kept where that is sound, and nothing is sent twice."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from service.emulator.instances.client import (
    ClientConnection,
    InstanceConnections,
    Lost,
    Unreadable,
)
from service.emulator.instances.plain_answer import InstanceAnswer
from tests.emulator.play import WITHIN

REQUEST = b"POST /invoke HTTP/1.1\r\nContent-Length: 2\r\n\r\n"


class Server(asyncio.Protocol):
    """Writes the next of the given answers to each request, in the pieces between "|"; an empty
    one closes the connection.
    """

    def __init__(self, answers: list[bytes], connections: list[asyncio.Transport]) -> None:
        self._answers = answers
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._connections.append(transport)

    def data_received(self, data: bytes) -> None:
        for number, part in enumerate(self._answers.pop(0).split(b"|")):
            act = partial(self.transport.write, part) if part else self.transport.close
            if number:  # apart from what came before
                asyncio.get_running_loop().call_later(0.01 * number, act)
            else:
                act()


Ask = Callable[[], "asyncio.Task[InstanceAnswer]"]


@asynccontextmanager
async def answering(
    *answers: bytes, seconds: float = WITHIN
) -> AsyncIterator[tuple[Ask, InstanceConnections, Sequence[asyncio.Transport]]]:
    """A server; what asks it, over what, and the server's side of each connection."""
    loop = asyncio.get_running_loop()
    made: list[asyncio.Transport] = []
    left = list(answers)
    async with await loop.create_server(lambda: Server(left, made), "127.0.0.1", 0) as server:
        connections = InstanceConnections("127.0.0.1")
        connections.port = server.sockets[0].getsockname()[1]
        yield lambda: loop.create_task(connections.ask(REQUEST, b"{}", seconds)), connections, made
        connections.drop()
        for transport in made:
            transport.abort()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n|o|k",
    ],
    ids=["plain", "after 100", "chunked", "in pieces"],
)
async def test_a_connection_is_kept_and_used_again(answer: bytes) -> None:
    """One connection serves call after call."""
    async with answering(answer, answer, OK) as (ask, _, made):
        for _ in range(3):
            assert (await ask()).body == b"ok"
        assert len(made) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\n\r\nok||",
        b"HTTP/1.1 200 OK\r\n\r\nok||",
        OK + OK,
    ],
    ids=["close", "HTTP/1.0", "until its end", "until its end, HTTP/1.1", "two answers"],
)
async def test_a_connection_whose_answer_ends_it_is_not_used_again(answer: bytes) -> None:
    """The next call has a new one."""
    async with answering(answer, OK) as (ask, _, made):
        assert (await ask()).body == b"ok"
        assert (await ask()).body == b"ok"
        assert len(made) == 2


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", Lost),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok|", Lost),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n|", Lost),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Unreadable),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n", Unreadable),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n|z\r\n", Unreadable),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", Unreadable),
    ],
    ids=[
        "nothing",
        "half a body",
        "half of the chunks",
        "no HTTP",
        "no chunk",
        "no second chunk",
        "two lengths",
    ],
)
async def test_an_answer_that_is_not_whole_is_no_answer(
    answer: bytes, error: type[Exception]
) -> None:
    """It fails at once, and is not asked for again; the next call has a new connection."""
    async with answering(answer, OK) as (ask, _, made):
        with pytest.raises(error):
            await ask()
        assert (await ask()).body == b"ok"
        assert len(made) == 2


async def test_what_comes_without_being_asked_for_ends_the_connection() -> None:
    """So it cannot be taken for the next call's answer."""
    async with answering(OK, OK) as (ask, connections, made):
        await ask()
        made[0].write(OK)
        while connections.all:  # noqa: ASYNC110 # a few turns of the loop
            await asyncio.sleep(0)
        assert (await ask()).body == b"ok"
        assert len(made) == 2


async def test_a_call_over_its_time_leaves_no_connection() -> None:
    """What would come on it later is nobody's."""
    async with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", seconds=0.05) as (
        ask,
        connections,
        _,
    ):
        with pytest.raises(TimeoutError):
            await ask()
        await asyncio.sleep(0)
        assert not connections.all


class Clock:
    """An event loop that has a clock alone: `set` has what was asked for and is not cancelled."""

    def __init__(self) -> None:
        self.set: list[tuple[float, Callable[[], None]]] = []

    def call_at(self, end: float, then: Callable[[], None]) -> Any:
        self.set.append((end, then))
        return SimpleNamespace(cancel=partial(self.set.remove, (end, then)))

    def strike(self) -> float:
        """Come to the next moment that was asked for, and return it."""
        end, then = self.set.pop(0)
        then()
        return end


def test_one_clock_runs_for_all_requests_of_a_connection() -> None:
    """What is left of an earlier request's time cuts no later one; a shorter time is kept to."""
    clock, told = Clock(), list[InstanceAnswer | Exception]()
    connection = ClientConnection(InstanceConnections("127.0.0.1"), clock)  # type: ignore[arg-type]
    connection.transport = Mock(asyncio.Transport, is_closing=lambda: False)
    for end in (10.0, 9.0, 12.0):
        connection.send(b"", b"", end, told.append)
        connection.data_received(OK)
    assert [end for end, _ in clock.set] == [9.0]
    clock.strike()
    assert clock.set == []
    for end in (13.0, 14.0):
        connection.send(b"", b"", end, told.append)
        connection.data_received(OK)
    connection.send(b"", b"", 15.0, told.append)
    assert clock.strike() == 13.0
    assert len(told) == 5
    assert clock.strike() == 15.0
    assert isinstance(told[5], TimeoutError)
    assert clock.set == []


async def test_a_connection_that_cannot_be_made_is_lost() -> None:
    """As one that ends."""
    async with answering() as (_, connections, _):
        pass
    with pytest.raises(Lost):
        await connections.ask(REQUEST, b"", WITHIN)


async def test_a_connection_that_ends_as_it_is_made_is_lost() -> None:
    """Before the request could be sent."""
    connections = InstanceConnections("127.0.0.1")

    def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        connections.port = server.sockets[0].getsockname()[1]
        with pytest.raises(Lost):
            await connections.ask(REQUEST, b"", WITHIN)


async def test_a_connection_that_is_not_accepted_is_over_its_time() -> None:
    """The time of a call counts from its first byte's way on."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        connections = InstanceConnections("127.0.0.1")
        connections.port = deaf.getsockname()[1]
        waiting = [connections.ask(REQUEST, b"", 0.1) for _ in range(4)]
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [TimeoutError] * 4


async def test_dropped_connections_take_their_calls_along() -> None:
    """Those that wait for an answer fail; idle ones are gone."""
    async with answering(b"HTTP/1.1 200 OK\r\n", OK) as (ask, connections, made):
        waiting = ask()
        while not made:  # noqa: ASYNC110 # a few turns of the loop
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        connections.drop()
        with pytest.raises(Lost):
            await waiting
        assert (await ask()).body == b"ok"
        assert len(made) == 2


@pytest.mark.parametrize(("field", "verdict"), [("x-fc-status: 404\r\n", "404"), ("", "")])
async def test_the_verdict_is_the_header_alone(field: str, verdict: str) -> None:
    """The status of the answer is told beside it."""
    answer = f"HTTP/1.1 500 Oh no\r\nContent-Length: 2\r\n{field}\r\nok".encode()
    async with answering(answer) as (ask, _, _):
        assert await ask() == InstanceAnswer(500, verdict, b"ok")
