"""What the unit tests are made of: a log that can be read back, and an application around a
function written in the test.
"""

from __future__ import annotations

import fcntl
import inspect
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from aiohttp import web
from msgspec.structs import replace

from service.app import assemble_app
from service.calls import function as handler
from service.calls.callables import HandlerKind
from service.calls.decode import decoder
from service.calls.stream import EventStream
from service.context.call import Platform
from service.logs.gathering import GatheringPipe
from service.logs.log import Logs
from service.process.patches import route
from service.settings.table import Settings

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ")
"""The time that a text line begins with."""


def untimed(lines: list[str]) -> list[str]:
    """The lines without their time."""
    for line in lines:
        assert STAMP.match(line), line
    return [STAMP.sub("", line) for line in lines]


class Pipe:
    """A pipe with the service's log at one end, to read back at the other what was logged."""

    def __init__(self, capacity: int = 1024 * 1024, size: int = 1024 * 1024) -> None:
        self.reader, self.writer = os.pipe()
        fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, size)
        os.set_blocking(self.reader, False)
        self.log = GatheringPipe(self.writer, capacity)

    def read(self) -> bytes:
        """Everything that is in the pipe now."""
        parts = []
        try:
            while part := os.read(self.reader, 1 << 20):
                parts.append(part)
        except BlockingIOError:
            pass
        return b"".join(parts)

    def lines(self) -> list[str]:
        """The lines that are in the pipe now; the last one is whole."""
        text = self.read().decode()
        assert not text or text.endswith("\n")
        return text.split("\n")[:-1]

    def close_reader(self) -> None:
        """Break the pipe."""
        os.close(self.reader)
        self.reader = -1

    def close(self) -> None:
        """Give all descriptors back."""
        self.log.close()
        os.close(self.writer)
        if self.reader >= 0:
            os.close(self.reader)


Logged = tuple[Logs, Pipe]
"""The service's log, and the pipe that it is written to."""


@contextmanager
def logged(
    log_format: str = "text", level: str = "INFO", *, lets_all_through: bool = False
) -> Iterator[Logged]:
    """The process's `logging`, stdout and stderr routed into a pipe."""
    pipe = Pipe()
    logs = Logs(pipe.log, log_format)
    undo = route(logs, level, lets_all_through=lets_all_through)
    access = logging.getLogger("aiohttp.access")  # of aiohttp's test server: the service has none
    access.disabled = True
    try:
        yield logs, pipe
    finally:
        access.disabled = False
        undo()
        pipe.close()


def function(call: Callable[..., Any], name: str = "index.handler") -> handler.Function:
    """What the loader makes of a function."""
    kind: HandlerKind = "async" if inspect.iscoroutinefunction(call) else "sync"
    if inspect.isasyncgenfunction(call):
        kind = "stream"
    annotation = inspect.get_annotations(call, eval_str=True).get("event", bytes)
    decode = None if annotation is EventStream else decoder(annotation)
    return handler.Function(name, call, kind, decode)


def assembled(
    logs: Logs,
    call: Callable[..., Any],
    settings: Settings | None = None,
    **hooks: Callable[..., Any],
) -> web.Application:
    """The service's application around `call` and its hooks. On a busy machine any call is slow,
    and the event loop stands still: that adds no line, unless a test has set what does.
    """
    settings = settings or Settings()
    if settings.stall_after == Settings().stall_after:
        settings = replace(settings, stall_after=0.0)
    if settings.slow_after == Settings().slow_after and settings.log_calls == "slow":
        settings = replace(settings, log_calls="off")
    return assemble_app(settings, Platform(), handlers_of(call, **hooks), logs)


def handlers_of(call: Callable[..., Any], **hooks: Callable[..., Any]) -> handler.Handlers:
    """What the loader makes of a module."""
    found: dict[str, Any] = {n: function(hook, f"index.{n}") for n, hook in hooks.items()}
    return handler.Handlers(function(call), **found)


def error_of(body: bytes) -> tuple[str, str]:
    """The code and the message of an error's JSON."""
    value = orjson.loads(body)
    assert set(value) == {"errorMessage", "errorType", "requestId", "stackTrace"}
    return value["errorType"], value["errorMessage"]
