"""The service as process 1 of a container, and with standard streams that are closed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.harness import ANSWERS_WITHIN, ECHO, ServerProcess, held_port, request
from tests.system.instance import HEALTH, until
from tests.system.test_limits import as_stranger, needs_a_stranger

UNSHARE = ["unshare", "--pid", "--fork", "--kill-child"]


@cache
def may_unshare() -> bool:
    """Whether this machine lets us have a process 1 of our own."""
    try:
        return subprocess.run([*UNSHARE, "true"], capture_output=True).returncode == 0
    except OSError:
        return False


@asynccontextmanager
async def as_process_1(
    folder: Path, source: str, *flags: str, below: Sequence[str] = (), **options: Any
) -> AsyncIterator[tuple[ServerProcess, psutil.Process]]:
    """A service that is process 1 of a namespace, and that process as it is seen from here. `below`
    is a command that ends in running another one.
    """
    if not may_unshare():
        pytest.skip("this machine does not let us make a process namespace")
    command = [*UNSHARE, *below, sys.executable, "-m", "service", "--port", "0", *flags]
    server = ServerProcess(folder, source, command=command, **options)
    try:
        outside = psutil.Process(server.process.pid)
        async with asyncio.timeout(ANSWERS_WITHIN):
            await until(lambda: bool(outside.children()))
        yield server, outside.children()[0]
    finally:
        with suppress(psutil.NoSuchProcess):
            for each in psutil.Process(server.process.pid).children():
                each.kill()  # `unshare` does not if its child has become another user's
        server.kill()


ORPHANS = """
    import subprocess

    def handler(event, context):
        subprocess.run(["sh", "-c", "for i in 1 2 3 4 5; do (exit 0) & done; exit 0"], check=True)
        return subprocess.run(["sh", "-c", "exit 7"]).returncode
"""


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_process_1_reaps_orphans_and_nothing_else(tmp_path: Path, workers: str) -> None:
    """No process is left behind by 40 orphans, and code that waits for its own child gets its exit
    status.
    """
    async with as_process_1(tmp_path, ORPHANS, "--workers", workers) as (server, first):
        for _ in range(8):
            answer = await server.ask(request())
            assert answer.body == b"7"
        expected = 1 if workers == "1" else 3
        async with asyncio.timeout(ANSWERS_WITHIN):
            await until(lambda: len(first.children(recursive=True)) == expected)
        os.kill(first.pid, signal.SIGTERM)
        assert await server.ends() == 0
        assert server.log().count("SIGTERM: stopping") == 1


@needs_a_stranger
async def test_orphans_do_not_use_up_the_processes_that_there_may_be(tmp_path: Path) -> None:
    """With at most 150 processes every call can fork, though five orphans are left by each."""
    below = as_stranger("--nproc=150", user=54322)  # of whom nothing else runs
    async with as_process_1(tmp_path, ORPHANS, below=below) as (server, first):
        answers = [(await server.ask(request())).body for _ in range(40)]
        assert answers == [b"7"] * 40
        assert (await server.ask(HEALTH)).status == 200
        os.kill(first.pid, signal.SIGTERM)
        assert await server.ends() == 0


async def test_a_signal_before_the_imports_is_not_dropped(tmp_path: Path) -> None:
    """SIGTERM to process 1 ends it while its first import goes on, with exit code 0."""
    (tmp_path / "early").mkdir()
    (tmp_path / "early" / "orjson.py").write_text(
        "import signal\nprint('early', flush=True)\nsignal.pause()"
    )
    environ = {"PYTHONPATH": str(tmp_path / "early")}
    async with as_process_1(tmp_path, ECHO, environ=environ) as (server, first):
        await asyncio.to_thread(server.wait_for, "early")
        os.kill(first.pid, signal.SIGTERM)
        assert await server.ends() == 0
        assert server.errors == []


async def test_the_end_of_the_service_is_the_end_of_process_1(tmp_path: Path) -> None:
    """Its exit code is the service's, and 128 and the signal's number for one that was killed."""
    async with as_process_1(tmp_path / "a", "1 / 0") as (server, _):
        assert await server.ends() == 3
    async with as_process_1(tmp_path / "b", ECHO) as (server, first):
        await asyncio.to_thread(lambda: server.port)
        first.children()[0].kill()
        assert await server.ends() == 137


CLOSED = (">&-", "2>&-", "<&-", "<&- >&- 2>&-")


@pytest.mark.parametrize(
    ("workers", "closed"),
    [
        *(("1", each) for each in CLOSED),
        ("2", CLOSED[-1]),
        *(pytest.param("2", each, marks=pytest.mark.long) for each in CLOSED[:-1]),
    ],
)
async def test_closed_streams_are_replaced(tmp_path: Path, closed: str, workers: str) -> None:
    """Whichever is closed at the start, events are served, and what prints writes to no socket."""
    source = """
    import os, stat, sys

    def handler(event, context):
        print("printed")
        os.write(1, b"written\\n")
        os.write(2, b"")
        return [stat.S_ISSOCK(os.fstat(number).st_mode) for number in range(3)]
    """
    with held_port() as port:
        ours = [sys.executable, "-m", "service", "--port", str(port), "--workers", workers]
        command = ["sh", "-c", f'exec "$@" {closed}', "sh", *ours]
        server = ServerProcess(tmp_path, source, command=command)
        try:
            async with asyncio.timeout(ANSWERS_WITHIN):
                while True:
                    try:
                        reader, writer = await asyncio.open_connection("127.0.0.1", port)
                        break
                    except ConnectionError:
                        assert server.process.poll() is None, server.log()
                        await asyncio.sleep(0.02)
                writer.write(request())
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200")
                assert await reader.readexactly(19) == b"[false,false,false]"
                writer.close()
            assert await asyncio.to_thread(server.stop) == 0
            assert "Traceback" not in server.log()
        finally:
            server.kill()
