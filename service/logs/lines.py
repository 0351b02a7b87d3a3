"""The form of a log line: text or JSON, one line whatever is in its message."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import orjson

from ..protocol import MAX_LOG_LINE

NOWHERE = "-"
"""Stands for the request id in lines that no call causes."""

Form = Callable[[str, str, str], bytes]
"""Makes lines of a request id, a level and a message."""


_second = (-1, "")


def stamp(now: float | None = None) -> str:
    """Return the time as the platform's docs write it in log lines: UTC, milliseconds (fc-
    platform.md section 4).
    """
    global _second
    now = time.time() if now is None else now
    whole = int(now)
    second = _second  # another thread may be a second ahead
    if second[0] != whole:
        second = _second = (whole, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)))
    return f"{second[1]}.{int(now * 1000) % 1000:03d}Z"


_UNSAFE = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def plain_line(text: str) -> str:
    """Return `text` with the characters escaped that could forge a line, or move a terminal's
    cursor.
    """
    if text.isprintable():
        return text
    return _UNSAFE.sub(lambda match: repr(match[0])[1:-1], text)


def _text_line(head: str, line: str) -> bytes:
    # Cut before it is escaped: escaping megabytes would hold up every other call.
    written = f"{head}{plain_line(line[:MAX_LOG_LINE])}\n".encode()
    if len(line) <= MAX_LOG_LINE and len(written) <= MAX_LOG_LINE:
        return written
    size = len(line.encode("utf-8", "surrogatepass"))
    note = f"... [cut: the line had {size} bytes]\n".encode()
    kept = written[: MAX_LOG_LINE - len(note)].removesuffix(b"\n")
    return kept.decode("utf-8", "ignore").encode() + note  # no half of a character


def text_lines(request_id: str, level: str, message: str) -> bytes:
    """Return the message as text lines, one for each of its own: `time id [level] line`."""
    head = f"{stamp()} {request_id} [{level}] "
    lines = message.split("\n") if "\n" in message else (message,)
    return b"".join(_text_line(head, line) for line in lines)


def json_lines(request_id: str, level: str, message: str) -> bytes:
    """Return the message as one JSON line."""
    entry = {"time": stamp(), "level": level, "requestId": request_id}
    line = _json_line(entry, message)
    kept = len(message)
    while len(line) > MAX_LOG_LINE:  # an escaped character takes up to seven bytes: cut by result
        kept = kept * (MAX_LOG_LINE - 512) // len(line)
        note = f"... [cut: the message had {len(message)} characters]"
        line = _json_line(entry, message[:kept] + note)
    return line


_UNSAFE_IN_JSON = re.compile("[\x7f-\x9f\u2028\u2029]")


def _json_line(entry: dict[str, str], message: str) -> bytes:
    try:
        line = orjson.dumps(entry | {"message": message})
    except orjson.JSONEncodeError:  # a lone surrogate
        line = orjson.dumps(entry | {"message": plain_line(message)})
    if b"\x7f" in line or not line.isascii():
        # JSON allows them as they are, and readers that split text into lines do not.
        line = _UNSAFE_IN_JSON.sub(lambda m: f"\\u{ord(m[0]):04x}", line.decode()).encode()
    return line + b"\n"


FORMATS: dict[str, Form] = {"text": text_lines, "json": json_lines}
