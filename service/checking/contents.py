"""What a package brings: its size, compiled modules that load or not, and what no call needs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .checked import CheckedFunction
from .finding import CheckFinding
from .images import Interpreter
from .packages import misfits, package_folders, some_of
from .wheels import bundled_packages

_MB = 1_000_000
LARGEST_ZIP, LARGEST_ZIP_IN_MOST = 500 * _MB, 100 * _MB
"""Bytes of a zip in some regions, and in the others (docs/platform.md section 8)."""

NEEDLESS = 1 * _MB
"""Bytes of what no call needs from which on it is told: a cold start loads all of it."""

TESTS = {"test", "tests"}
STUBS = (".pyi", ".pxd", ".pxi", ".pyx")
PRUNED = {"tests", "stubs"}
"""What `make bundle` has left of them is imported, or read."""

NOT_SERVED = {
    ".git",
    ".venv",
    "venv",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    "node_modules",
}

MACHINES = {3: "i386", 40: "arm", 62: "x86_64", 183: "aarch64"}
"""By the number in an ELF file's head; instances are x86_64."""

_MODULE = re.compile(r"\.cpython-3(\d+)[a-z]*-([\w-]+)\.so\Z")
_LIBRARY = re.compile(r"\.so(\.\d+)*\Z")
_BYTE_CODE = re.compile(r"\.cpython-3(\d+)(\.opt-\d)?\.pyc\Z")


@dataclass(frozen=True, slots=True)
class PackedFile:
    """A file of a package, by its path in it."""

    name: str
    path: Path
    size: int


def content_rows(function: CheckedFunction) -> Iterator[CheckFinding]:
    """Yield what is wrong with a package that is built; of files that still have to be packed what
    makes the package.
    """
    package = function.package
    if package.maker:
        yield function.unknown(
            "package",
            ("code",),
            "is not built yet: the files that it is made of were looked at",
            remedy=f"run `{package.maker}`, then check again",
        )
    elif package.archive is not None or package_folders(function):
        files = [*packed_files(function.code.folder)]
        yield from _size(function, files)
        yield from _compiled(function, files)
        yield from _needless(function, files)
        yield from _one_folder(function, files)


def packed_files(folder: Path) -> Iterator[PackedFile]:
    """Yield the files of a package, in order."""
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(place, name)
            if path.is_file():
                yield PackedFile(path.relative_to(folder).as_posix(), path, path.stat().st_size)


def _size(function: CheckedFunction, files: Sequence[PackedFile]) -> Iterator[CheckFinding]:
    archive = function.package.archive
    unpacked = sum(each.size for each in files)
    size = unpacked if archive is None else archive.stat().st_size
    told = f"{len(files):,} files of {unpacked / _MB:,.1f} MB"
    told = told if archive is None else f"{size / _MB:,.1f} MB, {told}"
    remedy = "`make zip` tells what takes the most; put large data into OSS, or deploy an image"
    if archive is None and size > LARGEST_ZIP_IN_MOST:
        told = f"{told}: whether its zip has 100 MB at most, as most regions want, is not known"
        yield function.unknown("package", ("code",), told, remedy=remedy, source="8")
    elif size > LARGEST_ZIP:
        told = f"{told}: the platform takes 500 MB at most"
        yield function.fault("package", ("code",), told, remedy=remedy, source="8")
    elif size > LARGEST_ZIP_IN_MOST:
        told = f"{told}: most regions take 100 MB at most, some 500"
        yield function.doubt("package", ("code",), told, remedy=remedy, source="8")
    else:
        yield function.fits("package", ("code",), told, source="8")


# --- compiled modules


def _compiled(function: CheckedFunction, files: Sequence[PackedFile]) -> Iterator[CheckFinding]:
    """Yield compiled modules that the runtime's Python does not load, and that are of no package
    of which that is told.
    """
    bundled = bundled_packages(package_folders(function))
    told = {file for _why, package in misfits(function, bundled) for file in package.files}
    wrong: dict[str, list[str]] = {}
    for each in files:
        if not _LIBRARY.search(each.name) or each.path in told:
            continue
        if why := misfit_of_module(each, function.python):
            wrong.setdefault(why, []).append(each.name)
    for why, names in wrong.items():
        yield function.fault(
            "compiled",
            ("code",),
            f"{why}: {some_of(names)}",
            remedy="`make bundle` takes the wheels of the runtime's Python",
            source="9",
        )


def misfit_of_module(module: PackedFile, python: Interpreter) -> str:
    """Return why a compiled module does not load, "" if it does or nobody can tell."""
    with module.path.open("rb") as stream:
        head = stream.read(20)
    if head[:4] != b"\x7fELF":
        return "" if len(head) < 20 else "made for another system than Linux"
    machine = int.from_bytes(head[18:20], "little")
    if machine != 62:
        return f"made for {MACHINES.get(machine, 'another machine')}, and instances are x86_64"
    found = _MODULE.search(module.name)
    if found is None or python.minor is None:
        return ""
    if int(found[1]) != python.minor:
        return f"made for Python 3.{found[1]}, and {python} runs it"
    if found[2] != "x86_64-linux-gnu":
        return f"made for {found[2]}, and instances are x86_64-linux-gnu"
    return ""


# --- what is too much


def _needless(function: CheckedFunction, files: Sequence[PackedFile]) -> Iterator[CheckFinding]:
    is_pruned = not any(each.name.endswith(".dist-info/WHEEL") for each in files)
    sizes: dict[str, int] = {}
    for each in files:
        kind = needless_kind(each.name, function.python)
        if kind and not (is_pruned and kind in PRUNED):
            sizes[kind] = sizes.get(kind, 0) + each.size
    if sum(sizes.values()) < NEEDLESS:
        return
    parts = [f"{kind} {size / _MB:,.1f} MB" for kind, size in sorted(sizes.items())]
    yield function.doubt(
        "package",
        ("code",),
        f"brings what no call needs, and each cold start loads: {', '.join(parts)}",
        remedy="`make bundle` leaves it out",
    )


def needless_kind(name: str, python: Interpreter) -> str:
    """Return which kind of needless file one is, "" for one that may be needed."""
    *folders, file = name.split("/")
    if kept := NOT_SERVED.intersection(folders):
        return min(kept)
    if TESTS.intersection(folders):
        return "tests"
    if file.endswith(STUBS):
        return "stubs"
    found = _BYTE_CODE.search(file)
    if found and python.minor is not None and int(found[1]) != python.minor:
        return f"byte code of Python 3.{found[1]}"
    return ""


def _one_folder(function: CheckedFunction, files: Sequence[PackedFile]) -> Iterator[CheckFinding]:
    """Yield a warning if an archive has all in one folder: `/code` would have that folder alone."""
    tops = {each.name.partition("/")[0] for each in files}
    if function.package.archive is None or len(tops) != 1 or "/" not in files[0].name:
        return
    top = tops.pop()
    yield function.doubt(
        "package",
        ("code",),
        f"all of it lies in the folder {top}/: instances have it in /code/{top}",
        remedy=f"zip what is in {top}/, not the folder",
        source="9",
    )
