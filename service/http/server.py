"""How an application gets its connections: `Runner` runs it behind `Server`, which makes them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache

from aiohttp import web

from ..calls.lifecycle import Lifecycle
from .connection import Backend, Connection
from .receiver import Limits
from .routes import shortcut

WhenOut = Callable[[Callable[[], None]], None]


def at_once(then: Callable[[], None]) -> None:
    """Stand in for a log that may be slow."""
    then()


@cache
def _read_buffer() -> memoryview:
    """Return where each read of a socket puts its bytes; they are copied before the next one."""
    return memoryview(bytearray(256 * 1024))


class BufferedConnection(Connection, asyncio.BufferedProtocol):
    """A connection on asyncio's own event loop.

    That loop takes a block of 256 KiB for each read and cuts it to what came: the heap gets holes,
    and grew by 5 MB in 100,000 calls of `make soak`. uvloop has one buffer for all reads by itself.
    """

    __slots__ = ()

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Return where the next bytes are put."""
        return _read_buffer()

    def buffer_updated(self, nbytes: int) -> None:
        """Take so many bytes from there."""
        self.data_received(_read_buffer()[:nbytes].tobytes())


class Server(web.Server):
    """Makes a Connection for each client."""

    def __init__(self, stock: web.Server, backend: Backend) -> None:
        super().__init__(
            stock.request_handler,
            request_factory=stock.request_factory,
            # An event's side effects are not undone by a client that leaves.
            handler_cancellation=False,
        )
        self.backend = backend
        self.live = 0
        self.left: Callable[[], object] = lambda: None  # called when a connection has ended
        self.empty = asyncio.Event()
        self.empty.set()
        backend.lifecycle.arriving = self.is_arriving

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Note an open connection."""
        super().connection_made(handler, transport)
        self.live += 1
        self.empty.clear()

    def connection_lost(
        self, handler: web.RequestHandler, exc: BaseException | None = None
    ) -> None:
        """Note a closed connection; `empty` is set when the last byte of the last one has left."""
        super().connection_lost(handler, exc)
        self.live -= 1
        if not self.live:
            self.empty.set()
        self.left()

    def is_arriving(self) -> bool:
        """Say whether a connection has a part of a head."""
        return any(each.is_arriving for each in self.connections if isinstance(each, Connection))

    def __call__(self) -> web.RequestHandler:
        """Return the protocol of a new connection.

        aiohttp's own factory drops every limit when one keyword is wrong (F9): here that is an
        error.
        """
        loop = asyncio.get_running_loop()
        kind = BufferedConnection if isinstance(loop, asyncio.BaseEventLoop) else Connection
        return kind(self, self.backend, loop)


class Runner(web.AppRunner):
    """Runs an application behind `Server`. `when_out` is the log's (`Sink.when_out`)."""

    def __init__(
        self,
        app: web.Application,
        lifecycle: Lifecycle,
        limits: Limits,
        when_out: WhenOut = at_once,
    ) -> None:
        super().__init__(app, handle_signals=False, shutdown_timeout=1.0, access_log=None)
        self._lifecycle = lifecycle
        self._limits = limits
        self._when_out = when_out

    async def _make_server(self) -> web.Server:
        stock = await super()._make_server()
        backend = Backend(
            limits=self._limits,
            lifecycle=self._lifecycle,
            handle=shortcut(self.app, stock.request_handler),
            when_out=self._when_out,
            plain=not self.app.on_response_prepare,
        )
        return Server(stock, backend)
