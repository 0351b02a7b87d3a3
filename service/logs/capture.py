"""Routes from `logging`, `print` and `stderr` into the log."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

from ..context.call import RUNNING, record_of
from .log import Logs
from .records import PLAIN_FORM, told_by


class Route(io.TextIOBase):
    """A stand-in for `sys.stdout` or `sys.stderr` that writes attributed lines."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, logs: Logs, level: str, original: Any) -> None:
        super().__init__()
        self._logs = logs
        self._level = level
        self._original = original
        self._target = _TARGETS[level.lower()]
        self.buffer = RouteBytes(self)
        self.name = getattr(original, "name", f"<{level.lower()}>")

    def write(self, text: str) -> int:
        """Take text; raises TypeError for anything else, as any text stream does."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        target = self._target.get()
        if target is _OUTPUT:
            self._logs.part(self._level, text)
        elif target is not None:
            target.write(text)
        return len(text)

    def flush(self) -> None:
        """Write what has no line end yet, if this is a process that a handler has forked: it may be
        that one's last word. Elsewhere lines are written whole.
        """
        target = self._target.get()
        if target is _OUTPUT:
            self._logs.flush_copy()
        elif hasattr(target, "flush"):
            target.flush()

    def detach(self) -> Any:
        """Return the stream of bytes. This one goes on nevertheless: other calls write here."""
        return self.buffer

    def soon(self, step: Callable[[], None]) -> None:
        """Have something done once the code that runs now lets the loop go on."""
        self._logs.pipe.call_soon(step)

    def writelines(self, lines: Iterable[Any]) -> None:
        """Take several pieces of text."""
        for line in lines:
            self.write(line)

    def writable(self) -> bool:
        """Return True."""
        return True

    def isatty(self) -> bool:
        """Return False: lines are prefixed, and colours would be escaped."""
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

    def flush(self) -> None:
        """Flush the Route."""
        self._route.flush()

    def seekable(self) -> bool:
        """Return False. It is asked by an `io.TextIOWrapper` that is made around this."""
        self._route.soon(unbuffer_wrappers)
        return False

    def writable(self) -> bool:
        """Return True."""
        return True

    def close(self) -> None:
        """Stay open: other calls write here too."""


class RouteRecords(logging.Handler):
    """The root logger's handler."""

    def __init__(self, logs: Logs) -> None:
        super().__init__()
        self._logs = logs
        self.setFormatter(PLAIN_FORM)

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record. A record that cannot be formatted is a line that says so, never an
        error of the call.
        """
        level, message, details = told_by(record, self.formatter)
        self._logs.line(level, message, details=details)

    def keep(self, record: logging.LogRecord) -> None:
        """Take a record that is below the log's level: keep it with its call, write it or drop it,
        as is wanted of that call.
        """
        context = RUNNING.get(None)
        kept = None if context is None else record_of(context).lines
        if kept is not None and kept.wanted is not False and self.filter(record):
            level, message, details = told_by(record, self.formatter)
            if line := kept.add(self._logs.formed(context, level, message, details)):
                self._logs.pipe.write(line)


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
        """Make a plain record, with the fields that the service has given it."""
        record = logging.LogRecord(*arguments[:8])
        record.__dict__.update(arguments[8] or {} if len(arguments) > 8 else {})
        return record

    def handle(self, record: logging.LogRecord) -> None:
        """Write the record, and show it to handlers that the user has added."""
        added = [each for each in logging.root.handlers if not isinstance(each, RouteRecords)]
        for handler in (*self.handlers, *added):
            with suppress(Exception):
                if record.levelno >= handler.level:
                    handler.handle(record)


_OUTPUT = object()
_TARGETS: dict[str, ContextVar[Any]] = {
    name: ContextVar(f"fc_{name}", default=_OUTPUT) for name in ("stdout", "stderr")
}
"""Where the output of the call that runs here goes instead, if it has redirected it."""


def redirecting(python: Any, name: str) -> Any:
    """Return a `contextlib.redirect_stdout` (or `redirect_stderr`) by which a call redirects its
    own output alone, not that of the calls beside it. Outside of calls it does what `python` does.
    """
    target = _TARGETS[name]

    class Redirect(python):  # type: ignore[misc] # it is Any
        def __init__(self, new_target: Any) -> None:
            super().__init__(new_target)
            self._to = new_target
            self._of_calls: list[Any] = []

        def __enter__(self) -> Any:
            ours = RUNNING.get(None) is not None and isinstance(getattr(sys, name), Route)
            self._of_calls.append(target.get() if ours else None)
            if not ours:
                return super().__enter__()
            target.set(self._to)
            return self._to

        def __exit__(self, *failure: object) -> None:
            before = self._of_calls.pop()
            if before is None:
                super().__exit__(*failure)
            else:
                target.set(before)

    Redirect.__name__ = Redirect.__qualname__ = python.__name__
    return Redirect


def unbuffer_wrappers() -> None:
    """Let what a function has put around our streams keep nothing back: what it kept would come out
    later, in another call.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and isinstance(stream.buffer, RouteBytes):
            stream.reconfigure(write_through=True)
