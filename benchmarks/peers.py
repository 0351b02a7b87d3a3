"""Install the peers: together, or one by one if that fails. `make bench` shows the one that this
machine or this Python cannot have as not run, and measures the others.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "-q")
WITHIN = 600
"""Seconds for each."""


def main() -> int:
    """Install the project, which must succeed, and the peers."""
    project = [*PIP, "-e", ".[emulator]"]
    peers = tomllib.loads(Path("pyproject.toml").read_text())["dependency-groups"]["bench"]
    if subprocess.run([*project, *peers], timeout=WITHIN).returncode == 0:
        return 0
    subprocess.run(project, check=True, timeout=WITHIN)
    for peer in peers:
        if subprocess.run([*PIP, peer], timeout=WITHIN).returncode:
            print(f"left out: {peer}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
