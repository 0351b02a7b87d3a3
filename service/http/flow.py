"""Flow control of one connection: why its socket is not read now, and whether its client takes what
is written.
"""

from __future__ import annotations

import asyncio
import contextlib


class Flow:
    """Why the socket is not read, and whether its client is behind.

    aiohttp's BaseProtocol takes this for its parser, and tells it when a body's buffer is full.
    """

    __slots__ = ("_transport", "body_full", "queue_full", "unread")

    def __init__(self) -> None:
        self.body_full = False
        """The handler does not read the body as fast as it comes."""
        self.queue_full = False
        """As many requests wait behind the one that is served as may."""
        self.unread = False
        """More waits to be sent than the transport likes to keep."""
        self._transport: asyncio.Transport | None = None

    def begin(self, transport: asyncio.Transport) -> None:
        """Rule over a transport."""
        self._transport = transport

    def end(self) -> None:
        """Rule over nothing any more."""
        self._transport = None

    def pause_reading(self) -> None:
        """Note that a body's buffer is full; the protocol pauses the transport by itself."""
        self.body_full = True

    def apply(self) -> None:
        """Read the socket, unless there is a reason not to."""
        if self._transport is None or self._transport.is_closing():
            return
        with contextlib.suppress(NotImplementedError, RuntimeError):
            if self.body_full or self.queue_full:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()
