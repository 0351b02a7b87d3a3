"""Install the peers one by one, for when they cannot be installed together: `make bench` shows the
one that this machine or this Python cannot have as not run, and measures the others.
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
    """Install the project, which must succeed, then each peer."""
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    subprocess.run([*PIP, "-e", "."], check=True, timeout=WITHIN)
    for peer in project["optional-dependencies"]["bench"]:
        if subprocess.run([*PIP, peer], timeout=WITHIN).returncode:
            print(f"left out: {peer}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
