"""Hears the calls of a service for its console: events, results, lines and times."""

from __future__ import annotations

import threading
from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Middleware

from .. import __version__
from ..calls.function import Handlers
from ..console.entry import CallEntry, CallTimes
from ..console.opening import served_console
from ..console.places import ConsoleFlags
from ..console.reports import note_line
from ..context.call import RUNNING, Context, record_of
from ..context.record import CallRecord
from ..instance.assembly import SERVICE
from ..logs.gathering import GatheringPipe
from ..recording.lines import whose
from ..recording.of_service import OverheardPipe
from ..recording.overhearing import HeardEvent, overheard, ring_that_tells
from .service_source import INSTANCE, ServiceSource


class HeardCall(HeardEvent):
    """A call that runs: what is shown of it, and what was read of its event."""

    __slots__ = ("entry",)

    def __init__(self, entry: CallEntry) -> None:
        super().__init__()
        self.entry = entry


class ServiceConsole:
    """The console of the one process of a service: `pipe` makes the pipe of its log, `around` is
    put around its handlers, `ring` around its middlewares, and `join` begins with the application.

    """

    def __init__(self, flags: ConsoleFlags, token_file: Path) -> None:
        self._address = ""
        self._flags = flags
        self._token_file = token_file
        self._source: ServiceSource | None = None
        self._calls: dict[Context, HeardCall] = {}
        self._loop: AbstractEventLoop | None = None
        self._thread = 0

    def pipe(self, descriptor: int) -> GatheringPipe:
        """Return a pipe whose lines are heard, too."""
        return OverheardPipe(descriptor, self._hear_lines)

    def around(self, handlers: Handlers) -> Handlers:
        """Return the handlers with the events of the handler heard."""
        return overheard(handlers, self._found)

    def join(self, app: web.Application) -> None:
        """Show the calls of an application, as long as it runs."""
        app[SERVICE].observers.begun += (self._begin,)
        app.cleanup_ctx.append(self._served)

    def serves(self, url: str) -> str:
        """Take the address of the service, which answers now; return the line that says where the
        console is.
        """
        if self._source is not None:
            self._source.url = url.replace("//0.0.0.0", "//127.0.0.1").replace("[::]", "[::1]")
        return f"  console  {self._address}"

    @property
    def ring(self) -> Middleware:
        """The ring around all that answers a request."""
        return ring_that_tells(self._end)

    async def _served(self, app: web.Application) -> AsyncIterator[None]:
        self._loop, self._thread = get_running_loop(), threading.get_ident()
        self._source = source = ServiceSource(app[SERVICE])
        opened = served_console(source, self._flags, self._token_file, __version__)
        async with opened as (server, self._address):
            source.wake = server.hub.wake
            yield
            await source.stop()

    # --- a call

    def _begin(self, context: Context, _record: CallRecord) -> None:
        if self._source is not None:
            self._calls[context] = HeardCall(self._source.begin(context))

    def _end(self, _request: web.Request, response: web.StreamResponse | None) -> None:
        context = RUNNING.get(None)
        call = None if context is None else self._calls.pop(context, None)
        if call is None or context is None or self._source is None:
            return
        entry = call.entry
        self._source.history.hear(entry, call.event, call.size)
        record, body = record_of(context), getattr(response, "body", None)
        entry.code = 0 if response is None else response.status
        entry.error, entry.cold = record.error_type, record.cold_start
        if response is None:
            entry.error = entry.error or "the caller has left"
        entry.status = "error" if entry.error else "ok"
        if entry.error == "Overloaded":
            entry.status = "refused"
        entry.times = split_times(record)
        self._source.end(entry, body if isinstance(body, bytes) else b"")

    def _hear_lines(self, data: bytes) -> None:
        """Note lines; those of other threads on the loop's own."""
        if self._loop is None or not self._calls:
            return
        if threading.get_ident() == self._thread:
            self._note_lines(data)
        else:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._note_lines, data)

    def _note_lines(self, data: bytes) -> None:
        if self._source is not None and (request_id := whose(data)):
            for line in data.decode("utf-8", "replace").splitlines():
                note_line(self._source.history, request_id, INSTANCE, line)

    def _found(self) -> HeardCall | None:
        """Return the call that runs here."""
        context = RUNNING.get(None)
        return None if context is None else self._calls.get(context)


def split_times(record: CallRecord) -> CallTimes:
    """Return where the time of a call went: to a slot, to the initializer, to the rest."""
    ended = record.ended or record.handled_at or record.arrived
    slot = record.slot_at or ended
    queue = max(slot - record.arrived, 0.0)
    initializer = max((record.open_at or ended) - slot, 0.0) if record.slot_at else 0.0
    handler = max(ended - record.arrived - queue - initializer, 0.0)
    return CallTimes(queue, 0.0, initializer, handler)
