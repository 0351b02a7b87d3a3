"""The log of the calls of one test, read back."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from ..logs.gathering import GatheringPipe
from ..logs.log import Logs
from ..process.patches import install

_SHOWN = {"time", "level", "logger", "requestId", "message"}


class LoggedLine(NamedTuple):
    """One line: its level, what it says, whose it is, and the fields it carries."""

    level: str
    message: str
    request_id: str
    logger: str
    fields: dict[str, Any]

    def __str__(self) -> str:
        told = "".join(f" {name}={json.dumps(value)}" for name, value in self.fields.items())
        return f"{self.request_id} [{self.level}] {self.message}{told}"


class FilePipe(GatheringPipe):
    """A pipe to a file, which takes all lines at once: the loops of several services may use it,
    and none has to write what is left.
    """

    def begin_anew(self) -> None:
        """Begin with no loop."""
        super().begin_anew()
        self._loops: list[asyncio.AbstractEventLoop] = []

    def attach(self) -> None:
        """Know the running loop."""
        self._loops.append(asyncio.get_running_loop())

    def detach(self) -> None:
        """Let go of it."""
        with suppress(ValueError):  # what did not start was not attached
            self._loops.remove(asyncio.get_running_loop())

    def call_soon(self, step: Callable[[], None]) -> None:
        """Have a loop call something, if one is attached. Called from any thread."""
        for loop in self._loops[-1:]:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(step)

    def begins(self) -> int:
        """Return 0: each line is written at once."""
        return 0

    def ends(self, crowd: int) -> bool:
        """Return False."""
        return False


class CallLogs:
    """The lines that the calls of a test have written, `print` and `logging` alike."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self.logs = Logs(FilePipe(self._file.fileno()), "json")
        self.last_id = ""
        """The request id of the last call that was begun."""
        self._users = 0
        self._undo: Callable[[], None] = lambda: None

    def of(self, request_id: str | None = None) -> list[LoggedLine]:
        """Return the lines of one call, by default of the last one."""
        wanted = self.last_id if request_id is None else request_id
        return [line for line in self.lines() if line.request_id == wanted]

    def lines(self) -> list[LoggedLine]:
        """Return all lines, those of no call too, in the order in which they were written."""
        return [_line(json.loads(text)) for text in self.text.splitlines() if text[:1] == "{"]

    @property
    def text(self) -> str:
        """The log as the service has written it, each line as JSON."""
        self.logs.pipe.flush()
        size = self._file.seek(0, os.SEEK_END)
        return os.pread(self._file.fileno(), size, 0).decode(errors="replace")

    @contextmanager
    def taking(self, level: str, *, is_shown: bool = True) -> Iterator[None]:
        """Within this, what calls print and log is in here. If it is shown, pytest's `caplog` has
        the records, too.

        Entered again before it is left, in any order, it goes on until all have left it.
        """
        self._begin(level, is_shown=is_shown)
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                self.logs.close()
                self._undo()

    def _begin(self, level: str, *, is_shown: bool) -> None:
        self._users += 1
        if self._users > 1:
            return
        before = logging.root.handlers[:]
        try:
            self._undo = install(self.logs, level)
        except BaseException:
            self._users = 0
            raise
        if is_shown:
            logging.root.handlers.extend(before)

    def close(self) -> None:
        """Give the file back."""
        self.logs.pipe.close()
        self._file.close()


def _line(told: dict[str, Any]) -> LoggedLine:
    others = {name: value for name, value in told.items() if name not in _SHOWN}
    level, message, request_id, logger = (
        str(told.get(name, "")) for name in ("level", "message", "requestId", "logger")
    )
    return LoggedLine(level, message, request_id, logger, others)
