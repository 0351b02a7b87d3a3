"""What the connections of a server have in common: their limits, what they work for, each other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec
from aiohttp import web

from ..calls.admission import Budget
from ..calls.lifecycle import Lifecycle
from ..errors import ServiceError
from .answers import refuse_request
from .direct import DirectWay


class Limits(msgspec.Struct, frozen=True):
    """Seconds until a request's head must be complete, and seconds a body may stand still; how many
    connections.
    """

    header_timeout: float
    body_timeout: float
    connections: int


class ClientRules(msgspec.Struct, frozen=True):
    """What is answered to bytes that are no request, and whether a client that leaves cancels its
    call: the service's goes on, since events have side effects.
    """

    refuse: Callable[[ServiceError], bytes] = refuse_request
    leaving_cancels: bool = False


class OpenConnection(Protocol):
    """What there is to do with a connection that is open."""

    @property
    def is_arriving(self) -> bool:
        """True while the head of a request has arrived in part, and nothing else is in flight."""
        ...

    def close(self) -> None:
        """Take no further request, and end: now, or after the answer that is due."""

    def cut(self) -> None:
        """End now, with the call that runs."""


class Connections:
    """The connections that are open. `empty` is set when the last byte of the last one has left."""

    def __init__(self) -> None:
        self.open: set[OpenConnection] = set()
        self.empty = asyncio.Event()
        self.empty.set()
        self.ended: Callable[[], object] = lambda: None
        """Called when a connection has ended."""

    def add(self, connection: OpenConnection) -> None:
        """Note an open connection."""
        self.open.add(connection)
        self.empty.clear()

    def remove(self, connection: OpenConnection) -> None:
        """Note that it has ended."""
        self.open.discard(connection)
        if not self.open:
            self.empty.set()
        self.ended()


class Backend(msgspec.Struct, frozen=True, eq=False):
    """What a connection works for.

    `make_request` and `handle` are aiohttp's, of the application. `when_out` calls its argument
    once the log lines written so far are out. `plain` says that no signal of the application wants
    to see an answer before it is written. `budget` counts the bytes of answers that wait for their
    clients. `direct` runs calls of which nobody wants to see the request, None if somebody does.
    """

    loop: asyncio.AbstractEventLoop
    limits: Limits
    lifecycle: Lifecycle
    make_request: Callable[..., web.BaseRequest]
    handle: Callable[[Any], Awaitable[web.StreamResponse]]
    when_out: Callable[[Callable[[], None]], None]
    budget: Budget
    connections: Connections
    plain: bool = True
    direct: DirectWay | None = None
    rules: ClientRules = ClientRules()
