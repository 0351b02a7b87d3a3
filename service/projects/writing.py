"""Writes a project's folder as a whole: it is there when all of it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from ..errors import UsageError
from ..whole_folder import whole_folder

CopyInto = Callable[[Path], None]


def check_target(target: Path) -> None:
    """Raise UsageError if a project cannot be written there, as far as it can be told before."""
    if os.path.lexists(target) and not _is_empty_folder(target):
        raise UsageError(f"{target} is there already: take another name, or remove it")
    if not target.parent.is_dir():
        raise UsageError(f"{target.parent} is no folder to write {target.name} into: make it first")


def write_project(
    target: Path, files: Mapping[str, bytes], copy_into: CopyInto | None = None
) -> None:
    """Write the files into a new folder. `copy_into` puts what else belongs into it, first.

    Raises UsageError or Interrupted, and then nothing is left.
    """
    check_target(target)
    try:
        with whole_folder(target) as folder:
            if copy_into is not None:
                copy_into(folder)
            for path, content in files.items():
                _write(folder / path, content)
    except OSError as reason:
        raise UsageError(_cannot(target, reason)) from None


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:  # never over what was copied
        file.write(content)


def _is_empty_folder(path: Path) -> bool:
    try:
        return path.is_dir() and not path.is_symlink() and not any(path.iterdir())
    except OSError:
        return False


def _cannot(target: Path, reason: OSError) -> str:
    if os.path.lexists(target) and not _is_empty_folder(target):
        return f"{target} is there already: take another name, or remove it"
    what = reason.strerror or str(reason)
    return (
        f"{target} cannot be written ({what}): nothing was; make room, or choose a folder that you"
        " may write into"
    )
