"""Ctrl-C and SIGTERM: where they come, what they leave, and how the command exits."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from service.commands.main import run_command
from service.sizing import run, stopping
from service.sizing.fleet.simulate import simulate
from service.sizing.picture import save_picture
from service.sizing.stopping import SizeStop, SizeStopped
from tests.sizing.test_run import folder, kept

__all__ = ["folder"]

FLEET = ["size", "--rate", "20", "--duration", "15"]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"]
)
def test_a_signal_in_the_simulation_keeps_what_was_simulated(
    number: int,
    code: int,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The rows until then are printed, and the exit code is the signal's."""
    kept(folder)
    whole = simulate

    def stopped(*given: Any) -> Iterator[Any]:
        yield next(whole(*given))
        signal.raise_signal(number)
        pytest.fail("the signal stops it")

    monkeypatch.setattr(run, "simulate", stopped)
    monkeypatch.setattr(run, "draw_size", lambda *_given: "")
    before = signal.getsignal(number)
    assert run_command(FLEET, folder) == code
    said = capsys.readouterr()
    assert "instanceConcurrency: " in said.out
    assert "at most 20 calls/s for 15 s" in said.out
    assert "interrupted: " in said.err
    assert signal.getsignal(number) == before


def test_a_signal_while_a_picture_is_written_leaves_none(tmp_path: Path) -> None:
    """Neither half of it nor the file that it was written to; an older one stays."""
    picture, stop = tmp_path / "size.png", SizeStop()
    picture.write_text("older")

    def cut(path: Path, **_given: Any) -> None:
        path.write_text("half")
        signal.raise_signal(signal.SIGINT)

    figure = SimpleNamespace(tight_layout=lambda: None, savefig=cut)
    plt = SimpleNamespace(close=lambda _figure: None)
    with stop.heeded(), pytest.raises(SizeStopped):
        save_picture(plt, figure, picture)
    assert picture.read_text() == "older"
    assert list(tmp_path.iterdir()) == [picture]


def test_json_says_that_a_signal_came(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What there is until then is in it."""
    kept(folder)
    monkeypatch.setattr(run, "draw_size", lambda *_given: signal.raise_signal(signal.SIGINT))
    assert run_command(["size", "--resume", "--json"], folder) == 130
    said = json.loads(capsys.readouterr().out)
    assert (said["exit_code"], said["pictures"]) == (130, [])
    assert said["advice"]["concurrency"] > 1


def test_what_may_be_cancelled_is_cancelled_in_place_of_raised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An echo of the same signal changes nothing."""
    monkeypatch.setattr(stopping, "SAME_STOP", 600.0)  # however slow the machine is
    stop, cancelled = SizeStop(), []
    with stop.heeded():
        stop.cancel = lambda: cancelled.append(stop.number)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
    assert cancelled == [signal.SIGTERM]
    assert stop.exit_code == 143


def test_a_signal_that_nothing_can_be_cancelled_by_is_raised() -> None:
    """What runs is left at once."""
    stop = SizeStop()
    with stop.heeded(), pytest.raises(SizeStopped):
        signal.raise_signal(signal.SIGINT)
    assert stop.exit_code == 130
