"""Whose log lines they are."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import logging.config
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from service.calls.threads import ThreadPool
from service.context.call import RUNNING, Context
from service.logs.capture import Route
from service.logs.log import MAX_OPEN, Logs
from service.protocol import MAX_LOG_LINE, SERVICE_LOGGER
from tests.assembly import Pipe, logged, untimed

log = logging.getLogger("user")


@contextmanager
def call(request_id: str) -> Iterator[None]:
    """A call that runs here."""
    token = RUNNING.set(Context({}, request_id))
    try:
        yield
    finally:
        RUNNING.reset(token)


def test_a_print_is_one_line() -> None:
    """The pieces of a print, its end included, make one line of the call's."""
    with logged() as (_, pipe), call("r1"):
        print("a", 1, None, sep="-")  # noqa: T201 - that is what is tested
        print("two\nlines")  # noqa: T201
        print("error", file=sys.stderr)  # noqa: T201
        assert untimed(pipe.lines()) == [
            "r1 [STDOUT] a-1-None",
            "r1 [STDOUT] two",
            "r1 [STDOUT] lines",
            "r1 [STDERR] error",
        ]


def test_a_line_without_an_end_ends_with_its_call() -> None:
    """What a call wrote without a line end is its last line; other calls' pieces stay theirs."""
    with logged() as (logs, pipe):
        for name in ("r1", "r2"):
            with call(name):
                sys.stdout.write(f"half of {name}")
        assert pipe.lines() == []
        logs.end("r1")
        assert untimed(pipe.lines()) == ["r1 [STDOUT] half of r1"]
        logs.end("r1")
        logs.end("r3")
        sys.stdout.write("of nobody")
        logs.close()
        assert sorted(untimed(pipe.lines())) == [
            "- [STDOUT] of nobody",
            "r2 [STDOUT] half of r2",
        ]


def test_a_line_that_never_ends_is_written_in_parts() -> None:
    """Beyond 32 KB text without a line end is not kept."""
    with logged() as (logs, pipe), call("r1"):
        sys.stdout.write("a" * (MAX_LOG_LINE + 1))
        (line,) = pipe.lines()
        assert re.search(r"a\.\.\. \[cut: the line had \d+ bytes\]$", line)
        assert not logs._open


def test_the_markers_are_written_as_they_are() -> None:
    """The platform's own lines have no prefix, in any format."""
    with logged("json") as (logs, pipe):
        logs.marker("FC Invoke Start RequestId: r1")
        logs.line("INFO", "x", "r1")
        marker, line = pipe.lines()
    assert marker == "FC Invoke Start RequestId: r1"
    assert json.loads(line)["requestId"] == "r1"


def test_lines_without_an_end_do_not_pile_up() -> None:
    """What tasks of calls that are over write without a line end is kept for the last ones."""
    with logged() as (logs, pipe):
        for number in range(2_000):
            with call(f"r{number}"):
                sys.stdout.write(".")
        written = untimed(pipe.lines())
        assert written[0] == "r0 [STDOUT] ."
        assert len(written) == 2_000 - MAX_OPEN
        logs.close()
        assert len(pipe.lines()) == MAX_OPEN


def test_logging_goes_where_print_goes() -> None:
    """Records of any logger have their call's id; a traceback's lines have it too."""
    with logged() as (_, pipe), call("r1"):
        log.info("%d bytes", 7)
        log.debug("not shown")
        try:
            raise KeyError("x")
        except KeyError:
            log.exception("it failed")
        lines = untimed(pipe.lines())
    assert lines[0] == "r1 [INFO] 7 bytes"
    assert lines[1:3] == ["r1 [ERROR] it failed", "r1 [ERROR] Traceback (most recent call last):"]
    assert lines[-1] == "r1 [ERROR] KeyError: 'x'"


def silent_config() -> None:
    """A configuration that disables every logger that there is."""
    logging.config.dictConfig(
        {
            "version": 1,
            "handlers": {"null": {"class": "logging.NullHandler"}},
            "root": {"level": "CRITICAL", "handlers": ["null"]},
        }
    )


def failing_filter() -> None:
    """A handler whose filter asks records for what they do not have."""
    handler = logging.StreamHandler(io.StringIO())
    handler.addFilter(lambda record: bool(record.__dict__["user_id"]))
    logging.getLogger().handlers.insert(0, handler)
    logging.getLogger().handlers[1].addFilter(lambda record: bool(record.__dict__["user_id"]))


def failing_factory() -> None:
    """A record factory that fails."""
    logging.setLogRecordFactory(lambda *_, **__: 1 / 0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "configure",
    [
        silent_config,
        failing_filter,
        failing_factory,
        lambda: logging.basicConfig(force=True, stream=io.StringIO(), level=logging.CRITICAL),
        lambda: logging.disable(),
    ],
    ids=["disabled", "a filter that fails", "a factory that fails", "elsewhere", "disable()"],
)
def test_no_configuration_silences_the_service(configure: Callable[[], None]) -> None:
    """What the service says of a call is in the log once, whatever the function makes of
    `logging`.
    """
    ours = logging.getLogger(SERVICE_LOGGER)
    factory = logging.getLogRecordFactory()
    try:
        with logged() as (_, pipe), call("r1"):
            configure()
            ours.error("it failed: %s", "why", exc_info=ValueError("not shown by us"))
            ours.debug("below the level")
            lines = untimed(pipe.lines())
    finally:
        logging.disable(logging.NOTSET)
        logging.setLogRecordFactory(factory)
        log.disabled = False
    assert lines == ["r1 [ERROR] it failed: why"]


@pytest.mark.parametrize("name", ["service", "service.orders", "service.calls.deadline"])
def test_a_functions_logger_called_service_is_any_logger(name: str) -> None:
    """A function's own `service` package logs like any other: each record once, with its
    traceback, with the level and the filters that the function gives it.
    """
    its = logging.getLogger(name)
    assert type(its) is logging.Logger
    try:
        raise ValueError("why")
    except ValueError as error:
        failure = error
    with logged() as (_, pipe), call("r1"):
        its.error("it failed", exc_info=failure)
        its.addFilter(hidden := lambda _record: False)
        its.error("hidden")
        its.removeFilter(hidden)
        lines = untimed(pipe.lines())
    assert lines[0] == "r1 [ERROR] it failed"
    assert lines[-1] == "r1 [ERROR] ValueError: why"
    assert sum("it failed" in line for line in lines) == 1
    assert not any("hidden" in line for line in lines)


def test_a_configuration_does_not_disable_a_functions_logger() -> None:
    """`context.logger` goes where the function's own configuration sends it."""
    seen = logging.StreamHandler(told := io.StringIO())
    with logged():
        silent_config()
        logging.getLogger().addHandler(seen)
        logging.getLogger().setLevel("INFO")
        Context({}, "r1").logger.info("here")
    log.disabled = False
    assert told.getvalue() == "here\n"


def test_a_handler_of_the_functions_gets_the_exception() -> None:
    """What collects errors, and is a handler of the root logger, gets each failure as such."""
    seen: list[logging.LogRecord] = []
    collector = logging.Handler()
    collector.emit = seen.append  # type: ignore
    with logged():
        logging.getLogger().addHandler(collector)
        logging.getLogger(SERVICE_LOGGER).error("it failed", exc_info=ValueError("why"))
    (record,) = seen
    assert record.exc_info
    assert str(record.exc_info[1]) == "why"


@pytest.mark.parametrize("arguments", [("%d", "x"), ("%s %s", 1), ("%(a)s", 1)])
def test_a_record_that_cannot_be_formatted_fails_nobody(arguments: tuple[Any, ...]) -> None:
    """A wrong format is a line that names its place."""
    with logged() as (_, pipe), call("r1"):
        log.warning(*arguments)
        (line,) = untimed(pipe.lines())
    assert line.startswith(f"r1 [WARNING] a log record of {__file__}:")
    assert "cannot be formatted: " in line


def test_a_forced_logging_configuration_keeps_the_attribution() -> None:
    """After `logging.basicConfig(force=True)` records come as lines of stderr, with their id."""
    with logged() as (_, pipe), call("r1"):
        logging.basicConfig(force=True, level="INFO")
        log.info("mine")
        assert untimed(pipe.lines()) == ["r1 [STDERR] INFO:user:mine"]


def test_the_routes_are_taken_back() -> None:
    """After `undo` stdout, stderr and the root logger are as before."""
    root = logging.getLogger()
    before = (sys.stdout, sys.stderr, root.handlers[:], root.level)
    with logged(level="DEBUG"):
        assert isinstance(sys.stdout, Route)
        assert root.level == logging.DEBUG
    assert (sys.stdout, sys.stderr, root.handlers[:], root.level) == before


async def test_a_hundred_calls_at_once_keep_their_lines_apart() -> None:
    """Every line of async and plain calls that interleave carries its own call's id."""
    together, barrier = asyncio.Event(), threading.Barrier(50)
    begun: list[int] = []

    def write(name: str) -> None:
        print("print", name, end="")  # noqa: T201
        log.info("log %s", name)
        print("", name)  # noqa: T201

    async def on_loop(number: int) -> None:
        with call(f"r{number}"):
            begun.append(number)
            if len(begun) == 50:
                together.set()
            for _ in range(10):
                sys.stdout.write("print ")
                await together.wait()
                await asyncio.sleep(0)
                write(f"r{number}")

    def in_thread(name: str) -> None:
        for _ in range(10):
            sys.stdout.write("print ")
            barrier.wait()
            write(name)

    async def threaded(number: int) -> None:
        with call(f"r{number}"):
            outcome = await pool.run(in_thread, f"r{number}")
            assert outcome.failure is None

    pool = ThreadPool(50)
    with logged() as (_, pipe):
        await asyncio.gather(
            *(asyncio.ensure_future(on_loop(n)) for n in range(50)),
            *(asyncio.ensure_future(threaded(n)) for n in range(50, 100)),
        )
        lines = untimed(pipe.lines())
    pool.close()
    assert len(lines) == 2000
    for line in lines:
        found = re.fullmatch(
            r"(r\d+) (?:\[INFO\] log (r\d+)|\[STDOUT\] print print (r\d+) (r\d+))", line
        )
        assert found, line
        assert len(set(filter(None, found.groups()))) == 1, line


# --- the stream that stands in for stdout


@pytest.fixture
def stream() -> Iterator[tuple[Any, Pipe]]:
    """A Route in a call, and what arrives of it."""
    pipe = Pipe()
    with open(os.devnull) as original, call("r1"):
        yield Route(Logs(pipe.log), "STDOUT", original), pipe
    pipe.close()


def test_a_route_is_a_text_stream(stream: tuple[Any, Pipe]) -> None:
    """It takes text by every way a text stream does, and only text."""
    route, pipe = stream
    assert isinstance(route, io.TextIOBase)
    assert route.write("a\n") == 2
    route.writelines(["b\n", "c\n"])
    route.flush()
    wrong: Any = b"x"
    with pytest.raises(TypeError, match="must be str, not bytes"):
        route.write(wrong)
    with pytest.raises(TypeError, match="must be str, not bytes"):
        route.writelines([wrong])
    assert untimed(pipe.lines()) == ["r1 [STDOUT] a", "r1 [STDOUT] b", "r1 [STDOUT] c"]


def test_a_route_has_what_code_asks_of_stdout(stream: tuple[Any, Pipe]) -> None:
    """Encoding, name, descriptor and the rest answer as those of a stream that is no terminal."""
    route, _ = stream
    assert route.writable()
    assert not route.readable()
    assert not route.isatty()
    assert (route.encoding, route.errors, route.name) == ("utf-8", "backslashreplace", os.devnull)
    assert os.fstat(route.fileno())
    route.reconfigure(line_buffering=True)
    assert Route(Logs(stream[1].log), "STDERR", None).name == "<stderr>"


def test_a_route_cannot_be_closed(stream: tuple[Any, Pipe]) -> None:
    """A handler that closes stdout, or its buffer, takes it from nobody."""
    route, pipe = stream
    with route:
        route.close()
    with route.buffer:
        route.buffer.close()
    assert not route.closed
    assert not route.buffer.closed
    route.write("still\n")
    assert untimed(pipe.lines()) == ["r1 [STDOUT] still"]


def test_bytes_come_through_the_buffer(stream: tuple[Any, Pipe]) -> None:
    """`sys.stdout.buffer` takes bytes; what is not UTF-8 is escaped."""
    route, pipe = stream
    assert route.buffer.writable()
    assert route.buffer.write(memoryview("é".encode() + b"\xff\n")) == 4
    route.buffer.flush()
    assert untimed(pipe.lines()) == ["r1 [STDOUT] é\\xff"]
