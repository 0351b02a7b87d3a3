"""Makes the zip of a code package: the same bytes each time for the same files.

SOURCE_DATE_EPOCH is the files' time (reproducible-builds.org); without it 1980 is, the first that a
zip can name.
"""

from __future__ import annotations

import hashlib
import os
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

_FIRST = 315_532_800
"""1980-01-01T00:00:00Z."""

_REGION, _MOST = 100_000_000, 500_000_000
"""Bytes that a package may have in each region, and in some (docs/platform.md section 8)."""

_LARGE = 25_000_000
"""What the service, with an interpreter of its own, stays below: a cold start loads all of it."""


def settle_files(root: Path) -> None:
    """Give files and folders the same modes and times each time, for whoever makes a zip."""
    for path in [*root.rglob("*"), root]:
        path.chmod(0o755 if path.is_dir() else _mode(path))
        os.utime(path, (_moment(), _moment()))


def write_zip(root: Path, archive: Path) -> None:
    """Write the zip of a settled folder, beside its place and then there."""
    unfinished = archive.with_suffix(".part")
    try:
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as zipped:
            for path in _files(root):
                entry = zipfile.ZipInfo(
                    path.relative_to(root).as_posix(), time.gmtime(_moment())[:6]
                )
                entry.create_system = 3  # Unix, which the modes are of
                entry.external_attr = (0o100000 | _mode(path)) << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                zipped.writestr(entry, path.read_bytes())
        unfinished.replace(archive)
    finally:
        unfinished.unlink(missing_ok=True)


def told_zip(root: Path, archive: Path, name: str) -> str:
    """Return a line of what a zip came to, by the name that is told."""
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    return f"{name}: {megabytes(archive.stat().st_size)}, {told_folder(root)}, sha256 {digest}"


def told_folder(root: Path) -> str:
    """Return what a folder comes to."""
    files = _files(root)
    unpacked = sum(path.stat().st_size for path in files)
    return f"unpacked {megabytes(unpacked)}, {len(files)} files"


def megabytes(size: int) -> str:
    """Return a size as people read it."""
    return f"{size / 1e6:.1f} MB"


def told_size(root: Path, archive: Path) -> str:
    """Return what is wrong with the size of a zip, in a line; "" if nothing is."""
    size = archive.stat().st_size
    if size <= _LARGE:
        return ""
    if size <= _REGION:
        what = "takes a cold start's time to load"
    elif size <= _MOST:
        what = "is larger than the 100 MB of most regions"
    else:
        what = "is larger than the 500 MB that any region takes: deploy an image"
    return f"{archive} has {megabytes(size)} and {what}: {_largest(root, _files(root))}"


def is_refused(archive: Path) -> bool:
    """Whether most regions refuse a zip of its size."""
    return archive.stat().st_size > _REGION


def _files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def _moment() -> int:
    """Return the time of all files, in seconds."""
    return max(int(os.environ.get("SOURCE_DATE_EPOCH") or _FIRST), _FIRST)


def _mode(path: Path) -> int:
    """Return the mode of a file: it can be run, or it cannot."""
    return 0o755 if path.stat().st_mode & 0o100 else 0o644


def _largest(root: Path, files: Sequence[Path]) -> str:
    """Return what takes most room."""
    sizes: dict[str, int] = {}
    for path in files:
        parts = path.relative_to(root).parts
        name = "/".join(parts[: 2 if parts[0] == "python" else 1])
        sizes[name] = sizes.get(name, 0) + path.stat().st_size
    most = sorted(sizes, key=sizes.__getitem__, reverse=True)[:3]
    return ", ".join(f"{name} has {megabytes(sizes[name])}" for name in most)
