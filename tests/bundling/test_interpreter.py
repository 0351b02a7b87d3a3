"""A Python that a code package brings along."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from service.bundling.interpreter import copy_interpreter
from service.bundling.refused import Refused
from tests.harness import RUNS_WITHIN

VERSION = "{}.{}".format(*sys.version_info)


@pytest.mark.skipif(
    not Path("/lib64/ld-linux-x86-64.so.2").exists(), reason="the runtimes are Linux on x86-64"
)
def test_a_copied_python_runs_from_its_new_place(tmp_path: Path) -> None:
    """It finds its own library and nothing of the old place's packages, and starts others of its
    kind; its tests are not copied.
    """
    folder = tmp_path / "interpreter"
    copy_interpreter(folder, VERSION, Path(sys.base_prefix))
    python = folder / "bin" / f"python{VERSION}"
    code = (
        "import asyncio, ssl, sqlite3, subprocess, sys; print(sys.executable, sys.prefix,"
        " subprocess.check_output([sys.executable, '-c', 'print(7)'], text=True).strip())"
    )
    command = [str(python), "-I", "-c", code]
    text = subprocess.check_output(command, text=True, env={}, timeout=RUNS_WITHIN)
    assert text == f"{python} {folder} 7\n"
    if python.with_name(f"{python.name}.linked").exists():  # it has brought its C library
        # Parts of two C libraries do not work together: a package is linked to some of its own.
        assert (folder / "lib" / "libpthread.so.0").exists()
    library = folder / "lib" / f"python{VERSION}"
    assert not [name for name in ("test", "site-packages") if (library / name).exists()]


def test_a_python_that_needs_nothing_newer_is_copied_as_it_is(tmp_path: Path) -> None:
    """One that was linked for an old system, as those are that uv installs."""
    prefix, folder = tmp_path / "prefix", tmp_path / "interpreter"
    for name in ("bin/python3.99", "lib/python3.99/os.py", "lib/python3.99/test/a.py"):
        (prefix / name).parent.mkdir(parents=True, exist_ok=True)
        (prefix / name).write_text("#!/bin/sh\n")
    copy_interpreter(folder, "3.99", prefix)
    found = {str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()}
    assert found == {"bin/python3.99", "lib/python3.99/os.py"}


def test_a_folder_without_that_python_is_told_in_a_line(tmp_path: Path) -> None:
    """With what to name."""
    told = "has no bin/python3.99 with its library: name the folder of a Python 3.99"
    with pytest.raises(Refused, match=told):
        copy_interpreter(tmp_path / "interpreter", "3.99", tmp_path)
    assert not (tmp_path / "interpreter").exists()
