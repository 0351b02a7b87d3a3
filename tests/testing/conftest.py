"""Fixtures for the tests of what tests a function."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, ModuleType

import pytest

from service.testing import watching
from tests.testing.modules import Loading, imported


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loading:
    """Imports source text as the module `index`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(watching, "LOOKS_WAIT", 60.0)  # however slow the machine is

    def load(source: str) -> ModuleType:
        file = tmp_path / "index.py"
        file.write_text(source)
        return imported(file, monkeypatch)

    return load


@pytest.fixture
def interrupts() -> Iterator[signal.Signals]:
    """A signal that does to a test what Ctrl-C does: that one is ignored beside other processes."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    yield signal.SIGUSR1
    signal.signal(signal.SIGUSR1, before)
