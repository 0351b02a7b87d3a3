"""The supervisor and its workers as processes, around work that is no server."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

ENDS_WITHIN = 30.0

START = """
import os, sys, time
from service.errors import StartError
from service.process.signals import SIGNALS
from service.settings.table import Settings
from service.workers.start import serve_by_workers

def say(text):
    os.write(1, text.encode() + b"\\n")

def serving(share):
    share.serves(["serving"])
    os.read(share.alive, 1)
    say("told")
    return 0

def starting(share):
    say("starting")
    while True:  # one `signal.pause` would not see a signal that comes just before it
        time.sleep(0.01)

def failing(share):
    raise StartError("no table \\udce9 " + "x" * 300_000)

def dying(share):
    if share.place:
        return starting(share)
    os._exit(9)

SIGNALS.heed()
try:
    code = serve_by_workers(2, Settings(host="127.0.0.1", port=0), globals()[sys.argv[1]])
except StartError as error:
    say(ascii(str(error)[:80]))
    code = error.exit_code
sys.exit(code)
"""


@contextmanager
def started(work: str) -> Iterator[subprocess.Popen[str]]:
    """A supervisor of two workers that do this."""
    command = [sys.executable, "-c", START, work]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line_with(process: subprocess.Popen[str], text: str) -> None:
    """Read its lines up to one with a text."""
    assert process.stdout is not None
    assert any(text in line for line in process.stdout)


def test_a_stop_is_told_to_workers_that_serve() -> None:
    """By the pipe, once each; the supervisor ends with code 0 when both have."""
    with started("serving") as process:
        line_with(process, "serving")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=ENDS_WITHIN)
    assert (process.returncode, out.count("told"), err) == (0, 2, "")


def test_a_stop_ends_workers_that_start() -> None:
    """By the signal; that is no failure."""
    with started("starting") as process:
        line_with(process, "starting")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=ENDS_WITHIN)
    assert (process.returncode, err) == (0, "")


@pytest.mark.parametrize(
    ("work", "text"),
    [
        ("failing", r"no table \udce9 xxx"),
        ("dying", "a worker ended with code 9 before it served"),
    ],
)
def test_a_worker_that_cannot_start_ends_all(work: str, text: str) -> None:
    """Its reason, whatever is in it, is the supervisor's."""
    with started(work) as process:
        out, err = process.communicate(timeout=ENDS_WITHIN)
    assert (process.returncode, err) == (3, "")
    assert text in out
