"""Faults that a test switches: the clock that instances have."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from service.emulator.instances import faults as module
from service.emulator.instances.faults import Faults


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in the place of libfaketime's."""
    file = tmp_path / "libfaketimeMT.so.1"
    file.touch()
    monkeypatch.setattr(module, "LIBRARIES", (str(file),))
    return file


def test_a_clock_that_is_right_needs_nothing() -> None:
    """No variable, no file, no library."""
    faults = Faults()
    faults.clock_skew = 0.0
    assert (faults.clock_skew, faults.environment()) == (0.0, {})


def test_instances_get_the_library_and_a_file_that_follows_each_change(library: Path) -> None:
    """What is set later is read by those that run already: the file's name stays."""
    faults = Faults()
    faults.clock_skew = 3600.0
    variables = faults.environment()
    file = Path(variables["FAKETIME_TIMESTAMP_FILE"])
    assert variables["LD_PRELOAD"] == str(library)
    assert file.read_text() == "+3600.000\n"
    faults.clock_skew = -1.5
    assert file.read_text() == "-1.500\n"
    faults.clock_skew = 0.0
    assert (faults.clock_skew, file.read_text()) == (0.0, "+0.000\n")
    assert faults.environment() == variables
    del faults
    gc.collect()
    assert not file.exists()
