"""Packages that are installed in a folder, and which Python and system each is compiled for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from .images import Interpreter
from .lock import plain_name

GLIBC = {"custom": 24, "custom.debian10": 28, "custom.debian11": 31, "custom.debian12": 36}
"""The C library of each image, 2.N: that of its Debian. A wheel for a newer one does not load."""


@dataclass(frozen=True, slots=True)
class BundledPackage:
    """A package that is installed in a folder, with the tags of the wheel that it came as."""

    name: str
    version: str
    tags: tuple[str, ...]
    info: Path
    """The folder with its notes."""

    @property
    def files(self) -> Iterator[Path]:
        """The files that its list names."""
        for line in _text_of(self.info / "RECORD").splitlines():
            yield self.info.parent / line.partition(",")[0].strip('"')


def bundled_packages(folders: Sequence[Path]) -> Iterator[BundledPackage]:
    """Yield the packages that are installed in some folders."""
    for folder in folders:
        for info in sorted(folder.glob("*.dist-info")):
            name, _, version = info.name.removesuffix(".dist-info").partition("-")
            yield BundledPackage(plain_name(name), version, _tags(info), info)


def _tags(info: Path) -> tuple[str, ...]:
    """Return what a package is for: its wheel's tags, or what the names of its compiled modules
    say if the bundle has left that note out.
    """
    if found := re.findall(r"^Tag:\s*(\S+)", _text_of(info / "WHEEL"), re.MULTILINE):
        return tuple(found)
    modules = re.findall(r"\.cpython-(3\d+)-([\w-]+)\.so,", _text_of(info / "RECORD"))
    return tuple(dict.fromkeys(f"cp{v}-cp{v}-{_SYSTEMS.get(s, s)}" for v, s in modules))


_SYSTEMS = {"x86_64-linux-gnu": "linux_x86_64"}


def _text_of(file: Path) -> str:
    try:
        return file.read_text("utf-8", errors="replace")
    except OSError:
        return ""


def misfit_of(tags: Sequence[str], python: Interpreter, runtime: str) -> str:
    """Return why a package is not for a Python of a runtime, "" if it is, or nobody can tell."""
    if not tags or python.minor is None:
        return ""
    if not any(tag_fits(each, python.minor) for each in tags):
        version, _abi, system = tags[0].split("-", 2)
        is_here = system == "any" or re.fullmatch(_LINUX, system)
        made = version if is_here else f"{version} on {system}"
        return f"compiled for {made}, and {python} on Linux x86_64 runs it"
    glibc = [int(n) for n in re.findall(r"manylinux_2_(\d+)_", " ".join(tags))]
    newest = GLIBC.get(runtime)
    if glibc and newest is not None and min(glibc) > newest:
        return f"needs glibc 2.{min(glibc)}, and {runtime} has 2.{newest}"
    return ""


_LINUX = r"(many)?linux\w*_x86_64"


def tag_fits(tag: str, minor: int) -> bool:
    pythons, _, rest = tag.partition("-")
    abi, _, platform = rest.partition("-")
    if platform != "any" and not re.fullmatch(_LINUX, platform):
        return False
    for each in pythons.split("."):
        found = re.fullmatch(r"(cp|py)3(\d*)", each)
        if found and found[1] == "py":
            return int(found[2] or 0) <= minor
        if found and abi in ("abi3", "none"):
            return int(found[2] or 0) <= minor
        if found and int(found[2] or -1) == minor and abi == f"cp3{minor}":
            return True
    return False


def installed_tags(name: str) -> tuple[str, ...]:
    """Return the tags of a package that is installed here, () for another one."""
    try:
        text = metadata.distribution(name).read_text("WHEEL") or ""
    except metadata.PackageNotFoundError:
        return ()
    return tuple(re.findall(r"^Tag:\s*(\S+)", text, re.MULTILINE))
