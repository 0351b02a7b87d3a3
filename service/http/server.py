"""How an application gets its connections: `Server` runs it, and makes one for each client."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from aiohttp import web

from ..calls.admission import Budget
from ..calls.lifecycle import Lifecycle
from .backend import Backend, ClientRules, Connections, Limits
from .connection import Connection
from .routes import direct_way, shortcut

WhenOut = Callable[[Callable[[], None]], None]

WRAP_WHEN_OUT: web.AppKey[Callable[[WhenOut], WhenOut]] = web.AppKey("wrap_when_out")
"""Makes, of an application that has it, what its answers wait for out of the log's."""

CLIENT_RULES = web.AppKey("client_rules", ClientRules)
"""How an application that has it treats its clients, if not as the service does."""

LAST_ANSWERS = 1.0
"""Seconds that answers which are due have at the end, once no call is in flight."""


def at_once(then: Callable[[], None]) -> None:
    """Stand in for a log that may be slow."""
    then()


def _as_it_is(when_out: WhenOut) -> WhenOut:
    return when_out


class _ReadBuffer(threading.local):
    """Where each read of a socket puts its bytes; they are copied before the next one of the
    thread's. In tests several loops run, each in a thread.
    """

    _view: memoryview | None = None

    @property
    def view(self) -> memoryview:
        if self._view is None:
            self._view = memoryview(bytearray(256 * 1024))
        return self._view


_READ_BUFFER = _ReadBuffer()


class BufferedConnection(Connection, asyncio.BufferedProtocol):
    """A connection on asyncio's own event loop.

    That loop takes a block of 256 KiB for each read and cuts it to what came: the heap gets holes,
    and grew by 5 MB in 100,000 calls of `make soak`. uvloop has one buffer for all reads by itself.
    """

    __slots__ = ()

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Return where the next bytes are put."""
        return _READ_BUFFER.view

    def buffer_updated(self, nbytes: int) -> None:
        """Take so many bytes from there."""
        self.data_received(_READ_BUFFER.view[:nbytes].tobytes())


class Server:
    """Runs an application: its start and end are those of aiohttp's AppRunner, its connections are
    ours. `when_out` is the log's (`GatheringPipe.when_out`); `budget` counts answers that wait for
    clients.
    """

    def __init__(
        self,
        app: web.Application,
        lifecycle: Lifecycle,
        limits: Limits,
        when_out: WhenOut = at_once,
        budget: Budget | None = None,
    ) -> None:
        self.app = app
        self.connections = Connections()
        self._runner = web.AppRunner(app, handle_signals=False, access_log=None)
        self._lifecycle = lifecycle
        self._limits = limits
        self._when_out = when_out
        self._budget = Budget(1 << 62) if budget is None else budget
        self._backend: Backend | None = None
        self._kind: type[Connection] = Connection

    async def setup(self) -> None:
        """Start the application, in the loop that is to serve it."""
        await self._runner.setup()
        stock = self._runner.server
        assert stock is not None
        loop = asyncio.get_running_loop()
        if isinstance(loop, asyncio.BaseEventLoop):
            self._kind = BufferedConnection
        self._backend = Backend(
            loop=loop,
            limits=self._limits,
            lifecycle=self._lifecycle,
            make_request=stock.request_factory,
            handle=shortcut(self.app, stock.request_handler),
            when_out=self.app.get(WRAP_WHEN_OUT, _as_it_is)(self._when_out),
            budget=self._budget,
            connections=self.connections,
            plain=not self.app.on_response_prepare,
            direct=direct_way(self.app),
            rules=self.app.get(CLIENT_RULES, ClientRules()),
        )
        self._lifecycle.arriving = self.is_arriving

    def __call__(self) -> Connection:
        """Return the protocol of a new connection."""
        assert self._backend is not None
        return self._kind(self._backend)

    def is_arriving(self) -> bool:
        """Return whether a connection has a part of a head."""
        return any(connection.is_arriving for connection in self.connections.open)

    async def cleanup(self) -> None:
        """End the connections, those with an answer that is due in LAST_ANSWERS seconds, and the
        application.
        """
        await asyncio.sleep(0)  # requests that have arrived are seen
        for connection in tuple(self.connections.open):
            connection.close()
        try:
            async with asyncio.timeout(LAST_ANSWERS):
                await self.connections.empty.wait()
        except TimeoutError:
            for connection in tuple(self.connections.open):
                connection.cut()
        await self._runner.cleanup()
