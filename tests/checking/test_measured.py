"""What a start takes, and what is said if it takes no end, or fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.checking.measured import measure
from tests.harness import RUNS_WITHIN

FAILING = {
    "import os\nos._exit(5)\n": "it ended with code 5",
    "raise KeyError('DB_URL')\n": "DB_URL",
    "def initialize(context): raise ValueError('no database')\ndef handler(e, c): ...\n": (
        "the initializer fails: "
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("source", FAILING, ids=["exits", "import", "initializer"])
def test_a_function_that_fails_has_no_figures_and_a_reason(source: str, tmp_path: Path) -> None:
    """The check goes on, and tells why nothing was measured."""
    (tmp_path / "index.py").write_text(source)
    figures = measure(tmp_path, os.environ)
    assert FAILING[source] in figures.failure


def test_a_start_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    """After as long as the platform would wait."""
    (tmp_path / "index.py").write_text("import threading\nthreading.Event().wait()\n")
    assert measure(tmp_path, os.environ, limit=0.01).failure == "it took more than 0.01 s"


def test_an_interrupted_measurement_has_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends the measuring, and the rest of the check is told."""

    def interrupted(*_arguments: object, **_more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "run", interrupted)
    assert measure(tmp_path, os.environ).failure == "it was interrupted"


def test_a_measured_process_ends_by_itself() -> None:
    """Even if what it runs never does, and nobody waits for it any more."""
    code = (
        "import threading\nfrom service.checking.measured import end_in_time\n"
        "end_in_time(0.01)\nthreading.Event().wait()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=RUNS_WITHIN)
    assert done.returncode == 1
