"""Routes from `logging`, `print` and `stderr` into the log."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from ..protocol import SERVICE_LOGGER
from .log import FUNCTIONS, Logs

_log = logging.getLogger(SERVICE_LOGGER)


class Route(io.TextIOBase):
    """A stand-in for `sys.stdout` or `sys.stderr` that writes attributed lines."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, logs: Logs, level: str, original: Any) -> None:
        super().__init__()
        self._logs = logs
        self._level = level
        self._original = original
        self.buffer = RouteBytes(self)
        self.name = getattr(original, "name", f"<{level.lower()}>")

    def write(self, text: str) -> int:
        """Take text; raises TypeError for anything else, as any text stream does."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        self._logs.part(self._level, text)
        return len(text)

    def writelines(self, lines: Iterable[Any]) -> None:
        """Take several pieces of text."""
        for line in lines:
            self.write(line)

    def writable(self) -> bool:
        """Say yes."""
        return True

    def isatty(self) -> bool:
        """Say no: lines are prefixed, and colours would be escaped."""
        return False

    def fileno(self) -> int:
        """Return the original descriptor, which child processes inherit."""
        return int(self._original.fileno())

    def reconfigure(self, **_options: object) -> None:
        """Accept what code does to standard streams at start; lines are written whole in any
        case.
        """

    def close(self) -> None:
        """Stay open: other calls write here too."""


class RouteBytes(io.RawIOBase):
    """The `buffer` of a Route, for code that writes bytes to a standard stream."""

    def __init__(self, route: Route) -> None:
        super().__init__()
        self._route = route

    def write(self, data: Any) -> int:
        """Take bytes; what is not UTF-8 is escaped."""
        view = bytes(data)
        self._route.write(view.decode("utf-8", "backslashreplace"))
        return len(view)

    def writable(self) -> bool:
        """Say yes."""
        return True

    def close(self) -> None:
        """Stay open: other calls write here too."""


class RouteRecords(logging.Handler):
    """The root logger's handler."""

    def __init__(self, logs: Logs) -> None:
        super().__init__()
        self._logs = logs
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record. A record that cannot be formatted is a line that says so, never an
        error of the call.
        """
        try:
            # Ours say all of it themselves: an exception comes along for others' handlers.
            own = record.name == SERVICE_LOGGER
            message = record.getMessage() if own else self.format(record)
        except Exception as reason:
            message = (
                f"a log record of {record.pathname}:{record.lineno} cannot be formatted: {reason!r}"
            )
        self._logs.line(record.levelname, message)


class Kept(logging.Logger):
    """A logger that a configuration of the user's does not disable: `logging.config` does so with
    all that it does not name.
    """

    @property
    def disabled(self) -> bool:
        """False."""
        return False

    @disabled.setter
    def disabled(self, _value: bool) -> None:
        """Stay as it is."""


class KeptService(Kept):
    """The service's own logger. What it says reaches the log whatever the user makes of `logging`,
    and no filter, factory or handler of the user's fails what the service does.
    """

    def isEnabledFor(self, level: int) -> bool:
        """Ask its own level alone."""
        return level >= self.level

    def makeRecord(self, *arguments: Any, **_more: Any) -> logging.LogRecord:
        """Make a plain record."""
        return logging.LogRecord(*arguments[:8])

    def handle(self, record: logging.LogRecord) -> None:
        """Write the record, and show it to handlers that the user has added."""
        added = [each for each in logging.root.handlers if not isinstance(each, RouteRecords)]
        for handler in (*self.handlers, *added):
            with suppress(Exception):
                if record.levelno >= handler.level:
                    handler.handle(record)


def route_all(logs: Logs, level: str) -> Callable[[], None]:
    """Route `logging`, `sys.stdout` and `sys.stderr` to `logs`, once, at start. Returns what undoes
    it.
    """
    root, functions = logging.getLogger(), logging.getLogger(FUNCTIONS)
    before = (sys.stdout, sys.stderr, root.handlers[:], root.level)
    sys.stdout = Route(logs, "STDOUT", before[0])
    sys.stderr = Route(logs, "STDERR", before[1])
    root.handlers[:] = [RouteRecords(logs)]
    root.setLevel(level)
    functions.__class__, _log.__class__ = Kept, KeptService
    _log.handlers[:] = [RouteRecords(logs)]
    _log.setLevel(level)

    def undo() -> None:
        sys.stdout, sys.stderr, root.handlers[:] = before[:3]
        root.setLevel(before[3])
        functions.__class__ = _log.__class__ = logging.Logger
        _log.handlers.clear()
        _log.setLevel(logging.NOTSET)

    return undo
