"""The event that the command line names: a file, stdin, JSON text, or a sample."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import BinaryIO

from ..errors import UsageError


def event_bytes(argument: str, cwd: Path, stdin: BinaryIO) -> bytes:
    """Return the event that an argument names; an empty one is an empty event. Raises UsageError.

    `@NAME` is a file, as curl has it, or else a sample.
    """
    if argument == "-":
        return stdin.read()
    if argument.startswith("@"):
        content = _content(cwd / argument[1:])
        return _sample(argument[1:]) if content is None else content
    content = _content(cwd / argument) if argument else b""
    return _json(argument) if content is None else content


def _content(path: Path) -> bytes | None:
    """Return a file's bytes, None if there is no such file."""
    if not os.path.isfile(path):  # False for what no file can be named, unlike Path.is_file()
        return None
    try:
        return path.read_bytes()
    except OSError as reason:
        raise UsageError(f"event {path.name}: cannot be read: {reason.strerror}") from None


def _json(text: str) -> bytes:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        raise UsageError(
            f"event {text[:80]!r}: is neither a file nor JSON; use - for stdin,"
            " @FILE for a file, @NAME for a sample"
        ) from None
    return text.encode(errors="surrogateescape")


def _sample(name: str) -> bytes:
    # Import time is cold start, and serving needs no samples.
    from ..events.sample import sample

    try:
        return sample(name)
    except LookupError as reason:
        raise UsageError(f"event @{name}: there is no such file, and {reason.args[0]}") from None
