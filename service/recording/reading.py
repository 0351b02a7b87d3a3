"""Recordings read back: each line is checked before the first call is sent again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from ..errors import UsageError
from .form import FORM_VERSION, RECORDING, SUFFIX, EndedCall, seconds_of


@dataclass(frozen=True, slots=True)
class StoredBody:
    """A body of a recording: its bytes, or the file that has them."""

    data: bytes = b""
    file: Path | None = None

    def read(self) -> bytes:
        """Return the bytes. Raises UsageError."""
        if self.file is None:
            return self.data
        try:
            return self.file.read_bytes()
        except OSError as reason:
            raise UsageError(f"{self.file}: cannot be read: {reason.strerror}") from None


@dataclass(frozen=True, slots=True)
class StoredCall:
    """A call of a recording, whose bodies are read when they are needed. Times as in EndedCall."""

    told: EndedCall
    event: StoredBody
    result: StoredBody


def read_recording(path: Path, warn: Callable[[str], None]) -> list[StoredCall]:
    """Return the calls of a recording's file, or of all in a folder, in the order in which they
    came. `warn` is told of a file whose last line is cut, and of an empty one in a folder.

    Raises UsageError, which names file and line, for what is no recording or cannot be read.
    """
    if is_folder := path.is_dir():
        files = sorted(path.glob(f"*{SUFFIX}"))
        if not files:
            raise UsageError(f"{path}: there is no recording: no file *{SUFFIX}")
    else:
        files = [path]
    calls = [call for file in files for call in _calls_of(file, warn, is_one_of_many=is_folder)]
    if not calls:
        raise UsageError(f"{path}: the recording has no call")
    return sorted(calls, key=lambda call: call.told.arrived)


def _calls_of(
    file: Path, warn: Callable[[str], None], *, is_one_of_many: bool
) -> Iterator[StoredCall]:
    try:
        with file.open("rb") as lines:
            head = lines.readline()
            if not head and is_one_of_many:
                warn(f"{file}: is empty, and left out: its process has not begun to record")
                return
            _check_head(file, head)
            for number, line in enumerate(lines, 2):
                if not line.endswith(b"\n"):
                    warn(f"{file}:{number}: the last line is cut, and left out")
                    return
                yield _call(file, number, line)
    except OSError as reason:
        raise UsageError(f"{file}: cannot be read: {reason.strerror}") from None


def _check_head(file: Path, line: bytes) -> None:
    try:
        head = orjson.loads(line)
    except orjson.JSONDecodeError:
        head = None
    if not isinstance(head, dict) or head.get("recording") != RECORDING:
        raise UsageError(f"{file}: is no recording: --record DIR makes one")
    if head.get("version") != FORM_VERSION:
        raise UsageError(
            f"{file}: is of version {head.get('version')!r:.20} of the form; {FORM_VERSION} is read"
        )


def _call(file: Path, number: int, line: bytes) -> StoredCall:
    try:
        return _stored(file.parent, orjson.loads(line))
    except UsageError as reason:
        raise UsageError(f"{file}:{number}: {reason}") from None
    except (ValueError, LookupError, TypeError, AttributeError) as reason:
        told = f"{type(reason).__name__}: {reason}"
        raise UsageError(f"{file}:{number}: is no call of a recording: {told:.200}") from None


def _stored(folder: Path, told: Mapping[str, Any]) -> StoredCall:
    call = EndedCall(
        _text(told["requestId"]),
        _text(told["function"]),
        seconds_of(told["at"]),
        float(told["tookMs"]) / 1000,
        {_text(name): _text(value) for name, value in told["headers"].items()},
        b"",
        b"",
        _text(told["error"]),
        [_text(line) for line in told["lines"]],
    )
    return StoredCall(call, _body(folder, told["event"]), _body(folder, told["result"]))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.50} is no text")
    return value


def _body(folder: Path, told: Mapping[str, Any]) -> StoredBody:
    if "json" in told:
        return StoredBody(orjson.dumps(told["json"]))
    if "text" in told:
        return StoredBody(_text(told["text"]).encode())
    name = Path(_text(told["file"]))
    if name.is_absolute() or ".." in name.parts:
        raise UsageError(f"{name}: is outside of the recording's folder")
    file = folder / name
    try:
        size = file.stat().st_size
    except OSError as reason:
        raise UsageError(f"{file}: cannot be read: {reason.strerror}") from None
    if size != told["bytes"]:
        raise UsageError(f"{file}: has {size} bytes, and {told['bytes']!r:.20} were recorded")
    return StoredBody(file=file)
