"""Makes a project of a built-in runtime one of this service: its files, and what to look at."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..advice.finding import WILL_BREAK, Finding
from ..advice.reading import findings
from ..advice.sources import read_sources
from ..errors import UsageError
from .new_spec import hook_variable, new_spec
from .old_project import OldProject
from .packages import wanted_packages
from .templates import SHARED_FILES, file_rows, filled, values_of

CODE = "code"
"""The folder of the function's code in the new project."""

_MANY, _ONE = 100, 1
"""Calls at once of a function in which nothing was found that breaks, and of another one."""

_NOT_COPIED = (
    *(".git", ".s", ".env", ".venv", "venv", "node_modules", "__pycache__", "*.pyc", ".DS_Store"),
    *("s.yaml", "s.yml", "template.yml", ".emulator"),
)
_MOVED = {
    "code/": "the function, as it was",
    "code/config/service.toml": "settings of the service",
    "s.yaml": "what is deployed: taken over, on a runtime that serves many calls at once",
    "Dockerfile": "the same as an image",
    "tests/test_function.py": "calls the function with each event of tests/events",
    "Makefile": "`make run`, `make test`, `make emulate`, `make bundle`",
    "pyproject.toml": "settings of the tools",
    "requirements.txt": "packages that are deployed",
    "requirements-dev.txt": "packages for the tests and tools",
    "README.md": "this list, and how to begin",
}


@dataclass(frozen=True, slots=True)
class MovedProject:
    """What is to be written, and said: `findings` have paths below the code, or of the project."""

    files: dict[str, bytes]
    findings: Sequence[Finding]
    concurrency: int


def judged_project(old: OldProject) -> MovedProject:
    """Return what is to be said of a project where it is; no file is to be written."""
    found, packages = _found(old)
    place = os.path.relpath(old.code, old.folder)
    return MovedProject({}, _below(place, [*packages[1], *found]), _concurrency(found))


def moved_project(old: OldProject, name: str) -> MovedProject:
    """Return the new project of a function that is called `name`."""
    found, (packages, of_packages) = _found(old)
    concurrency = _concurrency(found)
    spec, of_spec = new_spec(old, name, concurrency)
    values = values_of(name, CODE, "\n".join(packages)) | {
        "FILES": file_rows(_MOVED),
        "AT_ONCE": str(min(concurrency * 2, 20)),
    }
    filled_in = (*SHARED_FILES, "README.md", "tests/test_function.py")
    files = {path: filled(path, values) for path in filled_in}
    files |= {"s.yaml": spec, **_settings(old)}
    files |= {f"tests/events/{path.name}": path.read_bytes() for path in old.events}
    return MovedProject(files, [*of_spec, *_below(CODE, [*of_packages, *found])], concurrency)


def _found(old: OldProject) -> tuple[list[Finding], tuple[list[str], list[Finding]]]:
    """Return what the code meets, and its packages with what is to be said of them."""
    hooks = [each for each in (old.initializer, old.pre_stop) if each]
    files, _ = read_sources(old.code)
    return findings(old.code, [old.handler], hooks), wanted_packages(old, files)


def _concurrency(found: Sequence[Finding]) -> int:
    return _ONE if any(each.level == WILL_BREAK for each in found) else _MANY


def _below(place: str, found: Sequence[Finding]) -> list[Finding]:
    """Return findings with the paths that they have in the project."""
    return [replace(each, file=os.path.normpath(f"{place}/{each.file}")) for each in found]


def copy_of(old: OldProject, target: Path) -> Callable[[Path], None]:
    """Return what copies the code into a new project. Raises UsageError if it would copy itself."""
    if target.resolve().is_relative_to(old.code.resolve()):
        raise UsageError(f"{target} lies within {old.code}, which is copied: write it elsewhere")

    def copy(folder: Path) -> None:
        try:
            shutil.copytree(
                old.code, folder / CODE, symlinks=True, ignore=shutil.ignore_patterns(*_NOT_COPIED)
            )
        except shutil.Error as reason:
            (source, _, why) = reason.args[0][0]
            why = re.sub(r"^\[Errno \d+\] (.*?)(: '.*)?$", r"\1", str(why))
            raise OSError(0, f"{source}: {why}") from None

    return copy


def _settings(old: OldProject) -> dict[str, bytes]:
    """Return the settings' file, with what only s.yaml tells else; none for code that has a
    `config` of its own.
    """
    if (old.code / "config").exists():
        return {}
    lines = [f'handler = "{old.handler}"'] if old.handler != "index.handler" else []
    named = {setting: hook_variable(old, setting) for setting in ("initializer", "pre_stop")}
    lines += [f'{setting} = "{hook}"' for setting, hook in named.items() if hook]
    text = filled("config/service.toml", {}).decode() + "".join(f"\n{line}" for line in lines)
    return {f"{CODE}/config/service.toml": text.rstrip("\n").encode() + b"\n"}
