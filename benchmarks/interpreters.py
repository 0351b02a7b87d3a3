"""The interpreters that contenders run on: `make bench` makes an environment with the peers for
each version, `.venv-bench-3.14` for Python 3.14.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DESCRIBE = """
import json, platform
from importlib import metadata
print(json.dumps({
    "python": platform.python_version(),
    "build": " ".join(platform.python_build()),
    "compiler": platform.python_compiler(),
    "packages": dict(sorted((d.name, d.version) for d in metadata.distributions())),
}))
"""


@dataclass(frozen=True)
class Interpreter:
    """A version of Python, as 3.14, and its program."""

    version: str
    program: str

    def missing(self) -> str:
        """Say that it is not here, or nothing."""
        there = Path(self.program).exists()
        return "" if there else f"there is no Python {self.version} with the peers here"

    def has(self, module: str) -> bool:
        """Return whether a module is installed there."""
        return _has(self.program, module)

    def described(self) -> dict[str, Any]:
        """Return its exact version, how it was built, and its packages with their versions."""
        return _described(self.program)


def interpreter(version: str) -> Interpreter:
    """Return the interpreter of a version, which need not be here."""
    if version == RUNNING.version:
        return RUNNING
    return Interpreter(version, str(ROOT / f".venv-bench-{version}" / "bin" / "python"))


RUNNING = Interpreter("{}.{}".format(*sys.version_info), sys.executable)
"""The one that runs this program."""


@cache
def _has(program: str, module: str) -> bool:
    look = "import importlib.util, sys; sys.exit(not importlib.util.find_spec(sys.argv[1]))"
    return subprocess.run([program, "-c", look, module]).returncode == 0


@cache
def _described(program: str) -> dict[str, Any]:
    found = subprocess.run([program, "-c", DESCRIBE], capture_output=True, text=True, check=True)
    described: dict[str, Any] = json.loads(found.stdout)
    return described
