"""Where log lines leave."""

from __future__ import annotations

import asyncio
import os
import select
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from service.logs.pipe import CROWD, Sink
from tests.assembly import Pipe, untimed

LINE = b"x" * 99 + b"\n"


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """A pipe that holds 4 KiB, and a sink that keeps 2,000 bytes beyond it."""
    made = Pipe(capacity=2000, size=4096)
    yield made
    made.close()


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
    monkeypatch.setattr("service.logs.pipe.READER_PATIENCE", 3600.0)
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
    monkeypatch.setattr("service.logs.pipe.READER_PATIENCE", 3600.0)
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
    monkeypatch.setattr("service.logs.pipe.READER_PATIENCE", 0.01)
    pipe.sink.write(LINE * 50)
    await drained(pipe.sink)
    pipe.sink.attach()
    await asyncio.wait_for(drained(pipe.sink), 60)
    monkeypatch.setattr("service.logs.pipe.READER_PATIENCE", 3600.0)
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


@pytest.mark.parametrize("may_open", [True, False], ids=["its own", "another user's"])
def test_a_terminal_that_nobody_reads_blocks_nothing(
    monkeypatch: pytest.MonkeyPatch, may_open: bool
) -> None:
    """Its lines are dropped and counted; the terminal stays as it is for whoever shares it."""
    open_file = os.open

    def refuse(path: str, *more: int) -> int:
        if str(path).startswith("/proc/self/fd/"):
            raise PermissionError
        return open_file(path, *more)

    reader, terminal = os.openpty()
    os.set_blocking(reader, False)
    if not may_open:
        monkeypatch.setattr(os, "open", refuse)
    sink = Sink(terminal, capacity=10_000)
    line = b"x" * 99 + b"\n"
    written = 0
    while not sink.lost:
        sink.write(line)
        written += 1
    assert written > 50
    assert os.get_blocking(terminal)
    text = b""
    while b"log lines were lost" not in text:
        with suppress(BlockingIOError):
            text += os.read(reader, 65536)
        sink.write(b"")
    assert text.startswith(b"x" * 99 + b"\r\n")
    sink.close()
    os.close(reader)
    os.close(terminal)
