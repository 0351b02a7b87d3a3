"""The function's own files: which of a folder they are, and their copy in a code package."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from fnmatch import fnmatch
from pathlib import Path

from .refused import Refused

OF_PROJECTS = (
    *("tests", "docs", "examples", "benchmarks", "build", "dist", "reports", "*.egg-info", "*.md"),
    *("*.lock", "s.yaml", "s.yml", "s.*.yaml", "Dockerfile", "Makefile", "MANIFEST.in", "LICENSE"),
    *("pyproject.toml", "setup.py", "requirements*.txt"),
)
"""What a project has at its top that is no part of its function."""

_OF_A_CLONE = ("service", "installed", "bundling", "llms.txt", "zensical.toml")
_NOWHERE = ("__pycache__", "node_modules", "*.pyc")
_IS_PROJECT = ("s.yaml", "s.yml", "Makefile")


def function_files(folder: Path) -> list[Path]:
    """Return what at the top of a folder is part of the function: nothing with a dot in front, no
    environment, and, if it is the project's folder, none of the project's files.

    Raises Refused if that is nothing.
    """
    left_out = list(_NOWHERE)
    if any((folder / name).exists() for name in _IS_PROJECT):
        left_out += OF_PROJECTS
    if (folder / "installed" / "fc_event_service").is_symlink():
        left_out += _OF_A_CLONE
    found = [
        path
        for path in sorted(folder.iterdir())
        if not path.name.startswith(".")
        and not any(fnmatch(path.name, each) for each in left_out)
        and not (path / "pyvenv.cfg").exists()
        and not _is_installed(path)
    ]
    if not found:
        raise Refused(f"{folder} has no file of a function: name its folder, bundle code")
    return found


def _is_installed(path: Path) -> bool:
    """Whether it is the folder of packages that another tool has made for another Python."""
    return path.name == "python" and any(path.glob("*.dist-info"))


def copy_files(found: Collection[Path], target: Path) -> None:
    """Copy the files. What a link leads to is copied in its place: nothing else of this machine is
    on the platform. Raises Refused for what cannot be in a package, and OSError.
    """
    for path in found:
        _copy(path, target / path.name, (path.parent.resolve(),))


def _copy(source: Path, target: Path, above: tuple[Path, ...]) -> None:
    if source.is_dir():
        real = source.resolve()
        if real in above:
            raise Refused(f"{source} leads back to {real}, which it lies in: remove the link")
        target.mkdir()
        for path in _inside(source):
            _copy(path, target / path.name, (*above, real))
    elif source.is_file():
        shutil.copy(source, target)
    elif source.is_symlink():
        raise Refused(f"{source} is a link that leads nowhere: remove it, or what it names")
    else:
        raise Refused(f"{source} is neither a file nor a folder: remove it")


def _inside(folder: Path) -> Iterator[Path]:
    return (
        path
        for path in sorted(folder.iterdir())
        if not any(fnmatch(path.name, each) for each in (*_NOWHERE, ".DS_Store", ".git"))
    )
