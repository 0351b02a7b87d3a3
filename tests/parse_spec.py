"""What Serverless Devs' own parser (npm's @serverless-devs/parse-spec) makes of the cases.

`make parse-spec` installs it into build/parse-spec and writes tests/cases/parsed.json anew. Where
Node.js or the package is missing, the file serves.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
CASES = ROOT / "tests" / "cases" / "specs"
RECORD = ROOT / "tests" / "cases" / "parsed.json"
SCRIPT = ROOT / "tests" / "cases" / "parse.cjs"
PACKAGE = ROOT / "build" / "parse-spec"
NAMES = sorted(path.name for path in CASES.iterdir())
HERE = "HERE"
"""Stands for the folder of a case."""


def copied(name: str, folder: Path) -> Path:
    """Copy a case into the folder, with the code's directory that it speaks of; return its file."""
    case = shutil.copytree(CASES / name, folder / name)
    (case / "code").mkdir(exist_ok=True)
    return case / "s.yaml"


def is_installed() -> bool:
    """Tell whether Node.js and the package are there."""
    return bool(shutil.which("node")) and (PACKAGE / "node_modules" / "@serverless-devs").is_dir()


def parsed(folders: Sequence[Path], home: Path) -> dict[str, Any]:
    """Return what the parser makes of the file in each folder, by the folder's name.

    The parser writes into the home directory, which is `home` therefore.
    """
    run = subprocess.run(
        ["node", str(SCRIPT), *map(str, folders)],
        cwd=PACKAGE,
        env={"HOME": str(home), "PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        timeout=120,
        check=True,
    )
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def parsed_cases() -> dict[str, Any]:
    """Return what the parser makes of all cases."""
    with tempfile.TemporaryDirectory() as folder:
        files = [copied(name, Path(folder)) for name in NAMES]
        return parsed([file.parent for file in files], Path(folder))


def recorded() -> dict[str, Any]:
    """Return what the parser made of all cases when it was asked last."""
    found: dict[str, Any] = json.loads(RECORD.read_text())
    return found


if __name__ == "__main__":
    if not is_installed():
        sys.exit("Node.js, or the package in build/parse-spec, is missing: make parse-spec")
    RECORD.write_text(json.dumps(parsed_cases(), indent=1, sort_keys=True) + "\n")
