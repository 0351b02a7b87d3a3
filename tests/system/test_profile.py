"""Flame graphs of a function: of one call, and of an instance under load."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.conftest import Serve
from tests.harness import ANSWERS_WITHIN, ServerProcess
from tests.system.test_secrets import BODY, VARIABLES, call, found_in

pytest.importorskip("pyinstrument", reason="there is none for this Python")

WORK = """
    import pathlib

    def counted(secret):
        return sum(ord(each) for each in secret * 5_000)

    {define} handler(event, context):
        secret = self = event.decode()
        found = counted(secret)
        while "until" in secret and not pathlib.Path("there").exists():
            found = counted(secret)
        return {{"counted": found}}
"""
HELD = """
    import asyncio, pathlib, time

    {define} wait(rounds):
        while rounds > 0 or not pathlib.Path("go").exists():
            {sleep}(0.02)
            rounds -= 1
            if rounds == 0:
                print("inside")
        return "done"

    {define} handler(event, context):
        secret = event.decode()
        return {wait}(5)
"""


DEFINED = [pytest.param("def", marks=pytest.mark.long), "async def"]
"""A plain handler's threads are looked at in `tests/profiling`, too."""


def picture(file: Path) -> str:
    """The flame graph in a file, which is SVG and has none of the secrets."""
    drawn = file.read_bytes()
    assert ElementTree.fromstring(drawn).tag.endswith("}svg")
    assert found_in(drawn) == set()
    return drawn.decode()


async def told(server: ServerProcess, pattern: str) -> str:
    """The line of a server's log that has it, once it is there."""
    return await asyncio.to_thread(server.wait_for, pattern)


def file_of(line: str) -> Path:
    """The file that a line of the log names."""
    found = re.search(r"profile of \d+ calls?: (/\S+\.svg), for a browser$", line)
    assert found, line
    return Path(found[1])


@pytest.mark.parametrize("define", DEFINED)
def test_invoke_draws_where_the_time_of_its_call_goes(tmp_path: Path, define: str) -> None:
    """The result stands alone on stdout as ever, and stderr names the file."""
    (tmp_path / "index.py").write_text(textwrap.dedent(WORK.format(define=define)))
    done = subprocess.run(
        [sys.executable, "-m", "service", "invoke", "--profile", f'["{BODY}"]'],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=ANSWERS_WITHIN,
        env={**os.environ, **VARIABLES},
    )
    assert done.stdout.startswith('{"counted":')
    file = file_of(done.stderr.splitlines()[-1])
    assert file == tmp_path / "profile.svg"
    assert "<title>counted ./index.py:4: " in picture(file)


async def test_an_instance_under_load_is_drawn_after_a_time(serve: Serve, tmp_path: Path) -> None:
    """The file has the process's number and the instance's name; calls after it are as ever."""
    server = serve(
        WORK.format(define="async def"),
        *("--profile-calls", "1.5", "--profile-folder", str(tmp_path)),
        environ={**VARIABLES, "FC_INSTANCE_ID": "c-1/2"},
    )
    async with server.client() as client:
        await client.send(call(body=f"until {BODY}".encode()))
        file = file_of(await told(server, "profile of 1 call: "))
        assert file == tmp_path / f"profile-c-12-{server.process.pid}.svg"
        assert "<title>counted ./index.py:4: " in picture(file)
        (server.folder / "there").touch()
        assert (await client.answer()).status == 200
        assert (await client.ask(call(body=BODY.encode()))).status == 200
    assert server.stop() == 0
    assert len([line for line in server.lines if "profile of" in line]) == 1


@pytest.mark.parametrize("define", DEFINED)
async def test_a_profile_that_a_stop_interrupts_has_what_was_seen(
    serve: Serve, tmp_path: Path, define: str
) -> None:
    """It is written when the stop begins, and does not wait for the call, which ends well."""
    calls = (
        ("await asyncio.sleep", "await wait") if define == "async def" else ("time.sleep", "wait")
    )
    server = serve(
        HELD.format(define=define, sleep=calls[0], wait=calls[1]),
        *("--profile-calls", "3600", "--profile-folder", str(tmp_path)),
        environ=VARIABLES,
    )
    async with server.client() as client:
        await client.send(call(body=BODY.encode()))
        await told(server, "inside")
        server.signal(signal.SIGTERM)
        drawn = picture(file_of(await told(server, "profile of 1 call: ")))
        assert "<title>wait ./index.py:4: " in drawn
        (server.folder / "go").touch()
        assert (await client.answer()).body == b"done"
    assert server.wait() == 0


@pytest.mark.long
async def test_each_worker_draws_its_own(serve: Serve, tmp_path: Path) -> None:
    """Two files, each told by its worker; one that was not called says so."""
    server = serve(
        WORK.format(define="def"),
        *("--profile-calls", "3600", "--profile-folder", str(tmp_path), "--workers", "2"),
    )
    async with server.client() as client:
        assert (await client.ask(call(body=BODY.encode()))).status == 200
    assert server.stop() == 0
    told = [line for line in server.lines if "profile" in line]
    assert len(told) == 2
    assert [file_of(line).exists() for line in told if "no call came" not in line] == [True]


async def test_a_folder_that_cannot_be_written_hurts_no_call(serve: Serve) -> None:
    """A line tells it; the calls are answered as ever."""
    server = serve(
        WORK.format(define="async def"),
        *("--profile-calls", "0.001", "--profile-folder", "/proc/none"),
    )
    async with server.client() as client:
        assert (await client.ask(call(body=b"x"))).status == 200
        line = await told(server, "cannot be written")
        assert re.search(
            r"\[WARNING\] the profile cannot be written to /proc/none/profile-\d+", line
        )
        assert (await client.ask(call(body=b"x"))).status == 200


def test_one_line_says_what_to_install(tmp_path: Path) -> None:
    """Without pyinstrument the start is refused at once, and not with a traceback."""
    (tmp_path / "elsewhere" / "pyinstrument").mkdir(parents=True)
    (tmp_path / "elsewhere" / "pyinstrument" / "__init__.py").write_text(
        "raise ModuleNotFoundError('it is not there', name='pyinstrument')"
    )
    server = ServerProcess(
        tmp_path / "function",
        "def handler(event, context): return event",
        *("--profile-calls", "1"),
        environ={"PYTHONPATH": f"{tmp_path / 'elsewhere'}:{Path(__file__).parents[2]}"},
    )
    assert server.wait() == 2
    assert [line.partition(": ")[2] for line in server.errors] == [
        "a profile needs pyinstrument: install the extra `profile` (Python 3.11 to 3.14)"
    ]
    server.kill()
