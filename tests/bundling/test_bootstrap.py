"""What a code package starts with if its function names no command."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.harness import RUNS_WITHIN

ROOT = Path(__file__).parents[2]

TELLS = '#!/bin/sh\necho "$$ $PYTHONPATH $PYTHONFAULTHANDLER $PWD $*"\n'
"""A Python that says how it was started."""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A package for a Python that there is not."""
    text = (ROOT / "service" / "bundling" / "bootstrap").read_text().replace("@VERSION@", "3.99")
    (tmp_path / "bootstrap").write_text(text)
    (tmp_path / "bootstrap").chmod(0o755)
    return tmp_path


def started(command: str, folder: Path, **environ: str) -> tuple[subprocess.Popen[str], str, str]:
    """Its process, and what it has written."""
    variables = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    process = subprocess.Popen(
        [command],
        cwd=folder,
        env={**variables, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return process, *process.communicate(timeout=RUNS_WITHIN)


def test_the_service_is_the_process_that_was_started(code: Path, tmp_path: Path) -> None:
    """So it is process 1 and gets the platform's signals, in the folder of the code, wherever it
    was started; a PYTHONPATH of the function's stays.
    """
    python = code / "interpreter" / "bin" / "python3.99"
    python.parent.mkdir(parents=True)
    python.write_text(TELLS)
    python.chmod(0o755)
    process, out, _ = started(str(code / "bootstrap"), Path("/"), PYTHONPATH="/opt/lib")
    assert out == f"{process.pid} {code}/python:/opt/lib 1 {code} -P -m fc_event_service\n"
    process, out, _ = started("./bootstrap", code)
    assert out == f"{process.pid} {code}/python 1 {code} -P -m fc_event_service\n"


def test_a_runtime_without_that_python_is_told_in_a_line(code: Path) -> None:
    """With what to do."""
    process, out, err = started(str(code / "bootstrap"), code)
    assert (process.returncode, out) == (127, "")
    assert err == (
        f"bootstrap: the packages in {code}/python are for Python 3.99, which this runtime does not"
        " have: take another runtime, or bundle for its Python (bundle --python 3.11)\n"
    )
