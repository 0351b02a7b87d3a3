"""Where log lines go, and whose they are."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import re
import select
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.context import RUNNING, Context
from service.logs import CROWD, FORMATS, Logs, Route, Sink, json_lines, plain, stamp, text_lines
from service.protocol import MAX_LOG_LINE
from service.threads import ThreadPool
from tests.assembly import Pipe, logged

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ")
LINE = b"x" * 99 + b"\n"
log = logging.getLogger("user")


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """A pipe that holds 4 KiB, and a sink that keeps 2,000 bytes beyond it."""
    made = Pipe(capacity=2000, size=4096)
    yield made
    made.close()


@contextmanager
def call(request_id: str) -> Iterator[None]:
    """A call that runs here."""
    token = RUNNING.set(Context({}, request_id))
    try:
        yield
    finally:
        RUNNING.reset(token)


def untimed(lines: list[str]) -> list[str]:
    """The lines without their time."""
    for line in lines:
        assert STAMP.match(line), line
    return [STAMP.sub("", line) for line in lines]


# --- the sink


def test_lines_arrive_as_they_are(pipe: Pipe) -> None:
    """What is written is in the pipe at once."""
    pipe.sink.write(b"one\n")
    pipe.sink.write(b"two\nthree\n")
    assert pipe.read() == b"one\ntwo\nthree\n"
    assert pipe.sink.flush()


def test_a_full_pipe_blocks_nobody(pipe: Pipe) -> None:
    """Lines that a slow reader has no room for are kept, and those beyond the capacity counted."""
    for _ in range(100):
        pipe.sink.write(LINE)
    assert not pipe.sink.flush()
    assert pipe.sink.lost == 100 - 60
    read = pipe.read()
    assert pipe.sink.flush()
    assert (read + pipe.read()).count(LINE) == 60


def test_a_healed_pipe_reports_what_was_lost(pipe: Pipe) -> None:
    """Once the reader reads again, a line tells how many lines are missing, once."""
    for _ in range(100):
        pipe.sink.write(LINE)
    read = pipe.read()
    pipe.sink.write(b"later\n")
    lines = (read + pipe.read()).decode().split("\n")[:-1]
    assert lines[:60] == [LINE.decode().rstrip()] * 60
    assert untimed([lines[60]]) == [
        "- [WARNING] 40 log lines were lost: the log pipe was full or closed"
    ]
    assert lines[61:] == ["later"]
    assert pipe.sink.lost == 40


def test_a_block_of_lines_is_never_torn(pipe: Pipe) -> None:
    """Of a message larger than pipe and capacity, whole lines arrive, and the rest is counted."""
    block = b"".join(b"%098d\n" % number for number in range(200))
    pipe.sink.write(block)
    read = pipe.read()
    assert pipe.sink.flush()
    lines = (read + pipe.read()).split(b"\n")[:-1]
    kept = [line for line in lines if line.isdigit()]
    assert kept == block.split(b"\n")[: len(kept)]
    assert pipe.sink.lost == 200 - len(kept)
    assert len(lines) == len(kept) + 1


def test_a_line_that_has_begun_is_finished() -> None:
    """A line whose first part is in the pipe is kept, even beyond the capacity."""
    pipe = Pipe(capacity=10, size=4096)
    line = b"y" * 5000 + b"\n"
    pipe.sink.write(line + b"next\n")
    read = pipe.read()
    pipe.sink.flush()
    read += pipe.read()
    assert read.startswith(line)
    assert b"1 log lines were lost" in read
    pipe.close()


def test_a_closed_pipe_fails_nobody(pipe: Pipe) -> None:
    """Without a reader lines are dropped and counted, those that waited too."""
    for _ in range(50):
        pipe.sink.write(LINE)
    assert not pipe.sink.flush()
    pipe.close_reader()
    pipe.sink.write(b"one\n")
    assert pipe.sink.flush()
    before = pipe.sink.lost
    assert before >= 10
    pipe.sink.write(b"two\nthree\n")
    assert pipe.sink.lost == before + 2


def test_a_disk_that_was_full_reports_what_was_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line that a full disk refused is in the count, and nothing else."""
    with (tmp_path / "log").open("wb") as file:
        sink = Sink(file.fileno())
        write = os.write

        def refuse(_descriptor: int, _data: bytes) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "write", refuse)
        for _ in range(3):
            sink.write(b"gone\n")
        assert sink.lost == 3
        monkeypatch.setattr(os, "write", write)
        sink.write(b"here\n")
        sink.close()
    lines = (tmp_path / "log").read_text().split("\n")
    assert untimed(lines[:1]) == [
        "- [WARNING] 3 log lines were lost: the log pipe was full or closed"
    ]
    assert lines[1:] == ["here", ""]


def test_a_notice_that_does_not_fit_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The notice of lost lines is kept like any line while the pipe is full."""
    pipe = Pipe(capacity=0, size=4096)
    pipe.sink.write(b"z" * 4095 + b"\n")
    pipe.sink.write(b"gone\n")
    assert pipe.sink.lost == 1
    assert not pipe.sink.flush()
    assert pipe.read() == b"z" * 4095 + b"\n"
    assert pipe.sink.flush()
    assert untimed(pipe.lines()) == [
        "- [WARNING] 1 log lines were lost: the log pipe was full or closed"
    ]
    pipe.close()


def test_a_flush_waits_for_the_reader(pipe: Pipe) -> None:
    """`flush(seconds)` ends when the reader has taken all, or when the time is up."""
    for _ in range(60):
        pipe.sink.write(LINE)
    assert not pipe.sink.flush(0.01)
    os.set_blocking(pipe.reader, True)
    read = bytearray()

    def reads() -> None:
        while len(read) < 60 * len(LINE):
            read.extend(os.read(pipe.reader, 1 << 16))

    reader = threading.Thread(target=reads)
    reader.start()
    assert pipe.sink.flush(10)
    reader.join()
    assert bytes(read) == LINE * 60


def test_a_pipe_that_cannot_be_opened_anew_is_written_in_portions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without /proc the sink still blocks on nothing: it asks for room before each portion."""

    def refuse(*_: Any) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "open", refuse)
    pipe = Pipe(capacity=2 * select.PIPE_BUF, size=4096)
    for _ in range(3):
        pipe.sink.write(b"a" * (select.PIPE_BUF - 1) + b"\n")
    assert os.get_blocking(pipe.writer)
    read = b""
    while not pipe.sink.flush():
        read += pipe.read()
    assert read + pipe.read() == (b"a" * (select.PIPE_BUF - 1) + b"\n") * 3
    pipe.close()


def test_the_sink_has_a_descriptor_of_its_own(tmp_path: Path) -> None:
    """A handler that closes the original descriptor does not close the log."""
    file = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    sink = Sink(file)
    os.close(file)
    sink.write(b"still\n")
    sink.close()
    assert (tmp_path / "log").read_bytes() == b"still\n"


def test_many_threads_write_whole_lines() -> None:
    """Lines of ten threads are each in one piece."""
    pipe = Pipe()

    def write(name: bytes) -> None:
        for _ in range(100):
            pipe.sink.write(name * 500 + b"\n")

    threads = [threading.Thread(target=write, args=(b"%d" % number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = pipe.lines()
    assert len(lines) == 1000
    assert all(len(line) == 500 and len(set(line)) == 1 for line in lines)
    pipe.close()


# --- lines of one turn of the loop


async def test_gathered_lines_leave_together_at_the_end_of_the_turn(pipe: Pipe) -> None:
    """Nothing is written before the turn ends; then all is, before who waits for it goes on."""
    pipe.sink.attach()
    seen = list[bytes]()
    for name in (b"one", b"two"):
        pipe.sink.gather(name + b"\n")
        pipe.sink.when_out(lambda: seen.append(pipe.read()))
    assert (pipe.read(), seen) == (b"", [])
    await asyncio.sleep(0)
    assert seen == [b"one\ntwo\n", b""]
    pipe.sink.detach()


async def test_a_line_takes_the_gathered_ones_along(pipe: Pipe) -> None:
    """What a handler writes stands behind its Start line, and is out at once, from any thread."""
    pipe.sink.attach()
    pipe.sink.gather(b"start\n")
    await asyncio.to_thread(pipe.sink.write, b"line\n")
    assert pipe.read() == b"start\nline\n"
    pipe.sink.gather(b"end\n")
    assert pipe.sink.flush()
    assert pipe.read() == b"end\n"
    pipe.sink.detach()


def test_without_a_loop_nothing_is_gathered(pipe: Pipe) -> None:
    """Before the service runs, and after, lines are written as they come."""
    seen = list[bytes]()
    pipe.sink.gather(b"line\n")
    pipe.sink.when_out(lambda: seen.append(pipe.read()))
    assert seen == [b"line\n"]


async def test_one_that_fails_holds_up_no_other(pipe: Pipe) -> None:
    """Those who wait for the same turn go on, and the failure is the loop's to report."""
    failures, seen = list[str](), list[int]()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: failures.append(str(context["exception"])))

    def fail() -> None:
        raise ValueError("mine")

    pipe.sink.attach()
    pipe.sink.gather(b"line\n")
    pipe.sink.when_out(lambda: seen.append(1))
    pipe.sink.when_out(fail)
    pipe.sink.when_out(lambda: seen.append(2))
    await asyncio.sleep(0)
    assert (seen, failures) == ([1], ["mine"])
    await asyncio.sleep(0)
    assert seen == [1, 2]
    pipe.sink.detach()


async def test_a_crowd_is_many_calls_in_one_turn(pipe: Pipe) -> None:
    """A few calls in a turn are none, and a crowd is one for the next turn too."""
    pipe.sink.attach()
    assert [pipe.sink.crowded() for _ in range(CROWD + 2)] == [False] * CROWD + [True] * 2
    await asyncio.sleep(0)
    assert pipe.sink.crowded()
    await asyncio.sleep(0)
    assert not pipe.sink.crowded()
    pipe.sink.detach()


async def test_a_gathered_crowd_waits_for_a_slow_reader(pipe: Pipe) -> None:
    """Whoever waits for gathered lines goes on when the reader has them, or patience is over."""
    pipe.sink.attach()
    pipe.sink.write(LINE * 50)
    out = asyncio.Event()
    pipe.sink.gather(b"mine\n")
    pipe.sink.when_out(out.set)
    await asyncio.sleep(0)
    assert not out.is_set()
    text = pipe.read()
    async with asyncio.timeout(10):
        await out.wait()
        while not text.endswith(b"mine\n"):
            text += pipe.read()
            await asyncio.sleep(0)
    pipe.sink.detach()


# --- a reader that is slow


async def drained(sink: Sink) -> None:
    """Wait until the lines written so far are out."""
    out = asyncio.Event()
    sink.when_out(out.set)
    await out.wait()


async def test_the_loop_writes_on_when_there_is_room(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is pending leaves as soon as the reader takes more, with no further line; who waits for
    it goes on then.
    """
    monkeypatch.setattr("service.logs.PATIENCE", 3600.0)
    pipe.sink.write(LINE * 50)
    pipe.sink.attach()
    for _ in range(2):
        waits = asyncio.ensure_future(drained(pipe.sink))
        await asyncio.sleep(0)
        assert not waits.done()
        text = pipe.read()
        await waits
        assert text + pipe.read() == LINE * 50
        await drained(pipe.sink)
        pipe.sink.write(LINE * 50)
    pipe.sink.detach()
    assert pipe.sink.lost == 0


async def test_what_was_lost_is_reported_without_a_further_line(pipe: Pipe) -> None:
    """When the reader comes back the count is written by itself."""
    pipe.sink.attach()
    pipe.sink.write(LINE * 100)
    assert pipe.sink.lost > 0
    text = b""
    async with asyncio.timeout(60):
        while b" log lines were lost" not in text:
            text += pipe.read()
            await asyncio.sleep(0)
    assert text.count(LINE) == 100 - pipe.sink.lost
    pipe.sink.detach()


async def test_each_waits_for_its_own_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that takes a little at a time lets go on who wrote first, and then the next."""
    monkeypatch.setattr("service.logs.PATIENCE", 3600.0)
    pipe, ended = Pipe(capacity=100_000, size=4096), list[str]()

    async def call(name: str) -> None:
        pipe.sink.write(LINE * 100)
        await drained(pipe.sink)
        ended.append(name)

    pipe.sink.attach()
    calls = [asyncio.ensure_future(call(name)) for name in ("first", "second")]
    text, seen = b"", list[list[str]]()
    async with asyncio.timeout(60):
        while not all(task.done() for task in calls):
            text += pipe.read()
            seen.append(ended[:])
            await asyncio.sleep(0)
    assert (text + pipe.read()).count(LINE) == 200
    assert ["first"] in seen
    assert ended == ["first", "second"]
    pipe.sink.detach()
    pipe.close()


async def test_an_answer_waits_no_longer_than_a_moment(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait for a reader ends; there is none for one that has been gone, or without a loop."""
    monkeypatch.setattr("service.logs.PATIENCE", 0.01)
    pipe.sink.write(LINE * 50)
    await drained(pipe.sink)
    pipe.sink.attach()
    await asyncio.wait_for(drained(pipe.sink), 60)
    monkeypatch.setattr("service.logs.PATIENCE", 3600.0)
    pipe.sink._moved -= 3600
    await asyncio.wait_for(drained(pipe.sink), 60)
    pipe.sink.detach()
    assert pipe.sink._pending


async def test_a_loop_that_is_let_go_writes_no_more(pipe: Pipe) -> None:
    """After `detach` the loop does not touch the descriptor, whatever was under way."""
    pipe.sink.attach()
    pipe.sink.write(LINE * 50)
    pipe.sink.detach()
    pipe.read()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert pipe.read() == b""
    assert pipe.sink.flush()


def test_a_loop_that_is_closed_fails_no_line(pipe: Pipe) -> None:
    """Lines are kept for later when the loop has ended without letting go."""

    async def attach() -> None:
        pipe.sink.attach()

    asyncio.run(attach())
    pipe.sink.write(LINE * 50)
    pipe.read()
    assert pipe.sink.flush()


@pytest.mark.parametrize("before", [b"", LINE * 50], ids=["at once", "from what was pending"])
def test_a_print_in_the_middle_of_a_line_comes_after_it(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch, before: bytes
) -> None:
    """A finalizer or a signal handler that writes while a line is being written tears nothing."""
    write, inner = os.write, [b"inner\n"]

    def interrupted(descriptor: int, data: bytes) -> int:
        if inner and data.startswith(b"o"):
            written = write(descriptor, data[:3])
            pipe.sink.write(inner.pop())
            return written
        return write(descriptor, data)

    pipe.sink.write(before)
    if before:
        pipe.sink.write(b"outer\n")
    text = pipe.read()
    monkeypatch.setattr(os, "write", interrupted)
    if not before:
        pipe.sink.write(b"outer\n")
    assert pipe.sink.flush()
    assert (text + pipe.read()).removeprefix(before) == b"outer\ninner\n"


# --- the formats


def test_the_time_is_utc_with_milliseconds() -> None:
    """Stamps have the platform's form."""
    assert stamp(1479791615.9209) == "2016-11-22T05:13:35.920Z"
    assert stamp(1479791615.0625) == "2016-11-22T05:13:35.062Z"
    assert stamp(0.0) == "1970-01-01T00:00:00.000Z"
    assert re.fullmatch(STAMP.pattern.rstrip(), stamp())


def test_a_text_line_has_the_platforms_form() -> None:
    """Time, request id, level, message; each line of a message is a line of its own."""
    lines = text_lines("r1", "INFO", "one\n\ttwo é").decode().split("\n")
    assert untimed(lines[:-1]) == ["r1 [INFO] one", "r1 [INFO] \ttwo é"]
    assert lines[-1] == ""


def test_a_json_line_has_the_same_parts() -> None:
    """A message is one JSON line, whatever is in it."""
    line = json_lines("r1", "INFO", "one\ntwo \udc9b")
    value = json.loads(line)
    assert value.pop("time").endswith("Z")
    assert value == {"level": "INFO", "requestId": "r1", "message": "one\\ntwo \\udc9b"}
    assert json.loads(json_lines("r1", "INFO", "one\ntwo"))["message"] == "one\ntwo"


@given(st.text(st.characters()), st.sampled_from(sorted(FORMATS)))
def test_no_message_can_forge_a_line(message: str, log_format: str) -> None:
    """Whatever is written, each line is the service's, and no control character is in it."""
    lines = FORMATS[log_format]("r1", "INFO", message)
    text = lines.decode()
    assert text.endswith("\n")
    expected = message.count("\n") + 1 if log_format == "text" else 1
    assert len(text.split("\n")) == expected + 1
    for line in text.split("\n")[:-1]:
        assert not re.search("[\x00-\x08\x0a-\x1f\x7f\u2028\u2029]", line) or log_format == "json"
        assert json.loads(line) if log_format == "json" else "r1 [INFO] " in line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 中", "plain é 中"),
        ("a\tb", "a\tb"),
        ("a\rb", "a\\rb"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\x00\x85\u2028\udc9b", "a\\x00\\x85\\u2028\\udc9b"),
    ],
)
def test_control_characters_are_shown(text: str, shown: str) -> None:
    """What could move a terminal's cursor or end a line is escaped."""
    assert plain(text) == shown


@pytest.mark.parametrize("log_format", sorted(FORMATS))
@pytest.mark.parametrize(
    "message",
    [
        "a" * 40_000,
        "é" * 20_000,
        "😀" * 10_000,
        "\x01" * 10_000,
        '"' * 40_000,
        "\udc9b" * 9_000,
        "\x01" * 9_000 + "a" * 100_000,
        "a" * 100_000 + "\x01" * 9_000,
    ],
    ids=["ascii", "two", "four", "control", "quotes", "surrogates", "front", "back"],
)
def test_a_long_line_is_cut_and_says_so(log_format: str, message: str) -> None:
    """No line is over 32 KB; a cut one is whole in its encoding, and JSON stays JSON."""
    line = FORMATS[log_format]("r1", "INFO", message)
    assert len(line) <= MAX_LOG_LINE
    assert len(line) > MAX_LOG_LINE // 2
    text = json.loads(line)["message"] if log_format == "json" else line.decode()
    assert re.search(r"\.\.\. \[cut: the (line|message) had \d+ (bytes|characters)\]\n?$", text)


@pytest.mark.parametrize("log_format", sorted(FORMATS))
def test_a_line_of_the_limit_is_left_alone(log_format: str) -> None:
    """Up to 32 KB nothing is cut."""
    assert b"[cut" not in FORMATS[log_format]("r1", "INFO", "a" * 32_000)


# --- whose lines they are


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
        yield Route(Logs(pipe.sink), "STDOUT", original), pipe
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
    assert Route(Logs(stream[1].sink), "STDERR", None).name == "<stderr>"


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
