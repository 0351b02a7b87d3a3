"""The form of a log line: text or JSON, one line whatever is in it, and never over 32 KB."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import orjson

from ..context.plain import cut_text
from ..patterns import LatePattern
from ..protocol import MAX_LOG_LINE
from .details import NO_DETAILS, Details, named_apart

NOWHERE = "-"
"""Stands for the request id in lines that no call causes."""

MAX_FIELD_BYTES = 12 * 1024
"""Bytes of a line's fields together, as they are written."""

MAX_STACK = 8 * 1024
"""Bytes of a failure's stack."""

MAX_FAILURE = 1024
"""Characters of a failure's message, and of one line of its stack."""


class Form(Protocol):
    """Makes lines of a request id, a level, a message, and what else there is."""

    def __call__(
        self, request_id: str, level: str, message: str, details: Details = NO_DETAILS, /
    ) -> bytes: ...


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


_UNSAFE = LatePattern("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def plain_line(text: str) -> str:
    """Return `text` with the characters escaped that could forge a line, or move a terminal's
    cursor.
    """
    if text.isprintable():
        return text
    return _UNSAFE.compiled.sub(lambda match: repr(match[0])[1:-1], text)


# --- fields


def _fitting(fields: Mapping[str, Any], write: Callable[[str, Any], str], limit: int) -> str:
    """Return as many fields as there is room for, as they are written, and how many there are more.

    What is cut is the line's whole: no field is half there.
    """
    written, left = [], limit
    for number, (name, value) in enumerate(fields.items()):
        text = write(name, value)
        left -= len(text.encode())
        if left < 0:
            written.append(write("fieldsCut", len(fields) - number))
            break
        written.append(text)
    return "".join(written)


def _json_text(value: Any) -> str:
    """Return a plain value as JSON in which no character can end a line or move a cursor."""
    try:
        data = orjson.dumps(value)
    except orjson.JSONEncodeError:  # a lone surrogate
        data = orjson.dumps(_without_surrogates(value))
    text = data.decode()
    if b"\x7f" in data or not data.isascii():
        # JSON allows them as they are, and readers that split text into lines do not.
        text = _UNSAFE_IN_JSON.compiled.sub(lambda m: f"\\u{ord(m[0]):04x}", text)
    return text


_UNSAFE_IN_JSON = LatePattern("[\x7f-\x9f\u2028\u2029]")


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return plain_line(value) if _SURROGATE.compiled.search(value) else value
    if isinstance(value, list):
        return [_without_surrogates(each) for each in value]
    if isinstance(value, dict):
        return {_without_surrogates(k): _without_surrogates(v) for k, v in value.items()}
    return value


_SURROGATE = LatePattern("[\ud800-\udfff]")


# --- text


_BARE = re.compile(r"[^\s\"=]+")


def _text_field(name: str, value: Any) -> str:
    return f" {_bare_or_quoted(name)}={_bare_or_quoted(value)}"


def _bare_or_quoted(value: Any) -> str:
    if isinstance(value, str) and value.isprintable() and _BARE.fullmatch(value):
        return value
    return _json_text(value)  # a mapping or a number has no quotes around it


def _text_line(head: str, line: str, tail: str = "") -> bytes:
    # Cut before it is escaped: escaping megabytes would hold up every other call.
    written = f"{head}{plain_line(line[:MAX_LOG_LINE])}{tail}\n".encode()
    if len(line) <= MAX_LOG_LINE and len(written) <= MAX_LOG_LINE:
        return written
    size = len(line.encode("utf-8", "surrogatepass"))
    note = f"... [cut: the line had {size} bytes]{tail}\n".encode()
    kept = written[: len(written) - len(tail.encode()) - 1][: MAX_LOG_LINE - len(note)]
    return kept.decode("utf-8", "ignore").encode() + note  # no half of a character


def text_lines(request_id: str, level: str, message: str, details: Details = NO_DETAILS) -> bytes:
    """Return the message as text lines, one for each of its own: `time id [level] line`.

    The call's fields stand behind each of them, the line's own behind the last one, before the
    failure's.
    """
    head = f"{stamp()} {request_id} [{plain_line(level)}] "
    if details is NO_DETAILS:
        lines = message.split("\n") if "\n" in message else (message,)
        return b"".join(_text_line(head, line) for line in lines)
    bound, extra = named_apart(details)
    tail = _fitting(bound, _text_field, MAX_FIELD_BYTES // 2)
    own = _fitting(extra, _text_field, MAX_FIELD_BYTES)
    failure = details.failure
    *before, last = message.split("\n")
    after = [] if failure is None or failure.is_told else failure.stack
    return b"".join(
        (
            *(_text_line(head, line, tail) for line in before),
            _text_line(head, last, own + tail),
            *(_text_line(head, line, tail) for line in after),
        )
    )


# --- JSON


def json_lines(request_id: str, level: str, message: str, details: Details = NO_DETAILS) -> bytes:
    """Return the message as one JSON line."""
    begin = {"time": stamp(), "level": level, "logger": details.logger, "requestId": request_id}
    head = f"{_json_text(begin)[:-1]},"
    tail = "" if details is NO_DETAILS else _json_rest(details)
    around = len(head) + len(tail.encode())
    if details.failure and details.failure.short:
        message = details.failure.short
    kept = len(message)
    # Cut before it is escaped, by characters, and then by the result: an escaped character takes up
    # to seven bytes.
    line = _json_line(head, message, tail) if kept <= MAX_LOG_LINE else None
    while line is None or len(line) > MAX_LOG_LINE:
        share = (MAX_LOG_LINE - 512 - around) / (len(line) - around if line else kept)
        kept = min(kept - 1, int(kept * share))
        note = f"... [cut: the message had {len(message)} characters]"
        line = _json_line(head, message[:kept] + note, tail)
    return line


def _json_line(head: str, message: str, tail: str) -> bytes:
    return f'{head}"message":{_json_text(message)}{tail}}}\n'.encode()


def _json_field(name: str, value: Any) -> str:
    return f",{_json_text(name)}:{_json_text(value)}"


def _json_rest(details: Details) -> str:
    bound, extra = named_apart(details)
    rest = _fitting(bound | extra, _json_field, MAX_FIELD_BYTES)
    rest += "".join(_json_field(name, value) for name, value in details.ids.items())
    if failure := details.failure:
        if failure.kind:
            rest += _json_field("errorType", cut_text(failure.kind, MAX_FAILURE))
            rest += _json_field("errorMessage", cut_text(failure.message, MAX_FAILURE))
        rest += _json_field("stack", _last_lines(failure.stack))
    return rest


def _last_lines(stack: list[str]) -> list[str]:
    """Return the innermost lines of a stack, those that there is room for."""
    kept: list[str] = []
    left = MAX_STACK
    for line in reversed(stack):
        shown = cut_text(line, MAX_FAILURE)
        left -= len(_json_text(shown))
        if left < 0:
            kept.append(f"... [cut: {len(stack)} lines]")
            break
        kept.append(shown)
    return kept[::-1]


FORMATS: dict[str, Form] = {"text": text_lines, "json": json_lines}
