"""Takes out of a folder of packages what no instance needs.

`python -m bundling.pruning FOLDER`, as the Dockerfile has it: tests, stubs and sources of compiled
modules, their debug information, the installer's notes, and of the service what is for the desk. A
cold start begins with the download of the package.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from .stripping import stripped

_SERVICE = "fc_event_service"
DESK = (
    *("advice", "bundling", "checking", "console", "emulator", "own_console", "projects", "sizing"),
    "testing",
)
"""Wings of the service that nothing imports while it serves."""

_SOURCES = {".hash", ".pxd", ".pxi", ".pyx"}
"""Kinds of files that Cython reads, and Python does not. Those of C may be compiled at run time."""

_NOTES = {"INSTALLER", "REQUESTED", "WHEEL", "direct_url.json"}
"""What an installer notes for installers. `importlib.metadata` reads METADATA, entry_points.txt,
top_level.txt and RECORD; licences have to come along.
"""

_LEFT_OUT = '''\
"""Left out of what is deployed."""

raise ModuleNotFoundError(
    __name__ + " is for the desk and not in what is deployed: use it where fc-event-service is"
    " installed",
    name=__name__,
)
'''


def prune(folder: Path) -> None:
    """Remove it from `folder`, a folder of packages."""
    for place in [*folder.glob("**/tests"), *folder.glob("**/test")]:
        if place.is_dir() and not is_imported(place, folder):
            shutil.rmtree(place)
    read_stubs = packages_that_read_stubs(folder)
    for path in sorted(folder.rglob("*")):
        stub = path.suffix == ".pyi" and path.relative_to(folder).parts[0] not in read_stubs
        if path.is_file() and (stub or is_left_out(path)):
            path.unlink()
        elif path.suffix == ".so" or ".so." in path.name:
            _strip(path)
    for wing in DESK:
        leave_out(folder / _SERVICE / wing)
    for record in folder.glob("*.dist-info/RECORD"):
        update(record, folder)
    remove_empty(folder)


def is_imported(tests: Path, folder: Path) -> bool:
    """Whether a module outside of the tests imports them: then they are part of the package."""
    name = ".".join(tests.relative_to(folder).parts)
    wanted = re.compile(
        rf"^\s*(from|import)\s+({re.escape(name)}|\.+{tests.name})\b"
        rf"|^\s*from\s+\.+\s+import\s+.*\b{tests.name}\b",
        re.MULTILINE,
    )
    outside = (path for path in folder.rglob("*.py") if tests not in path.parents)
    return any(wanted.search(path.read_text(errors="replace")) for path in outside)


def packages_that_read_stubs(folder: Path) -> set[str]:
    """Return the names of packages that import what their stubs name (`lazy_loader`)."""
    modules = (path for path in folder.rglob("*.py") if b"attach_stub" in path.read_bytes())
    return {path.relative_to(folder).parts[0] for path in modules}


def is_left_out(path: Path) -> bool:
    """Whether a file, which is no stub, is none that an instance reads."""
    if ".dist-info" in path.parent.name:
        return path.name in _NOTES
    inside = [each for each in path.parents if each.name.endswith(".dist-info")]
    if inside:
        return "sboms" in path.relative_to(inside[0]).parts
    return path.suffix in _SOURCES or path.name == "py.typed" or path.name.startswith("_testcapi.")


def _strip(path: Path) -> None:
    """Take out of a compiled module what only a debugger reads."""
    data = path.read_bytes()
    smaller = stripped(data)
    if len(smaller) < len(data):
        path.write_bytes(smaller)


def leave_out(wing: Path) -> None:
    """Put a module that says so in the place of a wing."""
    if wing.is_dir():
        shutil.rmtree(wing)
        wing.mkdir()
        (wing / "__init__.py").write_text(_LEFT_OUT)


def update(record: Path, folder: Path) -> None:
    """Take out of a package's list of files what is no longer there: who asks for its files or its
    modules' distribution is told what is true.
    """
    lines = record.read_text().splitlines(keepends=True)
    kept = [line for line in lines if (folder / line.split(",")[0].strip('"')).is_file()]
    record.write_text("".join(sorted(kept)))


def remove_empty(folder: Path) -> None:
    """Remove folders that have nothing in them any more."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


if __name__ == "__main__":
    prune(Path(sys.argv[1]))
