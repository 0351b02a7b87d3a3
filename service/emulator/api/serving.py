"""The API on its port, over the service's own connections: a caller that leaves cancels its call,
events stay as they were sent, idle connections stay open.
"""

from __future__ import annotations

import asyncio

from ...calls.lifecycle import Lifecycle
from ...http.backend import ClientRules, Limits
from ...http.listener import BACKLOG
from ...http.server import CLIENT_RULES, Server
from .answers import refuse_in_json
from .platform import EmulatedPlatform
from .routes import create_api

NEVER = 10 * 365 * 86400.0
"""Seconds: nobody's time runs out, who sends by hand or sits in a debugger."""


class ApiServer:
    """Serves the API between `start` and `stop`: `open_port` and `close_port` are within."""

    def __init__(self, platform: EmulatedPlatform) -> None:
        app = create_api(platform)
        app[CLIENT_RULES] = ClientRules(refuse=refuse_in_json, leaving_cancels=True)
        self._life = Lifecycle(drain_timeout=NEVER, hurry=lambda: None)
        self._server = Server(app, self._life, Limits(NEVER, NEVER, 1 << 30))
        self._port: asyncio.Server | None = None

    async def start(self) -> None:
        """Be ready to serve."""
        await self._server.setup()

    async def open_port(self, host: str, port: int) -> tuple[str, int]:
        """Take callers from now on; return host and port. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._port = await loop.create_server(self._server, host, port, backlog=BACKLOG)
        name: tuple[str, int] = self._port.sockets[0].getsockname()[:2]
        return name

    def close_port(self) -> None:
        """Take no further caller; connections end with the answers that are due."""
        if self._port is not None:
            self._port.close()
        self._life.draining.set()

    async def stop(self) -> None:
        """End all connections: an answer that is due has a second."""
        await self._server.cleanup()
