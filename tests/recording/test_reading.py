"""What is no recording is told in one line, before a call is sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.errors import UsageError
from service.recording.reading import read_recording
from tests.recording.test_writer import BINARY, call, recorded


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A recording of three calls, whose bodies have a file."""
    recorded(tmp_path, *(call(number, event=BINARY) for number in range(3)))
    (found,) = tmp_path.glob("*.jsonl")
    return found


def change(**fields: Any) -> Callable[[bytes], bytes]:
    """What changes fields of a file's last line."""

    def changed(text: bytes) -> bytes:
        *before, last = text.splitlines(keepends=True)
        return b"".join((*before, json.dumps(json.loads(last) | fields).encode(), b"\n"))

    return changed


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda _text: b"", "is no recording: --record DIR makes one"),
        (lambda _text: b"name,size\n", "is no recording"),
        (lambda _text: b"[1]\n", "is no recording"),
        (lambda text: text.replace(b'"version":1', b'"version":2', 1), "is of version 2"),
        (lambda text: text.splitlines(keepends=True)[0], "has no call"),
        (lambda text: text + b"{}\n", ":5: is no call of a recording: KeyError"),
        (lambda text: text + b"[]\n", ":5: is no call of a recording"),
        (lambda text: text[:-9] + b"\n", ":4: is no call of a recording"),
        (change(at="noon"), ":4: is no call of a recording: ValueError"),
        (change(headers=[1]), ":4: is no call of a recording"),
        (change(event={"file": "../secret", "bytes": 1}), "is outside of the recording's folder"),
        (change(event={"file": "/etc/passwd", "bytes": 1}), "is outside of the recording"),
        (change(event={"file": "blobs/gone", "bytes": 1}), "cannot be read: No such file"),
    ],
    ids=[
        *("empty", "foreign", "a list", "newer", "no calls", "an empty object", "no object"),
        *("a line without its end", "no time", "no headers", "a path", "an absolute path", "gone"),
    ],
)
def test_a_foreign_file_is_one_clear_line(
    file: Path, spoil: Callable[[bytes], bytes], told: str
) -> None:
    """It names the file, and the line."""
    file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(UsageError) as raised:
        read_recording(file, pytest.fail)
    assert told in str(raised.value)
    assert str(raised.value).startswith(str(file))
    assert "\n" not in str(raised.value)


def test_a_cut_last_line_is_told_and_left_out(file: Path) -> None:
    """A service that was killed while it wrote leaves one: the calls before it are whole."""
    file.write_bytes(file.read_bytes()[:-9])
    told: list[str] = []
    assert len(read_recording(file, told.append)) == 2
    assert told == [f"{file}:4: the last line is cut, and left out"]


def test_a_body_of_another_size_is_told(file: Path) -> None:
    """A file that was cut is not sent for the one that was recorded."""
    (blob,) = (file.parent / "blobs").iterdir()
    blob.write_bytes(BINARY[:10])
    with pytest.raises(UsageError, match=r"has 10 bytes, and 256 were recorded"):
        read_recording(file, pytest.fail)


@pytest.mark.parametrize("name", ["", "nothing.jsonl"], ids=["a folder", "a file"])
def test_what_is_not_there_is_told(tmp_path: Path, name: str) -> None:
    """An empty folder, and a file that is not there."""
    with pytest.raises(UsageError, match=r"there is no recording|cannot be read: No such file"):
        read_recording(tmp_path / name, pytest.fail)
