"""The form of a recording: a file of JSON lines, the first of the file itself, one more for each
call, and large bodies in files beside it (docs/record.md).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson

RECORDING, FORM_VERSION = "fc-event-service", 1
"""What the first line of a recording says it is."""

SUFFIX = ".jsonl"
BLOBS = "blobs"
"""The folder of large bodies, beside the files."""

MAX_INLINE = 16 * 1024
"""Bytes of a body that stands in its call's line."""

MAX_LINES = 64 * 1024
"""Characters of log lines that are kept of one call."""


class EndedCall(msgspec.Struct, frozen=True):
    """A call as it was. `arrived` is in Unix seconds, `took` in seconds; `error` is the type of its
    error, "" if it succeeded.
    """

    request_id: str
    function: str
    arrived: float
    took: float
    headers: Mapping[str, str]
    event: bytes
    result: bytes
    error: str = ""
    lines: Sequence[str] = ()

    @property
    def ended(self) -> float:
        """When its answer was there, in Unix seconds."""
        return self.arrived + self.took


class Blob(msgspec.Struct, frozen=True):
    """A body that has a file of its own, `path` beside the recording's."""

    path: str
    body: bytes


def head_line(of: str, version: str, began: float, rate: float) -> bytes:
    """Return the first line of a recording `of` a service or an emulator."""
    told = {
        "recording": RECORDING,
        "version": FORM_VERSION,
        "of": of,
        "by": version,
        "began": moment(began),
        "rate": rate,
    }
    return orjson.dumps(told) + b"\n"


def moment(seconds: float) -> str:
    """Return Unix seconds as a time in UTC, to the microsecond."""
    at = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    return f"{at.isoformat(timespec='microseconds')}Z"


def seconds_of(text: str) -> float:
    """Return the Unix seconds of a time in UTC. Raises ValueError."""
    return datetime.fromisoformat(text).timestamp()


def call_line(call: EndedCall) -> tuple[bytes, list[Blob]]:
    """Return a call's line, and its bodies that have files of their own."""
    blobs: list[Blob] = []
    told = {
        "requestId": call.request_id,
        "function": call.function,
        "at": moment(call.arrived),
        "tookMs": round(call.took * 1000, 3),
        "error": call.error,
        "headers": dict(call.headers),
        "event": _written(call.event, blobs),
        "result": _written(call.result, blobs),
        "lines": list(call.lines),
    }
    return orjson.dumps(_encodable(told)) + b"\n", blobs


def _written(body: bytes, blobs: list[Blob]) -> Any:
    """Return a body as a line has it: in JSON if that gives the same bytes again, else as text, or
    as the name of a file.
    """
    if len(body) <= MAX_INLINE:
        try:
            value = orjson.loads(body)
            if orjson.dumps(value) == body:
                return {"json": value}
        except (orjson.JSONDecodeError, orjson.JSONEncodeError):
            pass
        try:
            return {"text": body.decode()}
        except UnicodeDecodeError:
            pass
    path = f"{BLOBS}/{hashlib.sha256(body).hexdigest()[:32]}"
    blobs.append(Blob(path, body))
    return {"file": path, "bytes": len(body)}


def _encodable(value: Any) -> Any:
    """Return a value with lone surrogates escaped: no JSON has them."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, list):
        return [_encodable(each) for each in value]
    if isinstance(value, dict):
        return {_encodable(name): _encodable(each) for name, each in value.items()}
    return value
