"""The list of packages that a function is deployed with, and what asks for them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UsageError

_PINNED = re.compile(r"([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==([^\s;\\]+)[^\S\n]*(?:;([^\n\\]*))?")
_NAME = re.compile(r"([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?\s*(?:\((.*)\)|([^;#]*))")


@dataclass(frozen=True, slots=True)
class LockFile:
    """A lock file: the version of each package by its name, and the line on which it stands."""

    path: Path
    versions: Mapping[str, str]
    lines: Mapping[str, int]


def plain_name(name: str) -> str:
    """Return a package's name as all its spellings have it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_lock(path: Path) -> LockFile | None:
    """Return a lock file, None if it is not there. Raises UsageError if it cannot be read."""
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as reason:
        raise UsageError(f"{path}: cannot be read: {reason}") from None
    versions: dict[str, str] = {}
    lines: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if found := _PINNED.match(line):
            versions[plain_name(found[1])], lines[plain_name(found[1])] = found[2], number
    return LockFile(path, versions, lines)


@dataclass(frozen=True, slots=True)
class AskedPackage:
    """A package that a project names, where, and which versions: `==2.1` for example, or ""."""

    name: str
    versions: str
    file: Path
    line: int = 0


def asked_packages(folder: Path) -> Iterator[AskedPackage]:
    """Yield what the function's files beside the lock ask for."""
    for file in (folder / "requirements.txt", folder / "code" / "requirements.txt"):
        if file.is_file():
            yield from _of_requirements(file)
    yield from _of_project(folder / "pyproject.toml")


def project_table(file: Path) -> Mapping[str, Any]:
    """Return the table `project` of a pyproject.toml, {} without one that can be read."""
    try:
        table = tomllib.loads(file.read_text("utf-8-sig")).get("project", {})
    except (OSError, ValueError):
        return {}
    return table if isinstance(table, Mapping) else {}


def _of_requirements(file: Path) -> Iterator[AskedPackage]:
    text = file.read_text("utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        # Options, addresses and paths are not names of packages.
        if line and not line.startswith(("#", "-")) and "://" not in line and "@ " not in line:
            yield from _named(line, file, number)


def _of_project(file: Path) -> Iterator[AskedPackage]:
    listed = project_table(file).get("dependencies", [])
    for each in listed if isinstance(listed, list) else []:
        if isinstance(each, str) and "@" not in each:
            yield from _named(each, file, 0)


def _named(text: str, file: Path, line: int) -> Iterator[AskedPackage]:
    found = _NAME.match(text)
    if found and ";" not in text:  # a marker may leave it out
        yield AskedPackage(found[1], (found[2] or found[3] or "").strip(), file, line)
