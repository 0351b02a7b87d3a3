"""How an application gets its connections, and how they end with it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from service.calls.lifecycle import Lifecycle
from service.http import server as module
from service.http.backend import Limits
from service.http.server import Server
from tests.assembly import Logged
from tests.harness import request
from tests.http.transport import Client, served, until

EVENT = request(b"event")


async def echo(event: bytes, _context: Any) -> bytes:
    """Return the event."""
    return event


def ended_by(server: Server, client: Client) -> Any:
    """Close a client's connection once its transport is closed, as a loop does."""

    async def close() -> None:
        await until(lambda: client.transport.closing)
        client.connection.connection_lost(None)

    return asyncio.ensure_future(close())


async def test_the_application_starts_and_ends_with_the_server() -> None:
    """Its `on_startup` runs in `setup`, its clean-up after the last connection."""
    happened: list[str] = []

    async def started(_app: web.Application) -> None:
        happened.append("started")

    async def cleaned(_app: web.Application) -> None:
        happened.append(f"cleaned up, {len(server.connections.open)} connections")

    app = web.Application()
    app.on_startup.append(started)
    app.on_cleanup.append(cleaned)
    server = Server(app, Lifecycle(drain_timeout=1, hurry=lambda: None), Limits(60, 60, 10))
    assert happened == []
    await server.setup()
    assert happened == ["started"]
    closing = ended_by(server, Client(server))
    await server.cleanup()
    await closing
    assert happened == ["started", "cleaned up, 0 connections"]


async def test_an_application_that_does_not_start_says_why() -> None:
    """What `on_startup` raises is raised."""

    async def fails(_app: web.Application) -> None:
        raise RuntimeError("no table")

    app = web.Application()
    app.on_startup.append(fails)
    server = Server(app, Lifecycle(drain_timeout=1, hurry=lambda: None), Limits(60, 60, 10))
    with pytest.raises(RuntimeError, match="no table"):
        await server.setup()


async def test_a_head_that_has_begun_is_told_of(log: Logged) -> None:
    """The drain waits for it."""
    async with served(log, echo) as server:
        one, other = Client(server), Client(server)
        one.send(EVENT)
        assert not server.is_arriving()
        other.send(EVENT[:20])
        assert server.is_arriving()
        other.send(EVENT[20:])
        assert not server.is_arriving()


async def test_a_server_that_ends_closes_connections_at_rest(log: Logged) -> None:
    """Nothing is due to them."""
    async with served(log, echo) as server:
        client = Client(server)
        client.send(EVENT)
        closing = ended_by(server, client)
        await server.cleanup()
        await closing
        assert not client.transport.aborted
        assert not server.connections.open


async def test_a_call_that_does_not_end_is_cut(
    log: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection waits for its answer no longer than LAST_ANSWERS, and its handler is ended."""
    monkeypatch.setattr(module, "LAST_ANSWERS", 0.0)
    ends: list[str] = []

    async def handler(event: bytes, _context: Any) -> bytes:
        ends.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            ends.append("cancelled")
        return event

    async with served(log, handler) as server:
        client = Client(server)
        client.send(EVENT)
        await until(lambda: ends == ["begun"])
        await server.cleanup()
        assert client.transport.closing
        await until(lambda: ends == ["begun", "cancelled"])
