"""`FairListener`: who takes the next connection, and what a worker does that cannot."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from service.calls.lifecycle import Lifecycle
from service.http.backend import Limits
from service.http.server import Server
from service.workers.fair_listener import AHEAD, FairListener, SharedCounts

Shared = tuple[FairListener, socket.socket, Lifecycle, SharedCounts]


def test_the_counts_names_those_who_are_behind() -> None:
    """A worker is behind when it has much less; what it has ever taken tells whether it goes on."""
    counts = SharedCounts(3)
    counts.note(0, 10, 40)
    counts.note(1, 10 - AHEAD, 7)
    counts.note(2, 11 - AHEAD, 8)
    assert counts.behind(0, 10) == {1: 7}
    assert counts.behind(1, 10 - AHEAD) == {}


@pytest.fixture
async def shared() -> AsyncIterator[Shared]:
    """The listener of the first of two workers, not yet started."""
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    lifecycle = Lifecycle(drain_timeout=1, hurry=lambda: None)
    server = Server(web.Application(), lifecycle, Limits(60, 60, 100))
    await server.setup()
    counts = SharedCounts(2)
    listener = FairListener(server, sock, lifecycle, counts, 0)
    yield listener, sock, lifecycle, counts
    sock.close()
    await server.cleanup()


async def answered(listener: FairListener) -> None:
    """Connect and get an answer, whatever it is."""
    port = int(listener.name.rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /no HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 404")
    writer.close()
    await writer.wait_closed()


async def test_a_worker_that_does_not_take_its_turn_is_not_waited_for(shared: Shared) -> None:
    """The other worker takes nothing, and this one serves however many come."""
    listener, _, lifecycle, counts = shared
    await listener.start()
    port = int(listener.name.rsplit(":", 1)[1])
    kept = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2 * AHEAD)]
    for reader, writer in kept:
        writer.write(b"GET /no HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 404")
    assert counts.behind(1, 0) == {}
    assert counts.behind(0, 2 * AHEAD) == {1: 0}
    await answered(listener)
    for _, writer in kept:
        writer.close()
    lifecycle.ending.set()
    await listener.stop()


def test_the_counts_tell_whether_a_worker_was_busy() -> None:
    """Until its place is forgotten."""
    counts = SharedCounts(2)
    counts.note(1, 3, 4)
    counts.note_busy(1, busy=True)
    assert (counts.is_busy(0), counts.is_busy(1)) == (False, True)
    counts.forget(1)
    assert counts.is_busy(1) is False
    assert counts.behind(0, AHEAD) == {1: 0}


async def test_the_end_of_this_worker_leaves_the_socket_to_the_others(shared: Shared) -> None:
    """A worker that ends by itself closes its own copy."""
    listener, sock, lifecycle, _ = shared
    other = sock.dup()
    await listener.start()
    lifecycle.ending.set()
    await listener.stop()
    assert other.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
    other.close()


async def test_the_end_of_the_instance_closes_the_socket_everywhere(shared: Shared) -> None:
    """A drain that `/pre-stop` began ends the listening of all, and each notices."""
    listener, sock, _, _ = shared
    other = sock.dup()
    await listener.start()
    await listener.stop()
    assert other.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 0
    other.close()


async def test_a_socket_that_another_worker_ended_is_left_alone(shared: Shared) -> None:
    """It is read no more: the loop does not spin on it."""
    listener, sock, lifecycle, _ = shared
    await listener.start()
    sock.shutdown(socket.SHUT_RDWR)
    for _ in range(3):  # turns of the loop, in which it is seen
        await asyncio.sleep(0)
    assert not asyncio.get_running_loop().remove_reader(sock)
    lifecycle.ending.set()
    await listener.stop()


async def test_a_client_that_is_gone_is_forgotten(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of a connection that was just taken ends that one, and no other."""
    listener, _, lifecycle, _ = shared
    loop = asyncio.get_running_loop()
    connect = loop.connect_accepted_socket

    async def fail(*_: Any) -> None:
        monkeypatch.setattr(loop, "connect_accepted_socket", connect)
        raise OSError(errno.ENOTCONN, "gone")

    monkeypatch.setattr(loop, "connect_accepted_socket", fail)
    await listener.start()
    port = int(listener.name.rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await reader.read() == b""
    writer.close()
    await answered(listener)
    lifecycle.ending.set()
    await listener.stop()
