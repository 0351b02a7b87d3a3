"""Runs uv with pip's index and certificates.

`python service/bundling/run_uv.py pip compile ...`, as the Makefile has it; uv is the one beside
this Python (requirements-uv.lock).

uv reads nothing of what pip is told. Behind a mirror, or a proxy with a certificate of its own,
`make run`, which uses pip, would work, and `make bundle` and the image would not. Further indexes
(`extra-index-url`) are not told: uv looks for a package in the first that has it, pip in all.
"""

from __future__ import annotations

import ast
import os
import ssl
import subprocess
import sys
from pathlib import Path

UVS = {
    "index-url": "UV_DEFAULT_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
}
"""pip's settings, and the variables that tell uv the same. A variable that is there stays."""


def uv(tools: Path = Path(sys.executable)) -> Path:
    """Return the path of the uv that is beside a Python."""
    return tools.with_name("uv")


def pips_settings(tools: Path = Path(sys.executable)) -> dict[str, str]:
    """Return what pip is told here by its files and by variables: the settings by their names."""
    command = [str(tools), "-m", "pip", "--disable-pip-version-check", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True).stdout
    return read_settings(listed)


def read_settings(listed: str) -> dict[str, str]:
    """Return the settings of `pip config list`, lines like `global.index-url='...'`: what is said
    for pip's `install` stands above what is said for all commands, and a variable above both.
    """
    found: dict[str, str] = {}
    for section in ("global.", "install.", ":env:."):
        for line in listed.splitlines():
            name, _, value = line.partition("=")
            if name.startswith(section):
                found[name.removeprefix(section)] = ast.literal_eval(value)
    return found


def uv_environment(tools: Path = Path(sys.executable)) -> dict[str, str]:
    """Return the variables for uv."""
    told = pips_settings(tools)
    variables = {
        theirs: " ".join(told[name].split()) for name, theirs in UVS.items() if name in told
    }
    if places := told.get("find-links"):
        variables["UV_FIND_LINKS"] = ",".join(places.split())
    paths = ssl.get_default_verify_paths()
    if paths.cafile or paths.capath:
        variables["UV_SYSTEM_CERTS"] = "true"  # pip trusts them, too
    return {**variables, **os.environ}


if __name__ == "__main__":
    sys.exit(subprocess.run([uv(), *sys.argv[1:]], env=uv_environment()).returncode)
