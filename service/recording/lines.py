"""Log lines as a recording has them: without their time and request id, which differ each time."""

from __future__ import annotations

import re
from typing import Any

import orjson

_TEXT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z (\S+) ", re.ASCII)
_NAMED = ("time", "level", "logger", "requestId", "message")
_OF_PLATFORM = re.compile(r"FC \w+ (Start|End) RequestId: |RequestId: \S+ Duration: ")


def whose(data: bytes) -> str:
    """Return the request id of a log line of the service's, "" for a line of no call."""
    if data[:1] == b"{":
        begin = data.find(b'"requestId":"') + 13
        return data[begin : data.find(b'"', begin)].decode("utf-8", "replace")
    _, _, rest = data[:256].partition(b" ")
    return rest.partition(b" ")[0].decode("utf-8", "replace")


def recorded_lines(text: str) -> list[str]:
    """Return the lines of a text, without the platform's own, which each call has."""
    lines = (recorded_line(line) for line in text.splitlines())
    return [line for line in lines if line and not _OF_PLATFORM.match(line)]


def recorded_line(line: str) -> str:
    """Return a line of the log as a recording has it: its level, what it says, and its fields."""
    if found := _TEXT.match(line):
        return line[found.end() :]
    if not line.startswith("{"):
        return line
    try:
        told: dict[str, Any] = orjson.loads(line)
    except orjson.JSONDecodeError:
        return line
    if not {"level", "message"} <= told.keys():
        return line
    others = {name: value for name, value in told.items() if name not in _NAMED}
    fields = f" {orjson.dumps(others).decode()}" if others else ""
    return f"[{told['level']}] {told['message']}{fields}"
