"""A folder is written as a whole, or not at all, whoever stops it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from service import whole_folder as module
from service.whole_folder import Interrupted, interrupted_by_signals, whole_folder
from tests.harness import RUNS_WITHIN

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    """The first one interrupts, and another one does not interrupt the tidying."""
    before = signal.getsignal(number)

    def stopped() -> None:
        with interrupted_by_signals(), whole_folder(tmp_path / "f") as folder:
            (folder / "half").mkdir(mode=0o500)
            try:
                signal.raise_signal(number)
            finally:
                signal.raise_signal(signal.SIGTERM)
            raise AssertionError("it was not interrupted")

    with pytest.raises(Interrupted) as stop:
        stopped()
    assert (stop.value.exit_code, str(stop.value)) == (128 + number, number.name)
    assert os.listdir(tmp_path) == []
    assert signal.getsignal(number) == before


def test_a_signal_that_comes_while_a_failure_is_tidied_up_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure is what is told."""
    remove = module._remove

    def stopped(folder: Path) -> None:
        signal.raise_signal(signal.SIGTERM)
        remove(folder)

    def fails() -> None:
        with interrupted_by_signals(), whole_folder(tmp_path / "f") as folder:
            (folder / "half").touch()
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_remove", stopped)
    with pytest.raises(OSError, match="No space"):
        fails()
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_replaced_is_there_until_the_new_one_is(tmp_path: Path) -> None:
    """And stays if the new one is not finished."""
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "old").touch()

    def fails() -> None:
        with whole_folder(tmp_path / "f", over=True) as folder:
            (folder / "half").touch()
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        fails()
    assert os.listdir(tmp_path / "f") == ["old"]
    with whole_folder(tmp_path / "f", over=True) as folder:
        (folder / "new").touch()
        assert os.listdir(tmp_path / "f") == ["old"]
    assert os.listdir(tmp_path / "f") == ["new"]
    assert os.listdir(tmp_path) == ["f"]


STOPPED = """\
import os, signal, sys
from service.commands import new
from service.commands.main import main
from service.projects import moving

def copied(old, target):
    def stop(folder):
        (folder / "half").touch()
        os.kill(os.getpid(), signal.SIGTERM)
    return stop

moving.copy_of = copied
sys.argv = ["fc-event-service", "new", "moved", "--from", sys.argv[1]]
main()
"""


def test_new_that_is_stopped_says_so_in_a_line(tmp_path: Path) -> None:
    """With the signal's exit code; the folder in which it was being made is gone."""
    case = ROOT / "tests" / "cases" / "built_in" / "hello"
    done = subprocess.run(
        [sys.executable, "-c", STOPPED, str(case)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=RUNS_WITHIN,
    )
    assert (done.returncode, done.stdout) == (143, "")
    assert done.stderr.endswith(": SIGTERM: nothing was written\n")
    assert os.listdir(tmp_path) == []
