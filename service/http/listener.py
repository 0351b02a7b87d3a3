"""Where connections come from: `Listener` takes them from a listening socket."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket

from ..calls.lifecycle import Lifecycle
from ..logs.log import log_rarely
from ..protocol import SERVICE_LOGGER
from .server import Server

BACKLOG = 1024
"""Connections that may wait to be accepted: aiohttp's 128 lets a burst of 250 wait for a second try
(docs/faults.md F13).
"""

AT_ONCE = 16
"""Connections taken in one turn of the loop: those beyond the limit are refused in the next one, so
until then their descriptors are of the spare ones.
"""

RETRY = 0.05
"""Seconds after which taking connections is tried again if it failed."""

EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

ENDED = (errno.EBADF, errno.EINVAL)
"""The socket is closed, or another worker has ended it for all."""

_log = logging.getLogger(SERVICE_LOGGER)


class Listener:
    """Takes the connections of one listening socket.

    The servers of asyncio and uvloop lose a connection that they have accepted in the moment in
    which they are closed: it is neither served nor ended. Here each that was taken is served.
    """

    def __init__(self, server: Server, sock: socket.socket, lifecycle: Lifecycle) -> None:
        self._server = server
        self._sock = sock
        self._lifecycle = lifecycle
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def name(self) -> str:
        """The URL."""
        host, port = self._sock.getsockname()[:2]
        address = f"[{host}]" if ":" in host else host
        return f"http://{address}" if port == 80 else f"http://{address}:{port}"

    async def start(self) -> None:
        """Take connections from now on."""
        self._resume()

    async def stop(self) -> None:
        """Take what waits, since closing would reset it, then no more, and close the socket."""
        while self._take_one():
            pass
        self._pause()
        self._sock.close()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _resume(self) -> None:
        self._loop.add_reader(self._sock, self._take)

    def _pause(self) -> None:
        self._loop.remove_reader(self._sock)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _pause_for(self, seconds: float) -> None:
        self._pause()
        self._timer = self._loop.call_later(seconds, self._resume)

    def _take(self) -> None:
        """Take some of what waits. The loop calls this again while something does."""
        for _ in range(AT_ONCE):
            if not self._take_one():
                return

    def _take_one(self) -> bool:
        """Take a connection; return True when there was one."""
        try:
            client, _ = self._sock.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False  # another worker has it, or the client went away
        except OSError as reason:
            self._cannot_take(reason)
            return False
        client.setblocking(False)
        task = asyncio.ensure_future(self._serve(client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    def _cannot_take(self, reason: OSError) -> None:
        if reason.errno in EXHAUSTED:
            log_rarely("descriptors", "no file descriptor is left: new connections wait")
            self._pause_for(RETRY)
        elif reason.errno in ENDED:
            self._pause()  # the instance stops
        else:
            # Of one connection: Linux tells here what went wrong on the network before it was
            # taken (accept(2), "Error handling"). The others are taken in a moment.
            log_rarely("accept", "a connection could not be taken: %s", reason.strerror)
            self._pause_for(RETRY)

    async def _serve(self, client: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._server, client)
        except OSError as reason:
            _log.debug("a connection was gone before it was served: %s", reason.strerror)
            client.close()
