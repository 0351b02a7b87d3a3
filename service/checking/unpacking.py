"""A zip, unpacked as the platform does it, into a folder of this machine."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path, PurePosixPath

MOST_UNPACKED = 2_000_000_000
"""Bytes that are unpacked to be looked into."""

MOST_ENTRIES = 200_000


def unpacked_zip(archive: Path, folder: Path) -> str:
    """Unpack an archive with its files' modes; return "", or why it cannot be deployed."""
    try:
        with zipfile.ZipFile(archive) as zipped:
            entries = zipped.infolist()
            if told := _refusal(entries):
                return told
            folder.mkdir(parents=True)
            for entry in entries:
                _unpack(zipped, entry, folder)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as reason:
        return f"cannot be unpacked ({reason}): deploy a zip, which `make zip` makes"
    except OSError as reason:
        return f"cannot be unpacked here: {reason.strerror or reason}"
    return ""


def _refusal(entries: list[zipfile.ZipInfo]) -> str:
    """Return why an archive is not unpacked, "" if it is."""
    size = sum(each.file_size for each in entries)
    if size > MOST_UNPACKED or len(entries) > MOST_ENTRIES:
        return f"has {len(entries):,} files and {size / 1e6:,.0f} MB: it is not looked into"
    outside = [each.filename for each in entries if not _is_inside(each.filename)]
    if outside:
        return f"has {outside[0]!r:.80}, which lies outside of it: make it anew"
    return ""


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\0" not in name


def _unpack(zipped: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path) -> None:
    """Unpack an entry; a link only if it leads to a file of the archive."""
    mode, path = entry.external_attr >> 16, folder / entry.filename
    if entry.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    content = zipped.read(entry)
    if stat.S_ISLNK(mode):
        target = PurePosixPath(entry.filename).parent / content.decode(errors="replace")
        if _is_inside(str(target)) and not path.exists():
            path.symlink_to(content.decode(errors="replace"))
        return
    path.write_bytes(content)
    path.chmod(0o600 | (mode & 0o777 or 0o644))
