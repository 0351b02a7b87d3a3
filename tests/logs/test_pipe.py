"""Where log lines leave."""

from __future__ import annotations

import asyncio
import os
import select
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from service.logs.pipe import LogPipe
from tests.assembly import Pipe, untimed
from tests.logs.conftest import LINE


def test_lines_arrive_as_they_are(pipe: Pipe) -> None:
    """What is written is in the pipe at once."""
    pipe.log.write(b"one\n")
    pipe.log.write(b"two\nthree\n")
    assert pipe.read() == b"one\ntwo\nthree\n"
    assert pipe.log.flush()


def test_a_full_pipe_blocks_nobody(pipe: Pipe) -> None:
    """Lines that a slow reader has no room for are kept, and those beyond the capacity counted."""
    for _ in range(100):
        pipe.log.write(LINE)
    assert not pipe.log.flush()
    assert pipe.log.lost == 100 - 60
    read = pipe.read()
    assert pipe.log.flush()
    assert (read + pipe.read()).count(LINE) == 60


def test_a_healed_pipe_reports_what_was_lost(pipe: Pipe) -> None:
    """Once the reader reads again, a line tells how many lines are missing, once."""
    for _ in range(100):
        pipe.log.write(LINE)
    read = pipe.read()
    pipe.log.write(b"later\n")
    lines = (read + pipe.read()).decode().split("\n")[:-1]
    assert lines[:60] == [LINE.decode().rstrip()] * 60
    assert untimed([lines[60]]) == [
        "- [WARNING] 40 log lines were lost: the log pipe was full or closed"
    ]
    assert lines[61:] == ["later"]
    assert pipe.log.lost == 40


def test_a_block_of_lines_is_never_torn(pipe: Pipe) -> None:
    """Of a message larger than pipe and capacity, whole lines arrive, and the rest is counted."""
    block = b"".join(b"%098d\n" % number for number in range(200))
    pipe.log.write(block)
    read = pipe.read()
    assert pipe.log.flush()
    lines = (read + pipe.read()).split(b"\n")[:-1]
    kept = [line for line in lines if line.isdigit()]
    assert kept == block.split(b"\n")[: len(kept)]
    assert pipe.log.lost == 200 - len(kept)
    assert len(lines) == len(kept) + 1


def test_a_line_that_has_begun_is_finished() -> None:
    """A line whose first part is in the pipe is kept, even beyond the capacity."""
    pipe = Pipe(capacity=10, size=4096)
    line = b"y" * 5000 + b"\n"
    pipe.log.write(line + b"next\n")
    read = pipe.read()
    pipe.log.flush()
    read += pipe.read()
    assert read.startswith(line)
    assert b"1 log lines were lost" in read
    pipe.close()


def test_a_closed_pipe_fails_nobody(pipe: Pipe) -> None:
    """Without a reader lines are dropped and counted, those that waited too."""
    for _ in range(50):
        pipe.log.write(LINE)
    assert not pipe.log.flush()
    pipe.close_reader()
    pipe.log.write(b"one\n")
    assert pipe.log.flush()
    before = pipe.log.lost
    assert before >= 10
    pipe.log.write(b"two\nthree\n")
    assert pipe.log.lost == before + 2


def test_a_disk_that_was_full_reports_what_was_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line that a full disk refused is in the count, and nothing else."""
    with (tmp_path / "log").open("wb") as file:
        log = LogPipe(file.fileno())
        write = os.write

        def refuse(_descriptor: int, _data: bytes) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "write", refuse)
        for _ in range(3):
            log.write(b"gone\n")
        assert log.lost == 3
        monkeypatch.setattr(os, "write", write)
        log.write(b"here\n")
        log.close()
    lines = (tmp_path / "log").read_text().split("\n")
    assert untimed(lines[:1]) == [
        "- [WARNING] 3 log lines were lost: the log pipe was full or closed"
    ]
    assert lines[1:] == ["here", ""]


def test_a_notice_that_does_not_fit_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The notice of lost lines is kept like any line while the pipe is full."""
    pipe = Pipe(capacity=0, size=4096)
    pipe.log.write(b"z" * 4095 + b"\n")
    pipe.log.write(b"gone\n")
    assert pipe.log.lost == 1
    assert not pipe.log.flush()
    assert pipe.read() == b"z" * 4095 + b"\n"
    assert pipe.log.flush()
    assert untimed(pipe.lines()) == [
        "- [WARNING] 1 log lines were lost: the log pipe was full or closed"
    ]
    pipe.close()


def test_a_flush_waits_for_the_reader(pipe: Pipe) -> None:
    """`flush(seconds)` ends when the reader has taken all, or when the time is up."""
    for _ in range(60):
        pipe.log.write(LINE)
    assert not pipe.log.flush(0.01)
    os.set_blocking(pipe.reader, True)
    read = bytearray()

    def reads() -> None:
        while len(read) < 60 * len(LINE):
            read.extend(os.read(pipe.reader, 1 << 16))

    reader = threading.Thread(target=reads)
    reader.start()
    assert pipe.log.flush(10)
    reader.join()
    assert bytes(read) == LINE * 60


def test_a_pipe_that_cannot_be_opened_anew_is_written_in_portions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without /proc the log still blocks on nothing: it asks for room before each portion."""

    def refuse(*_: Any) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "open", refuse)
    pipe = Pipe(capacity=2 * select.PIPE_BUF, size=4096)
    for _ in range(3):
        pipe.log.write(b"a" * (select.PIPE_BUF - 1) + b"\n")
    assert os.get_blocking(pipe.writer)
    read = b""
    while not pipe.log.flush():
        read += pipe.read()
    assert read + pipe.read() == (b"a" * (select.PIPE_BUF - 1) + b"\n") * 3
    pipe.close()


def test_the_log_has_a_descriptor_of_its_own(tmp_path: Path) -> None:
    """A handler that closes the original descriptor does not close the log."""
    file = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    log = LogPipe(file)
    os.close(file)
    log.write(b"still\n")
    log.close()
    assert (tmp_path / "log").read_bytes() == b"still\n"


def test_many_threads_write_whole_lines() -> None:
    """Lines of ten threads are each in one piece."""
    pipe = Pipe()

    def write(name: bytes) -> None:
        for _ in range(100):
            pipe.log.write(name * 500 + b"\n")

    threads = [threading.Thread(target=write, args=(b"%d" % number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = pipe.lines()
    assert len(lines) == 1000
    assert all(len(line) == 500 and len(set(line)) == 1 for line in lines)
    pipe.close()


# --- a reader that is slow


async def test_what_was_lost_is_reported_without_a_further_line(pipe: Pipe) -> None:
    """When the reader comes back the count is written by itself."""
    pipe.log.attach()
    pipe.log.write(LINE * 100)
    assert pipe.log.lost > 0
    text = b""
    async with asyncio.timeout(60):
        while b" log lines were lost" not in text:
            text += pipe.read()
            await asyncio.sleep(0)
    assert text.count(LINE) == 100 - pipe.log.lost
    pipe.log.detach()


async def test_a_loop_that_is_let_go_writes_no_more(pipe: Pipe) -> None:
    """After `detach` the loop does not touch the descriptor, whatever was under way."""
    pipe.log.attach()
    pipe.log.write(LINE * 50)
    pipe.log.detach()
    pipe.read()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert pipe.read() == b""
    assert pipe.log.flush()


def test_a_loop_that_is_closed_fails_no_line(pipe: Pipe) -> None:
    """Lines are kept for later when the loop has ended without letting go."""

    async def attach() -> None:
        pipe.log.attach()

    asyncio.run(attach())
    pipe.log.write(LINE * 50)
    pipe.read()
    assert pipe.log.flush()


@pytest.mark.parametrize("before", [b"", LINE * 50], ids=["at once", "from what was pending"])
def test_a_print_in_the_middle_of_a_line_comes_after_it(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch, before: bytes
) -> None:
    """A finalizer or a signal handler that writes while a line is being written tears nothing."""
    write, inner = os.write, [b"inner\n"]

    def interrupted(descriptor: int, data: bytes) -> int:
        if inner and data.startswith(b"o"):
            written = write(descriptor, data[:3])
            pipe.log.write(inner.pop())
            return written
        return write(descriptor, data)

    pipe.log.write(before)
    if before:
        pipe.log.write(b"outer\n")
    text = pipe.read()
    monkeypatch.setattr(os, "write", interrupted)
    if not before:
        pipe.log.write(b"outer\n")
    assert pipe.log.flush()
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
    log = LogPipe(terminal, capacity=10_000)
    line = b"x" * 99 + b"\n"
    written = 0
    while not log.lost:
        log.write(line)
        written += 1
    assert written > 50
    assert os.get_blocking(terminal)
    text = b""
    while b"log lines were lost" not in text:
        with suppress(BlockingIOError):
            text += os.read(reader, 65536)
        log.write(b"")
    assert text.startswith(b"x" * 99 + b"\r\n")
    log.close()
    os.close(reader)
    os.close(terminal)
