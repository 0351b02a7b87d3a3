"""The connections of a store: each event loop has its own, and they are closed in time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any
from weakref import WeakKeyDictionary

from ..calls.lifecycle import lifecycle_here
from ..errors import text_of
from ..protocol import SERVICE_LOGGER
from .detached import all_finished

LEAST_CLOSING = 1.0
"""Seconds that a store has to be closed, even if the time of the stop is up."""

OpenedClient = tuple[Any, AsyncGenerator[Any, None]]

_log = logging.getLogger(SERVICE_LOGGER)


class StoreClients:
    """The clients of a store that has connections, one for each event loop.

    That of the loop which an instance is served on is closed when the instance stops, behind
    `pre_stop`: what is being kept is kept first. That of any other loop, which a plain handler runs
    in its thread for example, is closed with the loop.
    """

    def __init__(
        self, shown: str, connect: Callable[[], Any], close: Callable[[Any], Awaitable[Any]]
    ) -> None:
        """`connect` makes a client, `close` closes one; `shown` is how messages call the store."""
        self._shown = shown
        self._connect = connect
        self._close = close
        self._opened: WeakKeyDictionary[asyncio.AbstractEventLoop, OpenedClient] = (
            WeakKeyDictionary()
        )

    async def here(self) -> Any:
        """Return the client of the event loop that runs."""
        loop = asyncio.get_running_loop()
        opened = self._opened.get(loop)
        if opened is None:
            client_until_closed = self._open(loop)
            opened = self._opened[loop] = await anext(client_until_closed), client_until_closed
            life = lifecycle_here()
            if life is not None and life.loop is loop:
                life.at_stop.append(self._close_at_stop)
        return opened[0]

    async def aclose(self) -> None:
        """Close the client of the event loop that runs."""
        opened = self._opened.get(asyncio.get_running_loop())
        if opened is not None:
            await opened[1].aclose()

    async def _open(self, loop: asyncio.AbstractEventLoop) -> AsyncGenerator[Any, None]:
        """Yield a new client, and close it at the end of its loop: the last thing that a loop does
        is to end the asynchronous generators that have begun on it.
        """
        client = self._connect()
        try:
            yield client
        finally:
            self._opened.pop(loop, None)
            await self._close(client)

    async def _close_at_stop(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(max(seconds, LEAST_CLOSING)):
                await all_finished(LEAST_CLOSING / 2)
                await self.aclose()
        except Exception as reason:  # the stop goes on
            kind = type(reason).__name__
            _log.warning("%s is not closed: %s: %s", self._shown, kind, text_of(reason))
