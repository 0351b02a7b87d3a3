"""Hears what the calls of a service are sent and answered, for who records or shows them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Middleware
from msgspec.structs import replace

from ..calls.function import Function, Handlers
from ..calls.stream import EventStream
from ..http.middleware import Next

MAX_HEARD = 32 * 1024 * 1024
"""Bytes of a stream that are kept: of one with more, none."""


class HeardEvent:
    """What was read of a call's event; `size` counts what is not kept, too."""

    __slots__ = ("chunks", "size", "was_read")

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.size = 0
        self.was_read = False

    def hear(self, chunk: bytes) -> None:
        """Take a piece of the event; an empty one says that it begins to be read."""
        self.was_read = True
        self.size += len(chunk)
        if self.size <= MAX_HEARD:
            self.chunks.append(chunk)
        else:
            self.chunks.clear()

    @property
    def event(self) -> bytes:
        """The event, as far as it is kept."""
        return b"".join(self.chunks)


FindHeard = Callable[[], HeardEvent | None]
"""Returns what hears the event of the call that runs, None if nobody does."""


def overheard(handlers: Handlers, find: FindHeard) -> Handlers:
    """Return the handlers with the events of the handler heard."""
    function = handlers.handler
    if function.decode is None:
        return replace(handlers, handler=_with_stream(function, find))
    return replace(handlers, handler=_with_decode(function, function.decode, find))


def _with_decode(function: Function, decode: Callable[[bytes], Any], find: FindHeard) -> Function:
    def decoded(event: bytes) -> Any:
        if (heard := find()) is not None:
            heard.hear(event)
        return decode(event)

    return replace(function, decode=decoded)


def _with_stream(function: Function, find: FindHeard) -> Function:
    call = function.call

    def begun(event: Any, *others: Any) -> Coroutine[Any, Any, Any]:
        if isinstance(event, EventStream) and (heard := find()) is not None:
            heard.hear(b"")
            event.overhear(heard.hear)
        return call(event, *others)  # type: ignore[no-any-return]

    return replace(function, call=begun)


def ring_that_tells(
    end: Callable[[web.Request, web.StreamResponse | None], None],
) -> Middleware:
    """Return the ring around all that answers a request, which tells `end` of each answer, and of
    None if there is none.
    """

    @web.middleware
    async def told(request: web.Request, handler: Next) -> web.StreamResponse:
        response = None
        try:
            response = await handler(request)
            return response
        finally:
            end(request, response)

    return told
