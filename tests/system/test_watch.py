"""`python -m service watch`: a table of a running service, live or once."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from service.commands.watch import watch
from service.errors import UsageError
from tests.conftest import Serve
from tests.harness import ECHO, ENDS_WITHIN, held_port, request

COMMAND = [sys.executable, "-m", "service", "watch", "--interval", "0.1"]


def once(*flags: str) -> subprocess.CompletedProcess[str]:
    """Run it into a pipe."""
    return subprocess.run(
        [*COMMAND, *flags], capture_output=True, text=True, timeout=ENDS_WITHIN, check=False
    )


async def test_a_look_into_a_pipe_is_a_table_of_text(serve: Serve, tmp_path: Path) -> None:
    """Calls, errors and what is in flight of one worker; a picture of it needs no other server."""
    server = serve(ECHO)
    for _ in range(3):
        await server.ask(request())
    picture = tmp_path / "watch.svg"
    done = once("--url", f"http://127.0.0.1:{server.port}", "--picture", str(picture))
    heads, row = (re.split("  +", line.strip()) for line in done.stdout.splitlines())
    assert heads == ["worker", "calls/s", "p50", "p99", "in flight", "queued", "calls", "errors"]
    assert row == ["1", "0.0", "-", "-", "0", "0", "3", "0"]
    assert (done.returncode, done.stderr) == (0, "")
    drawn = picture.read_text()
    assert ElementTree.fromstring(drawn).tag.endswith("}svg")
    assert "calls/s" in drawn
    assert "@font-face" not in drawn


def test_nothing_there_and_something_else_are_told(serve: Serve) -> None:
    """With what to look at, and exit code 2."""
    with held_port() as port:
        done = once("--url", f"http://127.0.0.1:{port}")
    assert (done.returncode, done.stdout) == (2, "")
    assert "is the service running there?" in done.stderr
    server = serve(ECHO, environ={"SERVICE_METRICS": "false"})
    done = once("--url", f"http://127.0.0.1:{server.port}")
    assert done.returncode == 2
    assert "metrics = true" in done.stderr


def test_an_interval_of_no_time_is_refused() -> None:
    """Before anything is asked."""
    with pytest.raises(UsageError, match=r"--interval 0: it takes 0\.05 to 3600 seconds"):
        watch(Namespace(interval=0.0, once=True, url="http://127.0.0.1:1"), Path.cwd())


def reading(terminal: int) -> Callable[[str], None]:
    """Return what reads a terminal until a text has come."""
    seen = b""

    def until(pattern: str) -> None:
        nonlocal seen
        while not (found := re.search(pattern.encode(), seen)):
            data = os.read(terminal, 4096)
            assert data, seen[-500:]
            seen += data
        seen = seen[found.end() :]

    return until


@pytest.mark.timeout(100)
def test_a_live_table_outlives_the_service_and_ends_with_ctrl_c(
    serve: Serve, tmp_path: Path
) -> None:
    """A service that goes away is told, and found again when it is back."""
    with held_port() as port:
        server = serve(ECHO, "--port", str(port))
        assert server.port == port
        master, slave = pty.openpty()
        watching = subprocess.Popen(
            [*COMMAND, "--url", f"http://127.0.0.1:{port}"],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
        )
        os.close(slave)
        until = reading(master)
        try:
            until("calls/s")
            server.stop()
            until("looking again every")
            server = serve(ECHO, "--port", str(port))
            assert server.port == port
            until("calls/s")
            watching.send_signal(signal.SIGINT)
            assert watching.wait(ENDS_WITHIN) == 0
        finally:
            watching.kill()
            watching.wait()
            os.close(master)
