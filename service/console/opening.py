"""A console that is open: on its port, with its token."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ..errors import StartError
from ..origins import OwnHosts
from .access import ConsoleAccess, kept_token
from .places import ConsoleFlags
from .server import ConsoleServer
from .source import ConsoleSource

_TAKEN = (errno.EADDRINUSE, errno.EACCES)


@asynccontextmanager
async def served_console(
    source: ConsoleSource, flags: ConsoleFlags, token_file: Path, version: str
) -> AsyncIterator[tuple[ConsoleServer, str]]:
    """Serve a console meanwhile; the value is it and the address that opens it. The token is kept
    in a file unless it was given. Raises StartError if a port that the user named cannot be had.
    """
    token = flags.token or kept_token(token_file)
    server = ConsoleServer(source, ConsoleAccess(token, OwnHosts(flags.hosts)), version)
    await _start(server, flags)
    try:
        yield server, f"{server.url}/?token={token}"
    finally:
        await server.stop()


async def _start(server: ConsoleServer, flags: ConsoleFlags) -> None:
    try:
        await server.start(flags.host, flags.port)
    except OSError as reason:
        if flags.is_wanted or reason.errno not in _TAKEN:
            raise StartError(
                f"the console cannot listen on {flags.host}:{flags.port}: {reason.strerror};"
                " say --console-port for another"
            ) from None
        await server.start(flags.host, 0)
