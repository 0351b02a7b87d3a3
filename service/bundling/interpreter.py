"""Copies a Python that a runtime does not have, for a code package that brings it along.

It is a folder with bin/python3.14 and lib/python3.14, as an installed Python has them, or the ones
that uv installs. Its tests, its graphical parts and what makes environments stay behind.

A Python that was linked for a newer system than the runtime's brings its shared libraries along, C
library and loader included, and is started by that loader: what it starts is not touched by them.
"""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .refused import Refused
from .stripping import stripped

_OLDEST = (2, 31)
"""The C library of custom.debian11, the oldest that is deployed to."""

_LEFT_OUT = shutil.ignore_patterns(
    *("__pycache__", "*.a", "*.pyc", "config-*", "site-packages", "dist-packages", "test", "tests"),
    *("idlelib", "tkinter", "turtledemo", "turtle.py", "ensurepip", "lib2to3", "pydoc_data"),
    *(
        "EXTERNALLY-MANAGED",
        "LICENSE.txt",
        "_tkinter.*",
        "_*test*.so",
        "xxlimited*.so",
        "xxsubtype*",
    ),
    *("sitecustomize.py", "_pyrepl", "curses", "_curses*.so", "readline.*.so", "_dbm.*.so"),
)
_LOADER = "ld-linux-x86-64.so.2"
_STARTER = """\
#!/bin/sh
case $0 in */*) here=${0%/*} ;; *) here=. ;; esac
exec "$here/../lib/LOADER" --library-path "$here/../lib" --argv0 "$0" "$here/NAME.linked" "$@"
"""


def copy_interpreter(folder: Path, version: str, prefix: Path) -> None:
    """Copy it into a new folder. Raises Refused."""
    name = f"python{version}"
    program, library = prefix / "bin" / name, prefix / "lib" / name
    if not program.is_file() or not (library / "os.py").is_file():
        raise Refused(
            f"{prefix} has no {program.relative_to(prefix)} with its library: name the folder of a"
            f" Python {version}"
        )
    root = next(
        (each for each in prefix.resolve().parents if (each / "lib64" / _LOADER).exists()), None
    )
    if root is None:
        raise Refused("a Python is brought along from Linux on x86-64: bundle there")
    (folder / "bin").mkdir(parents=True)
    shutil.copy(program, folder / "bin" / name)
    shutil.copytree(library, folder / "lib" / name, ignore=_skipped, symlinks=False)
    bring_libraries(root, prefix, folder, name)
    for path in folder.rglob("*"):
        if path.is_file():
            _strip(path)


def _skipped(folder: str, names: list[str]) -> set[str]:
    """Return what of a folder stays behind; links that lead nowhere do, too."""
    return {each for each in names if not (Path(folder) / each).exists()} | _LEFT_OUT(folder, names)


def _strip(path: Path) -> None:
    """Take out what only a debugger reads."""
    data = path.read_bytes()
    if data[:4] == b"\x7fELF":
        path.write_bytes(stripped(data))


def bring_libraries(root: Path, prefix: Path, folder: Path, name: str) -> None:
    """Copy the shared libraries that it needs: its own, or all with the loader."""
    linked = [folder / "bin" / name, *(folder / "lib").rglob("*.so")]
    found = libraries(root, prefix, linked)
    newest = max((needed_c_library(path) for path in [*linked, *found.values()]), default=_OLDEST)
    inside = {each: path for each, path in found.items() if path.is_relative_to(prefix / "lib")}
    if newest <= _OLDEST and inside.keys() == {each for each in found if not is_systems(each)}:
        wanted = inside
    else:
        wanted = {**found, **c_library(root), _LOADER: root / "lib64" / _LOADER}
        start_by_loader(folder / "bin" / name)
    for each, path in wanted.items():
        shutil.copy(path, folder / "lib" / each)
        (folder / "lib" / each).chmod(0o755)


def is_systems(name: str) -> bool:
    """Whether a library is part of the C library, which each system has."""
    return re.match(r"lib(c|m|dl|rt|util|pthread)\.so|ld-linux", name) is not None


def libraries(root: Path, prefix: Path, linked: Sequence[Path]) -> dict[str, Path]:
    """Return the shared libraries that files need, by their names, as the loader of `root` finds
    them.
    """
    places = [prefix / "lib", *(root / each / "x86_64-linux-gnu" for each in ("usr/lib", "lib"))]
    loader = [str(root / "lib64" / _LOADER), "--library-path", ":".join(map(str, places)), "--list"]
    found: dict[str, str] = {}
    for path in linked:
        done = subprocess.run([*loader, str(path)], capture_output=True, text=True)
        found |= dict(re.findall(r"^\s*(\S+) => (/\S+)", done.stdout, re.MULTILINE))
    return {name: Path(path) for name, path in found.items() if "/" not in name}


def c_library(root: Path) -> dict[str, Path]:
    """Return all parts of a root's C library: packages are linked to some that Python is not, and
    parts of two do not work together.
    """
    names = ("libc", "libm", "libpthread", "libdl", "librt", "libutil", "libresolv", "libnss_dns")
    found = (root / "lib" / "x86_64-linux-gnu" / f"{name}.so" for name in names)
    return {
        path.name: path for each in found for path in sorted(each.parent.glob(f"{each.name}.[0-9]"))
    }


def needed_c_library(path: Path) -> tuple[int, int]:
    """Return the version of the C library that a file was linked for."""
    found = re.findall(rb"GLIBC_(\d+)\.(\d+)", path.read_bytes())
    return max(((int(major), int(minor)) for major, minor in found), default=(0, 0))


def start_by_loader(program: Path) -> None:
    """Put a script in the program's place that starts it by the loader beside it."""
    program.rename(program.with_name(f"{program.name}.linked"))
    program.write_text(_STARTER.replace("LOADER", _LOADER).replace("NAME", program.name))
    program.chmod(program.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
