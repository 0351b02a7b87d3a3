"""Whose log lines they are: routes from `logging`, `print` and `stderr` into one pipe, each line
with its request id.
"""

from __future__ import annotations

import logging
import threading
import time
from weakref import WeakSet

from ..context.call import RUNNING
from ..protocol import MAX_LOG_LINE, SERVICE_LOGGER
from .gathering import GatheringPipe
from .lines import FORMATS, NOWHERE

FUNCTIONS = "fc"
"""The logger of `context.logger`."""

MAX_OPEN = 500
"""Lines without an end that are kept: one for each thread of a call that writes."""

_log = logging.getLogger(SERVICE_LOGGER)


class Logs:
    """The service's log: formats lines, and knows which call they belong to."""

    def __init__(self, pipe: GatheringPipe, log_format: str = "text") -> None:
        self.pipe = pipe
        self._format = pipe.form = FORMATS[log_format]
        self._open: dict[tuple[str, str, int], str] = {}
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

    def line(self, level: str, message: str, request_id: str | None = None) -> None:
        """Write `message` for the call that runs here, or for `request_id`."""
        self.pipe.write(self._format(request_id or _running(), level, message))

    def part(self, level: str, text: str) -> None:
        """Take text that may end in the middle of a line; write the lines that are complete."""
        key = (_running(), level, threading.get_ident())
        text = self._open.pop(key, "") + text
        whole, newline, rest = text.rpartition("\n")
        if newline:
            self.line(level, whole, key[0])
        if len(rest) > MAX_LOG_LINE:
            self.line(level, rest, key[0])
        elif rest:
            self._open[key] = rest
            if len(self._open) > MAX_OPEN:  # of calls that were over when it was written
                oldest = next(iter(self._open))
                self.line(oldest[1], self._open.pop(oldest), oldest[0])

    def end(self, request_id: str) -> None:
        """Write what the call left without a line end, so that its End line is its last."""
        if self._open:
            for key in [key for key in tuple(self._open) if key[0] == request_id]:
                if rest := self._open.pop(key, ""):
                    self.line(key[1], rest, request_id)

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
        for request_id in {key[0] for key in tuple(self._open)}:
            self.end(request_id)
        self.pipe.flush(seconds)


def _running() -> str:
    context = RUNNING.get(None)
    return NOWHERE if context is None else context.request_id


_ALL: WeakSet[Logs] = WeakSet()


def begin_anew() -> None:
    """Let every log begin anew. Called in a process that was just forked."""
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
