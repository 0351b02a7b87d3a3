"""Installs the packages of a list into a folder, for another Python than this one, and compiles
nothing.

`python -m bundling.packages FOLDER LOCK [uv's flags]`, as the Dockerfile has it. uv (`run_uv.py`)
is the one beside this Python, which has setuptools, too (requirements-uv.lock).

Most packages come as wheels. Some, Alibaba's own SDKs among them, exist as source only: these are
built here if they are Python alone. What has to be compiled would be for this machine and not for
the function's, so it is refused with one line.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from .refused import Refused
from .run_uv import uv, uv_environment

_HERE = Path(__file__).resolve().parent
_REMEDIES = {"psycopg2": "take psycopg2-binary in its place"}
_OTHERWISE = "take another version or another package that has a wheel for the function's Python"

_NO_WHEEL = re.compile(r"([\w.-]+)==(\S+) has no wheels with a matching")
_HAS = re.compile(r"with the following .*? tags?: (.*?)(?: hint: |$)")
_NOT_FOUND = re.compile(r"([\w.-]+) was not found in the (?:package registry|provided)")
_NO_ANSWER = re.compile(
    r"(?:error sending request for url \(|Failed to fetch: `?)(https?://[^/\s`)]+)"
)


def install_packages(
    folder: Path, listed: Path, *flags: str, tools: Path = Path(sys.executable)
) -> None:
    """Install them. A list with hashes is checked by them; a lock names all that is needed. Raises
    Refused.
    """
    command = ["pip", "install", "--quiet", "--no-config", "--python", str(tools)]
    command += ["--target", str(folder), "--link-mode", "copy", "--no-build-isolation", *flags]
    command += ["--require-hashes"] if "--hash=" in listed.read_text("utf-8", "replace") else []
    command += ["--no-deps"] if listed.suffix == ".lock" else []
    # Of its own: what was built elsewhere may have been compiled.
    command += ["--cache-dir", str(Path("build", "uv-cache").absolute())]
    run_tool([*command, "--requirements", str(listed)], tools)


def run_tool(command: list[str], tools: Path) -> None:
    """Run uv. Raises Refused with what its complaint comes to."""
    builds = {"PYTHONPATH": str(_HERE / "builds"), "PYTHONWARNINGS": "ignore"}
    try:
        done = subprocess.run(
            [uv(tools), *command],
            env={**uv_environment(tools), **builds},
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
    except FileNotFoundError:
        raise Refused(
            f"packages for the function's Python are installed by uv, and there is no {uv(tools)}:"
            f" {tools} -m pip install uv setuptools"
        ) from None
    if done.returncode:
        raise Refused(told_of_uv(done.stderr))


def told_of_uv(text: str) -> str:
    """Return what uv's complaint comes to, in a line: the package, and what to do."""
    compiled = re.search(r"COMPILED (\S+): (.*)", text)
    failed = re.search(r"Failed to build `([^`=]+)", text)
    backend = re.search(r"No module named '([^']+)'", text)
    if compiled:
        name, why = compiled[1], f"has compiled parts ({compiled[2]})"
    elif failed and backend:
        name, why = failed[1], f"is built with {backend[1]}, which is not among the tools here"
    elif failed:
        name, why = (
            failed[1],
            f"cannot be built: {(text.strip().splitlines() or ['?'])[-1].strip()}",
        )
    else:
        return _told_of_search(" ".join(re.sub(r"[\u2500-\u25ff\u00d7]", " ", text).split()))
    return f"{name} exists as source only and {why}: {_REMEDIES.get(name, _OTHERWISE)}"


def _told_of_search(line: str) -> str:
    """Return what uv says, in one line, of packages that it has not found or not read."""
    if found := _NO_WHEEL.search(line):
        has = _HAS.search(line)
        only = f", only for {has[1].replace('`', '')}" if has else ""
        return f"{found[1]} {found[2]} has no wheel for the function's Python{only}: {_OTHERWISE}"
    if found := _NO_ANSWER.search(line):
        return (
            f"{found[1]} does not answer ({line.rpartition('cause: ')[2]}): try again where it can"
            " be reached, or name a mirror as pip knows it, pip config set global.index-url URL"
        )
    if found := _NOT_FOUND.search(line):
        return (
            f"there is no package {found[1]} where pip looks for packages: correct its name, or"
            " say where it is, PIP_INDEX_URL=... or PIP_FIND_LINKS=FOLDER"
        )
    return re.sub(r"^error: (.*?cause: )?| hint: .*", "", line) or "uv has failed and says nothing"


def _main(folder: str, lock: str, *flags: str) -> int:
    """Install; return the exit code."""
    try:
        install_packages(Path(folder), Path(lock), *flags)
    except Refused as reason:
        sys.stderr.write(f"{reason}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
