"""The Python files of a function, read and parsed, and nothing of them run."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

MOST_FILES = 2000
"""Files that are read: a function with more has something in its folder that is not its own."""

NOT_OWN = {
    *("__pycache__", "benchmarks", "build", "dist", "docs", "examples", "node_modules", "reports"),
    "tests",
}
"""Folders of a project that are no part of a function, as `make bundle` leaves them out."""
OURS = {"service", "installed", "bundling"}
"""Folders of the service in a clone of it."""


class CodeFiles:
    """A function's own Python files, without those of packages that are installed beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._trees: dict[Path, ast.Module | None] = {}

    @cached_property
    def python(self) -> tuple[Path, ...]:
        """The files, in order, at most `MOST_FILES`."""
        found: list[Path] = []
        for file in self._walked():
            found.append(file)
            if len(found) == MOST_FILES:
                break
        return tuple(found)

    def _walked(self) -> Iterator[Path]:
        is_clone = (self.folder / "installed" / "fc_event_service").is_symlink()
        for place, folders, files in os.walk(self.folder):
            top = Path(place) == self.folder
            folders[:] = sorted(
                each
                for each in folders
                if not (top and is_clone and each in OURS) and _is_own(Path(place), each)
            )
            yield from (Path(place, name) for name in sorted(files) if name.endswith(".py"))

    def tree(self, file: Path) -> ast.Module | None:
        """Return what a file says, None for one that this Python cannot read."""
        if file not in self._trees:
            self._trees[file] = _parsed_file(file)
        return self._trees[file]

    def shown(self, file: Path) -> str:
        """Return a file's path as it is told."""
        return str(file.relative_to(self.folder))

    def module(self, name: str) -> Path | None:
        """Return the file of a module, `src.index` for example, if it is one of the function's."""
        path = self.folder.joinpath(*name.removeprefix("./").replace("/", ".").split("."))
        files = (path.with_name(f"{path.name}.py"), path / "__init__.py")
        return next((file for file in files if file.is_file()), None)


def _is_own(place: Path, name: str) -> bool:
    folder = place / name
    if name.startswith(".") or name in NOT_OWN or (folder / "pyvenv.cfg").exists():
        return False
    return not is_of_packages(folder)


def is_of_packages(folder: Path) -> bool:
    """Tell whether packages are installed in a folder."""
    return any(folder.glob("*.dist-info"))


def _parsed_file(file: Path) -> ast.Module | None:
    try:
        return ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def top_names(tree: ast.Module) -> Mapping[str, ast.stmt] | None:
    """Return what a module defines, each name with its statement; None if that cannot be told:
    it has `import *`, or names that it makes up.
    """
    found: dict[str, ast.stmt] = {}
    for node in _statements(tree.body):
        for name in _defined(node):
            found[name] = node
    return None if {"*", "__getattr__"} & found.keys() else found


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that run at import, those within `if`, `try` and `with` too."""
    for node in body:
        yield node
        for part in ("body", "orelse", "finalbody"):
            inner = getattr(node, part, None)
            if isinstance(inner, list) and not isinstance(node, _SCOPES):
                yield from _statements(inner)
        for handler in getattr(node, "handlers", []):
            yield from _statements(handler.body)


_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _defined(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, _SCOPES):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from (each.asname or each.name.partition(".")[0] for each in node.names)
    elif isinstance(node, ast.Assign | ast.AnnAssign | ast.For | ast.With):
        names = (each for each in ast.walk(node) if isinstance(each, ast.Name))
        yield from (each.id for each in names if isinstance(each.ctx, ast.Store))
