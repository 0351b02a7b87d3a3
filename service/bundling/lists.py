"""The list of a function's packages: as its author wrote it, or locked."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from .packages import run_tool
from .refused import Refused

_LOCK = "requirements.lock"
_WRITTEN = "requirements.txt"

RUNTIME_PLATFORM = "x86_64-manylinux_2_28"
"""The system of the platform's runtimes (docs/platform.md section 9)."""


def package_list(project: Path, function: Path) -> Path | None:
    """Return the project's lock, or else its `requirements.txt`, or that of its function; None if
    there is none. Raises Refused for a lock that is of another list.
    """
    written = _written(project, function)
    lock = project / _LOCK
    if not lock.is_file():
        return written
    of = re.search(r"^# (\S+): sha256 ([0-9a-f]{64})$", lock.read_text("utf-8", "replace"), re.M)
    if of and written and of[2] != _digest(written):
        raise Refused(
            f"{_LOCK} is stale, it is of another {_WRITTEN}: write it again with bundle --lock, or"
            " remove it"
        )
    return lock


def write_lock(project: Path, function: Path, python: str, tools: Path) -> None:
    """Write the lock anew, with the newest versions that fit. Raises Refused and OSError."""
    written = _written(project, function)
    if written is None:
        raise Refused(f"there is no {_WRITTEN} to lock: name the function's packages in it")
    lock = project / _LOCK
    unfinished = lock.with_suffix(".part")
    command = ["pip", "compile", "--quiet", "--no-config", "--generate-hashes", "--no-header"]
    command += [
        "--python-version",
        python,
        "--python-platform",
        RUNTIME_PLATFORM,
        "--python",
        str(tools),
    ]
    command += ["--no-emit-find-links", "--no-emit-index-url", "--output-file", str(unfinished)]
    try:
        run_tool([*command, str(written)], tools)
        text = f"# {written.name}: sha256 {_digest(written)}\n{unfinished.read_text('utf-8')}"
        unfinished.write_text(text, "utf-8")
        unfinished.replace(lock)
    finally:
        unfinished.unlink(missing_ok=True)


def _written(project: Path, function: Path) -> Path | None:
    places = (project / _WRITTEN, function / _WRITTEN)
    return next((place for place in places if place.is_file()), None)


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
