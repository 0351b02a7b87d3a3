"""`turns`: who takes the next connection, and what a worker does that cannot."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from service.calls.lifecycle import Lifecycle
from service.http.receiver import Limits
from service.http.server import Runner
from service.workers.fair_listener import AHEAD, SharedCounts, Turns

Site = tuple[Turns, socket.socket, Lifecycle, SharedCounts]


def test_the_counts_names_those_who_are_behind() -> None:
    """A worker is behind when it has much less; what it has ever taken tells whether it goes on."""
    counts = SharedCounts(3)
    counts.note(0, 10, 40)
    counts.note(1, 10 - AHEAD, 7)
    counts.note(2, 11 - AHEAD, 8)
    assert counts.behind(0, 10) == {1: 7}
    assert counts.behind(1, 10 - AHEAD) == {}


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """A site of the first of two workers, not yet started."""
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    lifecycle = Lifecycle(drain_timeout=1, hurry=lambda: None)
    runner = Runner(web.Application(), lifecycle, Limits(60, 60, 100))
    await runner.setup()
    counts = SharedCounts(2)
    turns = Turns(runner, sock, lifecycle, counts, 0)
    yield turns, sock, lifecycle, counts
    sock.close()
    await runner.cleanup()


async def answered(turns: Turns) -> None:
    """Connect and get an answer, whatever it is."""
    port = int(turns.name.rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /no HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 404")
    writer.close()
    await writer.wait_closed()


async def test_a_worker_that_does_not_take_its_turn_is_not_waited_for(site: Site) -> None:
    """The other worker takes nothing, and this one serves all the same."""
    turns, _, lifecycle, counts = site
    await turns.start()
    turns._server.live += 2 * AHEAD
    assert counts.behind(0, turns._note()) == {1: 0}
    for _ in range(3):
        await answered(turns)
    turns._server.live -= 2 * AHEAD
    lifecycle.ending.set()
    await turns.stop()


async def test_no_descriptor_left_pauses_and_goes_on(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker without free descriptors tries again after a while instead of spinning."""
    turns, _, lifecycle, _ = site
    monkeypatch.setattr("service.http.listener.RETRY", 0.01)
    await turns.start()
    turns._cannot_take(OSError(errno.EMFILE, "too many"))
    assert turns._timer is not None
    await answered(turns)
    lifecycle.ending.set()
    await turns.stop()


async def test_the_end_of_this_worker_leaves_the_socket_to_the_others(site: Site) -> None:
    """A worker that ends by itself closes its own copy."""
    turns, sock, lifecycle, _ = site
    other = sock.dup()
    await turns.start()
    lifecycle.ending.set()
    await turns.stop()
    assert other.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
    other.close()


async def test_the_end_of_the_instance_closes_the_socket_everywhere(site: Site) -> None:
    """A drain that `/pre-stop` began ends the listening of all, and each notices."""
    turns, sock, _, _ = site
    other = sock.dup()
    await turns.start()
    await turns.stop()
    assert other.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 0
    other.close()


async def test_a_socket_that_another_worker_ended_is_left_alone(site: Site) -> None:
    """The loop does not spin on it."""
    turns, sock, lifecycle, _ = site
    await turns.start()
    sock.shutdown(socket.SHUT_RDWR)
    turns._take()
    assert not asyncio.get_running_loop().remove_reader(sock)
    lifecycle.ending.set()
    await turns.stop()


async def test_a_client_that_is_gone_is_forgotten(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of a connection that was just taken is no error of the service."""
    turns, _, lifecycle, _ = site

    async def fail(*_: Any) -> None:
        raise OSError(errno.ENOTCONN, "gone")

    ours, client = socket.socketpair()
    monkeypatch.setattr(asyncio.get_running_loop(), "connect_accepted_socket", fail)
    await turns._serve(ours)
    assert ours.fileno() == -1
    client.close()
    lifecycle.ending.set()
    await turns.stop()
