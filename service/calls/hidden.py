"""Which files of the function hide a module, or are hidden by one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

REMEDY = "give the file another name"


def hidden(folder: Path) -> Iterator[str]:
    """Yield a line for each module of `folder` whose name another one has: a loaded one, which is
    what the function's import gets, or one of the standard library's, which nobody gets any more.

    Call it once `folder` is first on the path, and before a module of it is imported.
    """
    for name, file in sorted(_modules(folder)):
        loaded = sys.modules.get(name)
        place = getattr(loaded, "__file__", None) or "Python itself"
        if loaded is not None and not place.startswith(f"{folder}{os.sep}"):
            yield f"`import {name}` gets {place}, which is loaded already, not {file}: {REMEDY}"
        elif loaded is None and name in sys.stdlib_module_names:
            yield f"{file} hides Python's own module {name!r} from all that imports it: {REMEDY}"


def _modules(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the modules that lie in `folder`: name and file. A bare folder hides no module."""
    try:
        names = os.listdir(folder)
    except OSError:  # the import says what is wrong
        return
    for name in names:
        stem, dot, suffix = name.partition(".")
        if (suffix == "py" or not dot) and stem.isidentifier() and not stem.startswith("__"):
            file = folder / name if dot else folder / name / "__init__.py"
            if file.is_file():
                yield stem, str(file)
