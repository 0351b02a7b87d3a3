"""Handlers of known CPU and wait, measured as a user has them measured."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from service.commands.main import run_command
from service.errors import HandlerUnfit
from service.sizing.findings import size_findings
from service.sizing.fit import fit
from service.sizing.report import SizeReport, read_report
from tests.harness import RUNS_WITHIN

pytestmark = pytest.mark.long

WAITS = """\
import asyncio, time

async def handler(event, context):
    ends = time.thread_time() + 0.002
    while time.thread_time() < ends:
        pass
    await asyncio.sleep(0.1)
"""
PLAIN = WAITS.replace("async def", "def").replace("await asyncio.sleep", "time.sleep")
BLOCKS = """\
import time

async def handler(event, context):
    time.sleep(0.02)
"""
LEAKS = """\
kept = []

async def handler(event, context):
    kept.append(bytearray(40_000))
"""
NETWORK = """\
import asyncio

async def handler(event, context):
    await asyncio.open_connection("127.0.0.1", 1)
"""
SLOW = """\
import asyncio

async def handler(event, context):
    await asyncio.sleep(60)
"""

Size = Callable[..., SizeReport]


@pytest.fixture
def size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Size:
    """Measures a handler, and returns the report."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # no picture

    def measured(source: str, levels: str = "1,5,20,50", seconds: int = 30) -> SizeReport:
        (tmp_path / "index.py").write_text(source)
        flags = ["--levels", levels, "--seconds", str(seconds)]
        assert run_command(["size", *flags], tmp_path) == 0
        report = read_report(tmp_path / "reports" / "size.json")
        assert report is not None
        return report

    return measured


@pytest.mark.parametrize("source", [WAITS, PLAIN], ids=["async", "plain"])
def test_cpu_and_wait_of_a_handler_are_found(size: Size, source: str) -> None:
    """2 ms of CPU and 100 ms of waiting, with what the service and a busy machine add."""
    report = size(source)
    found = fit(report.levels)
    assert 0.0015 < found.cpu < 0.006
    assert 0.08 < found.wait < 0.3
    assert report.levels[-1].threads >= (50 if source == PLAIN else 1)


def test_a_handler_that_blocks_the_loop_is_told(size: Size) -> None:
    """Twenty milliseconds in which nothing else runs."""
    report = size(BLOCKS, "1,5,20")
    assert fit(report.levels).serial > 0.015
    told = size_findings(report, fit(report.levels))
    assert any(line.startswith(("blocks: ", "this machine was busy")) for line in told)


def test_a_handler_that_leaks_is_told(size: Size) -> None:
    """40 kB a call."""
    report = size(LEAKS, "1,5,20")
    told = size_findings(report, fit(report.levels))
    assert any(line.startswith("leaks: memory grows by ") for line in told)


def test_a_handler_that_needs_its_own_network_is_told(size: Size) -> None:
    """Where nothing listens."""
    with pytest.raises(HandlerUnfit, match="needs something of its network"):
        size(NETWORK)


def test_a_handler_that_takes_a_minute_is_told_how_long_to_measure(size: Size) -> None:
    """In one line, when the time is over."""
    with pytest.raises(HandlerUnfit, match="no answer within --seconds 6"):
        size(SLOW, seconds=6)


def test_an_interrupted_run_keeps_what_it_has_measured(tmp_path: Path) -> None:
    """Ctrl-C prints it, says how to go on, and leaves no process; --resume measures the rest."""
    (tmp_path / "index.py").write_text(WAITS)
    command = [sys.executable, "-P", "-m", "fc_event_service", "size", "--levels", "1,2,5"]
    run = subprocess.Popen(
        [*command, "--seconds", "12"],
        cwd=tmp_path,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert run.stderr is not None
    while "2 at once" not in (line := run.stderr.readline()):
        assert line
    run.send_signal(signal.SIGINT)
    said, told = run.communicate(timeout=RUNS_WITHIN)
    assert run.returncode == 130
    assert "--resume goes on" in told
    assert "not measured yet: 2, 5" in said
    report = read_report(tmp_path / "reports" / "size.json")
    assert report is not None
    assert [level.at_once for level in report.levels] == [1]
    subprocess.run(
        [*command, "--seconds", "8", "--resume"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=RUNS_WITHIN * 2,
    )
    report = read_report(tmp_path / "reports" / "size.json")
    assert report is not None
    assert [level.at_once for level in report.levels] == [1, 2, 5]
