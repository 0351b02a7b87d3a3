"""The Python files of a function's folder that its author has written, parsed."""

from __future__ import annotations

import ast
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .finding import MAY_BREAK, WILL_BREAK, Finding

_LEFT_OUT = {
    *("__pycache__", "node_modules", "site-packages", "venv", "env", "build", "dist", "reports"),
    *("tests", "test", "docs"),
}
"""Folders that are no part of what calls run, or not the author's; those with a dot neither."""


@dataclass(frozen=True, slots=True, eq=False)
class CodeFile:
    """A file: its path below the folder, as a module's name, its lines, and what they say."""

    name: str
    module: str
    lines: tuple[str, ...]
    tree: ast.Module


def read_sources(folder: Path) -> tuple[list[CodeFile], list[Finding]]:
    """Return the files that parse, and a finding for each that does not. What cannot be read, and
    packages that were installed into the folder, are left out.
    """
    files, broken = [], []
    for path in _python_files(folder):
        name = path.relative_to(folder).as_posix()
        try:
            files.append(parse_file(path, name))
        except OSError:
            continue
        except (SyntaxError, ValueError, RecursionError, MemoryError) as reason:
            broken.append(_broken(name, reason))
    return files, broken


def parse_file(path: Path, name: str) -> CodeFile:
    """Read one file. Raises OSError, and SyntaxError, ValueError or RecursionError for what Python
    does not take.
    """
    data = path.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an invalid escape in their code is not this command's
        tree = ast.parse(data, name)
    lines = tuple(data.decode(errors="replace").splitlines())
    module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return CodeFile(name, module, lines, tree)


def _broken(name: str, reason: BaseException) -> Finding:
    line = getattr(reason, "lineno", None) or 1
    said = getattr(reason, "msg", None) or str(reason) or "it is nested too deep"
    return Finding(
        name,
        line,
        "syntax",
        WILL_BREAK if isinstance(reason, SyntaxError) else MAY_BREAK,
        f"Python cannot read it: {said}",
        "Correct it; print without parentheses and the like are Python 2.",
    )


def _python_files(folder: Path) -> Iterator[Path]:
    """Yield the author's files, in order."""
    for place, folders, names in os.walk(folder):
        here = Path(place)
        installed = _installed(here)
        folders[:] = sorted(
            name for name in folders if not _is_left_out(here / name) and name not in installed
        )
        for name in sorted(names):
            own = name.endswith(".py") and name not in installed and not _is_test(name)
            if own and (here / name).is_file():
                yield here / name


def _is_left_out(folder: Path) -> bool:
    name = folder.name
    return name in _LEFT_OUT or name.startswith(".") or (folder / "pyvenv.cfg").exists()


def _is_test(name: str) -> bool:
    return name == "conftest.py" or (name.startswith("test_") and name.endswith(".py"))


def _installed(folder: Path) -> set[str]:
    """Return what `pip install --target` has put into a folder: names at its top."""
    found: set[str] = set()
    for record in folder.glob("*.dist-info/RECORD"):
        for line in record.read_text(errors="replace").splitlines():
            path = line.split(",", 1)[0].strip('"')
            if not path.startswith(("/", "..")):
                found.add(path.split("/", 1)[0])
    for listed in folder.glob("*.egg-info/top_level.txt"):
        for name in listed.read_text(errors="replace").split():
            found |= {name, f"{name}.py"}
    return found
