"""Whose log lines they are: routes from `logging`, `print` and `stderr` into one pipe, each line
with its request id and the fields of its call.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from weakref import WeakSet

from msgspec.structs import replace

from ..context.call import RUNNING, Context, record_of
from ..locks import free_locks
from ..protocol import MAX_LOG_LINE, SERVICE_LOGGER
from .details import NO_DETAILS, Details
from .gathering import GatheringPipe
from .lines import FORMATS, NOWHERE

FUNCTIONS = "fc"
"""The logger of `context.logger`."""

MAX_OPEN = 500
"""Lines without an end that are kept: one for each thread of a call that writes."""

PRINTED = {label: Details(label.lower()) for label in ("STDOUT", "STDERR")}
"""What a line has beside its text that was written to a standard stream."""

_log = logging.getLogger(SERVICE_LOGGER)


class Logs:
    """The service's log: formats lines, and knows which call they belong to."""

    def __init__(self, pipe: GatheringPipe, log_format: str = "text") -> None:
        self.pipe = pipe
        self.is_json = log_format == "json"
        self.ids_of_span: Callable[[Any], Mapping[str, str]] = _no_ids
        """Returns `traceId` and `spanId` for lines of a call, of what `CallRecord.span` holds.
        Whoever puts something there puts a function here.
        """
        self._format = pipe.form = FORMATS[log_format]
        self._open: dict[tuple[Context | None, str, int], str] = {}
        self._is_copy = False  # in a process that a handler has forked
        _ALL.add(self)

    def marker(self, line: str, *, gather: bool = False) -> None:
        """Write one of the platform's own lines, as it is (docs/platform.md section 4); at once, or
        gathered with others of this turn of the loop.
        """
        if gather:
            self.pipe.gather(b"%b\n" % line.encode())
        else:
            self.pipe.write(b"%b\n" % line.encode())

    def banner(self, lines: Iterable[str]) -> None:
        """Write what the start says: as it is in text, as lines of the service in JSON."""
        for line in lines:
            if self.is_json:
                self.line("INFO", line.strip())
            else:
                self.marker(line)

    def line(
        self, level: str, message: str, request_id: str | None = None, details: Details = NO_DETAILS
    ) -> None:
        """Write `message` for the call that runs here, or for `request_id`."""
        context = RUNNING.get(None)
        if request_id is not None and (context is None or context.request_id != request_id):
            self.pipe.write(self._format(request_id, level, message, details))
        else:
            self.pipe.write(self.formed(context, level, message, details))

    def formed(self, context: Context | None, level: str, message: str, details: Details) -> bytes:
        """Return a message as the line or the lines of a call, or of no call."""
        if context is None:
            return self._format(NOWHERE, level, message, details)
        noted = record_of(context)
        if noted.bound:
            details = replace(details, bound=noted.bound)
        if noted.span is not None:
            details = replace(details, ids=self.ids_of_span(noted.span))
        return self._format(context.request_id, level, message, details)

    def part(self, level: str, text: str) -> None:
        """Take text that may end in the middle of a line; write the lines that are complete."""
        context = RUNNING.get(None)
        key = (context, level, threading.get_ident())
        text = self._open.pop(key, "") + text
        whole, newline, rest = text.rpartition("\n")
        if newline:
            self._printed(context, level, whole)
        if len(rest) > MAX_LOG_LINE:
            self._printed(context, level, rest)
        elif rest:
            self._open[key] = rest
            if len(self._open) > MAX_OPEN:  # of calls that were over when it was written
                oldest, *_ = tuple(self._open)  # another thread may print meanwhile
                if rest := self._open.pop(oldest, ""):
                    self._printed(oldest[0], oldest[1], rest)

    def _printed(self, context: Context | None, level: str, text: str) -> None:
        self.pipe.write(self.formed(context, level, text, PRINTED.get(level, NO_DETAILS)))

    def end(self, request_id: str) -> None:
        """Write what the call left without a line end, so that its End line is its last."""
        if self._open:
            for key in [key for key in tuple(self._open) if _id_of(key[0]) == request_id]:
                if rest := self._open.pop(key, ""):
                    self._printed(key[0], key[1], rest)

    def begin_anew(self) -> None:
        """Leave to the process that this one was forked from what is its to write."""
        self._is_copy = True
        self._open.clear()
        self.pipe.begin_anew()

    def flush_copy(self) -> None:
        """Write what was left without a line end in a process that a handler has forked."""
        if self._is_copy:
            self.close(0.0)

    def close(self, seconds: float = 1.0) -> None:
        """Write all that is left, waiting up to `seconds` for the reader."""
        for request_id in {_id_of(key[0]) for key in tuple(self._open)}:
            self.end(request_id)
        self.pipe.flush(seconds)


def _id_of(context: Context | None) -> str:
    return NOWHERE if context is None else context.request_id


def _no_ids(_span: Any) -> Mapping[str, str]:
    return {}


_ALL: WeakSet[Logs] = WeakSet()


def begin_anew() -> None:
    """Let every log begin anew. Called in a process that was just forked."""
    free_locks()
    for logs in tuple(_ALL):
        logs.begin_anew()


_said: dict[str, float] = {}


def log_rarely(kind: str, message: str, *arguments: object) -> None:
    """Log at most one line of a kind in a second: a flood of bad requests is not a flood of
    lines.
    """
    now = time.monotonic()
    if now - _said.get(kind, -1.0) >= 1.0:
        _said[kind] = now
        _log.warning(message, *arguments)
