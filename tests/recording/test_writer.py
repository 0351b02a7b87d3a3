"""What is recorded can be read back, and a disk that fails costs no call."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.recording import writer as recording_writer
from service.recording.form import MAX_INLINE, EndedCall
from service.recording.reading import read_recording
from service.recording.writer import RecordingWriter
from tests.harness import ENDS_WITHIN
from tests.test_reentry import at_each_line

BINARY = bytes(range(256))
LARGE = json.dumps({"text": "é" * MAX_INLINE}).encode()


def call(number: int = 0, **fields: Any) -> EndedCall:
    """A call that came so many seconds after the first one."""
    given: dict[str, Any] = {
        "request_id": f"1-{number}",
        "function": "fn",
        "arrived": 1_796_000_000.25 + number,
        "took": 0.125,
        "headers": {"x-fc-region": "cn-hangzhou"},
        "event": b"{}",
        "result": b"null",
    }
    return EndedCall(**given | fields)


def recorded(folder: Path, *calls: EndedCall, **options: Any) -> list[str]:
    """Record calls; return what was told."""
    told: list[str] = []
    given: dict[str, Any] = {"rate": 1.0, "limit": 1 << 30}
    writer = RecordingWriter(folder, "service", told.append, **given | options)
    writer.start()
    for each in calls:
        writer.put(each)
    writer.close(ENDS_WITHIN)
    return told


def lines_of(folder: Path) -> list[Any]:
    """The lines of the only file of a recording."""
    (file,) = folder.glob("*.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.parametrize(
    ("body", "form"),
    [
        (b'{"a":[1,2.5,"x"]}', "json"),
        (b'{"a": 1}', "text"),
        (b"18446744073709551617", "text"),
        (b"", "text"),
        (b"\xc3\xa9 and \x00", "text"),
        (BINARY, "file"),
        (LARGE, "file"),
    ],
    ids=["compact JSON", "spaced", "a huge number", "empty", "text", "binary", "large"],
)
def test_a_body_is_read_back_byte_by_byte(tmp_path: Path, body: bytes, form: str) -> None:
    """It stands as JSON where that gives the same bytes, as text, or in a file of its own."""
    assert recorded(tmp_path, call(event=body, result=body)) == []
    assert next(iter(lines_of(tmp_path)[1]["event"])) == form
    (read,) = read_recording(tmp_path, pytest.fail)
    assert read.event.read() == read.result.read() == body


def test_a_line_says_what_a_person_asks(tmp_path: Path) -> None:
    """The first line is of the file; a call's has its time, its duration, headers and lines."""
    recorded(tmp_path, call(lines=["[INFO] hello"], error="ValueError"), rate=0.5)
    head, told = lines_of(tmp_path)
    assert (head["recording"], head["of"], head["rate"]) == ("fc-event-service", "service", 0.5)
    assert told == {
        "requestId": "1-0",
        "function": "fn",
        "at": "2026-11-30T00:53:20.250000Z",
        "tookMs": 125.0,
        "error": "ValueError",
        "headers": {"x-fc-region": "cn-hangzhou"},
        "event": {"json": {}},
        "result": {"json": None},
        "lines": ["[INFO] hello"],
    }


def test_calls_are_read_back_as_they_came(tmp_path: Path) -> None:
    """A call is written when it ends; all files of a folder are one recording."""
    recorded(tmp_path, call(2), call(0))
    read = read_recording(tmp_path, pytest.fail)
    assert [each.told.request_id for each in read] == ["1-0", "1-2"]
    assert read[0].told.arrived == call().arrived
    assert read[0].told.took == call().took


def test_no_credential_is_on_the_disk(tmp_path: Path) -> None:
    """Those of the headers, and those that are named, stand nowhere: not in a body, not in a
    line, not in a file of its own.
    """
    headers = {
        "X-Fc-Access-Key-Id": "LTAI-of-the-call",
        "x-fc-access-key-secret": "secret-of-the-call",
        "x-fc-security-token": "token-of-the-call",
        "Authorization": "Bearer of-the-caller",
        "Host": "example",
    }
    said = " ".join((*headers.values(), "key-of-the-process")).encode()
    recorded(
        tmp_path,
        call(headers=headers, event=said, result=said + BINARY, lines=[said.decode()]),
        credentials=["key-of-the-process"],
    )
    written = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    for secret in ("LTAI", "secret-of", "token-of", "of-the-caller", "key-of-the-process"):
        assert secret.encode() not in written
    told = lines_of(tmp_path)[1]
    assert told["headers"]["x-fc-security-token"] == "(replaced)"
    assert "host" not in told["headers"]


def test_a_recording_ends_at_its_limit_with_one_line(tmp_path: Path) -> None:
    """The folder never has more bytes, what an earlier recording has left counted."""
    generator = random.Random(1)
    calls = [call(number, event=generator.randbytes(5_000)) for number in range(10)]
    told = recorded(tmp_path, *calls, limit=20_000)
    assert len(told) == 1
    assert "has its 20,000 bytes" in told[0]
    assert "--record-bytes" in told[0]
    assert 0 < sum(f.stat().st_size for f in tmp_path.rglob("*") if f.is_file()) <= 20_000
    assert len(read_recording(tmp_path, pytest.fail)) == 3


def test_the_same_large_body_is_stored_once(tmp_path: Path) -> None:
    """Calls that get the same file share it."""
    recorded(tmp_path, *(call(number, event=LARGE) for number in range(5)))
    assert len(list((tmp_path / "blobs").iterdir())) == 1


def test_a_folder_that_cannot_be_made_is_told_once(tmp_path: Path) -> None:
    """The first line says why, and that calls go on."""
    (tmp_path / "taken").write_text("")
    told = recorded(tmp_path / "taken" / "inner", call(), call(1))
    assert told == [
        f"recording has ended, and calls go on: {tmp_path}/taken/inner: Not a directory"
    ]


def test_a_read_only_disk_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a folder that cannot be made."""

    def read_only(path: Any, flags: int, mode: int = 0o777) -> int:
        if Path(path).is_relative_to(tmp_path):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return opened(path, flags, mode)

    opened = os.open
    monkeypatch.setattr("service.recording.writer.os.open", read_only)
    (told,) = recorded(tmp_path, call(), call(1))
    assert told.endswith(f"{tmp_path}: Read-only file system")


def test_a_full_disk_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written of the line for which there was no room is taken back, and told once."""
    monkeypatch.setattr("service.recording.writer.os.write", full_after(2, os.write))
    (told,) = recorded(tmp_path, *(call(number) for number in range(5)))
    assert "No space left on device" in told
    assert len(read_recording(tmp_path, pytest.fail)) == 1


def full_after(count: int, write: Callable[[int, Any], int]) -> Callable[[int, Any], int]:
    """What `os.write` is on a disk that is full after some writes, in the midst of the next."""
    written: list[int] = []

    def full(descriptor: int, data: Any) -> int:
        if len(data) < 50:  # of something else in this process
            return write(descriptor, data)
        written.append(len(data))
        if len(written) == count + 1:
            return write(descriptor, data[:20])
        if len(written) > count + 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data)

    return full


def test_what_a_slow_disk_does_not_take_is_left_out_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls never wait for it, and their bodies do not fill the memory."""
    monkeypatch.setattr(recording_writer, "MAX_WAITING", 1_000)
    told: list[str] = []
    writer = RecordingWriter(tmp_path, "service", told.append, rate=1.0, limit=1 << 30)
    for number in range(5):  # nothing is taken before the start
        writer.put(call(number, event=b"x" * 400))
    writer.start()
    writer.close(ENDS_WITHIN)
    assert told == [
        f"recording: 3 calls were left out, since the disk of {tmp_path} did not keep up"
    ]
    assert len(read_recording(tmp_path, pytest.fail)) == 2


def test_what_is_not_written_by_the_end_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end does not wait for a disk that stands still."""
    may_write = threading.Event()

    def standing(descriptor: int, data: Any) -> int:
        may_write.wait()
        return write(descriptor, data)

    write = os.write
    monkeypatch.setattr("service.recording.writer.os.write", standing)
    told: list[str] = []
    writer = RecordingWriter(tmp_path, "service", told.append, rate=1.0, limit=1 << 30)
    writer.start()
    writer.put(call())
    writer.close(0.0)
    may_write.set()
    writer.close(ENDS_WITHIN)
    assert told == [
        f"recording: the last calls were not written within 0 s, since the disk of {tmp_path} did"
        " not keep up"
    ]


def test_processes_of_the_same_number_record_into_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In containers all have the same one, and many are started in the same second; one that was
    killed has left half a body.
    """
    monkeypatch.setattr("service.recording.writer.time.strftime", lambda *_: "20261129T000000Z")
    (tmp_path / "blobs").mkdir()
    for number in range(3):
        body = BINARY * (number + 1)
        digest = hashlib.sha256(body).hexdigest()[:32]
        (tmp_path / "blobs" / f"{digest}.{os.getpid()}").touch()
        assert recorded(tmp_path, call(number, event=body)) == []
    assert len(list(tmp_path.glob("calls-20261129T000000Z-*.jsonl"))) == 3
    assert len(read_recording(tmp_path, pytest.fail)) == 3


def test_a_file_that_gets_its_name_while_the_folder_is_looked_at_ends_no_recording(
    tmp_path: Path,
) -> None:
    """Another process writes there at the same time."""
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "renamed").symlink_to("nowhere")
    assert recorded(tmp_path, call()) == []


def test_a_process_that_has_not_begun_to_record_hides_no_other(tmp_path: Path) -> None:
    """Its file is empty for a moment, or for ever if the disk is full."""
    recorded(tmp_path, call())
    (tmp_path / "calls-0.jsonl").touch()
    told: list[str] = []
    assert len(read_recording(tmp_path, told.append)) == 1
    assert told == [
        f"{tmp_path}/calls-0.jsonl: is empty, and left out: its process has not begun to record"
    ]


def test_a_call_ends_in_the_midst_of_the_end_of_another(tmp_path: Path) -> None:
    """As by a finalizer, in the same thread."""
    writer = RecordingWriter(tmp_path, "service", pytest.fail, rate=1.0, limit=1 << 30)
    lines = at_each_line(
        {RecordingWriter._count.__code__},
        lambda: writer.put(call(0)),
        lambda: writer.put(call(1)),
    )
    writer.start()
    writer.close(ENDS_WITHIN)
    assert len(read_recording(tmp_path, pytest.fail)) == 1 + lines
