"""A connection in this process: what the service writes is kept, and what a client would do is
called.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from service.calls.admission import Budget
from service.http.backend import Limits
from service.http.connection import Connection
from service.http.server import Server
from service.instance.assembly import SERVICE
from service.settings.table import Settings
from tests.assembly import Logged, assembled

PATIENCE = 30.0
"""Seconds in which what a test waits for happens on the slowest machine."""


class Transport(asyncio.Transport):
    """A transport that keeps what is written, and says who reads and writes."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.reading = True
        self.closing = self.ended = self.aborted = False
        self.waiting = 0

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Keep it."""
        assert not self.closing
        self.written += data

    def writelines(self, parts: Any) -> None:
        """Keep them."""
        for part in parts:
            self.write(part)

    def write_eof(self) -> None:
        """Note it."""
        self.ended = True

    def get_write_buffer_size(self) -> int:
        """Return what a test says."""
        return self.waiting

    def is_closing(self) -> bool:
        """Say whether it was closed."""
        return self.closing

    def close(self) -> None:
        """Note it."""
        self.closing = True

    def abort(self) -> None:
        """Note it."""
        self.closing = self.aborted = True

    def pause_reading(self) -> None:
        """Note it."""
        self.reading = False

    def resume_reading(self) -> None:
        """Note it."""
        self.reading = True

    @property
    def statuses(self) -> list[int]:
        """The status of each answer that was written."""
        return [int(part[:3]) for part in self.written.split(b"HTTP/1.1 ")[1:]]


class Client:
    """One connection, and what a client does with it."""

    def __init__(self, server: Server) -> None:
        self.transport = Transport()
        self.connection: Connection = server()
        self.connection.connection_made(self.transport)

    def send(self, *packets: bytes) -> None:
        """Let bytes arrive."""
        for packet in packets:
            self.connection.data_received(packet)

    def leave(self) -> None:
        """Reset the connection."""
        self.transport.closing = True
        self.connection.connection_lost(ConnectionResetError())


async def until(happened: Callable[[], object]) -> None:
    """Let the loop turn until something has happened."""
    async with asyncio.timeout(PATIENCE):
        while not happened():  # noqa: ASYNC110 - it is no event
            await asyncio.sleep(0)


@asynccontextmanager
async def served(
    log: Logged,
    handler: Callable[..., Any],
    *,
    header_timeout: float = 60,
    body_timeout: float = 60,
    budget: Budget | None = None,
    connections: int = 100,
    **settings: Any,
) -> AsyncIterator[Server]:
    """The service around a handler, with no socket."""
    app = assembled(log[0], handler, Settings(**settings))
    lifecycle = app[SERVICE].lifecycle
    limits = Limits(header_timeout, body_timeout, connections)
    server = Server(app, lifecycle, limits, log[1].log.when_out, budget)
    await server.setup()
    await lifecycle.initialized()
    try:
        yield server
    finally:
        for connection in tuple(server.connections.open):
            assert isinstance(connection, Connection)
            connection.connection_lost(None)
        await server.cleanup()
