"""The recording of a service's calls: what each was sent, answered and wrote."""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Middleware

from ..calls.function import Handlers
from ..context.call import RUNNING, Context, record_of
from ..context.record import CallRecord
from ..instance.assembly import SERVICE
from ..logs.gathering import GatheringPipe
from ..protocol import SERVICE_LOGGER
from .form import MAX_LINES, EndedCall
from .lines import recorded_lines, whose
from .overhearing import MAX_HEARD, HeardEvent, overheard, ring_that_tells
from .replaced import variables_of
from .writer import RecordingWriter

_log = logging.getLogger(SERVICE_LOGGER)


class RunningCall(HeardEvent):
    """A call that is recorded, as far as it has come. Lines may be added by any thread."""

    __slots__ = ("context", "lines", "lines_size")

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context
        self.lines: list[bytes] = []
        self.lines_size = 0

    def add_lines(self, data: bytes) -> None:
        """Take lines of the log, as far as there is room for them."""
        if self.lines_size < MAX_LINES:
            self.lines.append(data[: MAX_LINES - self.lines_size])
            self.lines_size += len(data)

    def ended(self, headers: dict[str, str], result: bytes) -> EndedCall:
        """Return the call with its answer."""
        context = self.context
        record = record_of(context)
        took = (record.ended or time.monotonic()) - record.arrived
        return EndedCall(
            context.request_id,
            context.function.name,
            time.time() - (time.monotonic() - record.arrived),
            took,
            headers,
            self.event,
            result,
            record.error_type,
            recorded_lines(b"".join(self.lines).decode("utf-8", "replace")),
        )


class ServiceRecording:
    """Records a share `rate` of the calls of one service, in a process of one or several workers.

    `pipe` makes the pipe of its log, `around` is put around its handlers, `ring` around its
    middlewares, and `join` begins with the application.
    """

    def __init__(
        self, folder: Path, *, rate: float = 1.0, limit: int = 256 * 1024 * 1024, workers: int = 1
    ) -> None:
        """See `RecordingWriter`."""
        self._writer = RecordingWriter(
            folder,
            "service",
            partial(_log.warning, "%s"),
            rate=rate,
            limit=limit,
            writers=workers,
            credentials=variables_of(os.environ),
        )
        self._rate = rate
        self._running: dict[str, RunningCall] = {}

    def pipe(self, descriptor: int) -> GatheringPipe:
        """Return a pipe whose lines are heard, too."""
        return OverheardPipe(descriptor, self._hear_lines)

    def around(self, handlers: Handlers) -> Handlers:
        """Return the handlers with the events of the handler heard."""
        return overheard(handlers, self._found)

    def join(self, app: web.Application) -> None:
        """Record the calls of an application, as long as it runs."""
        app[SERVICE].observers.begun += (self._begin,)
        app.cleanup_ctx.append(self._written)

    @property
    def ring(self) -> Middleware:
        """The ring around all that answers a request."""
        return ring_that_tells(self._end)

    async def _written(self, _app: web.Application) -> AsyncIterator[None]:
        self._writer.start()
        yield
        self._writer.close()

    # --- a call

    def _begin(self, context: Context, _record: CallRecord) -> None:
        wanted = self._rate >= 1 or random.random() < self._rate
        if wanted and not self._writer.is_over:
            self._running.setdefault(context.request_id, RunningCall(context))

    def _end(self, request: web.Request, response: web.StreamResponse | None) -> None:
        call = self._found()
        if call is None:
            return
        del self._running[call.context.request_id]
        body = getattr(response, "body", None)
        if call.was_read and call.size <= MAX_HEARD and isinstance(body, bytes):
            self._writer.put(call.ended(dict(request.headers), body))

    def _found(self) -> RunningCall | None:
        """Return the call that runs here, if it is recorded."""
        context = RUNNING.get(None)
        call = None if context is None else self._running.get(context.request_id)
        return call if call is not None and call.context is context else None

    def _hear_lines(self, data: bytes) -> None:
        if self._running and (call := self._running.get(whose(data))):
            call.add_lines(data)


class OverheardPipe(GatheringPipe):
    """A pipe whose lines are given to `hear`, too. The platform's own lines, which are gathered,
    are not.
    """

    def __init__(self, descriptor: int, hear: Callable[[bytes], None]) -> None:
        super().__init__(descriptor)
        self._hear = hear

    def write(self, lines: bytes) -> None:
        """Write lines, and have them heard."""
        if lines:
            self._hear(lines)
        super().write(lines)
