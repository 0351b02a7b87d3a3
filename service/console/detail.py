"""All that is known of one call: what a list has no room for."""

from __future__ import annotations

import base64
import re
from itertools import takewhile
from typing import Any

import orjson

from .entry import CallEntry

SHOWN_BODY = 256 * 1024
"""Bytes of an event and of a result that are shown: the whole is there as a file."""

SHOWN_LINE = 16 * 1024
"""Characters of one line that are shown."""

_TRACEBACK = "Traceback (most recent call last):"

_TRACE_LINES = 200
"""Lines of a trace that are shown."""

_STAMPED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \S+ (?:\[([A-Z]+)\] )?", re.ASCII)
"""How a line of the service's begins: its time, its request id, its level."""


def call_detail(entry: CallEntry) -> dict[str, Any]:
    """Return a call's row with its texts."""
    shown = {
        **entry.row(),
        "event": _body(entry.event, entry.kept[0]),
        "lines": [_line(time, text) for time, text in entry.lines],
        "lines_dropped": entry.lines_dropped,
        "reports": [{"kind": kind, "text": text} for kind, text in entry.reports],
    }
    if entry.status != "running":
        shown["result"] = _body(entry.result, entry.kept[1])
    if entry.status in ("error", "refused"):
        failure = _failure(entry)
        shown["failure"] = failure | {"trace": failure["trace"] or _logged(shown["lines"])}
    return shown


def _body(body: bytes | None, size: int) -> dict[str, Any]:
    """Return a body as base64; `kept` says whether it is there at all."""
    begin = (body or b"")[:SHOWN_BODY]
    return {
        "bytes": size,
        "base64": base64.b64encode(begin).decode(),
        "cut": len(begin) < size,
        "kept": body is not None,
    }


def _line(time: float, text: str) -> dict[str, Any]:
    shown: dict[str, Any] = {"t": time}
    if stamped := _STAMPED.match(text):
        text = text[stamped.end() :]
        if stamped[1]:
            shown["level"] = stamped[1]
    elif level := _json_level(text):
        shown["level"] = level
    if len(text) > SHOWN_LINE:
        text = f"{text[:SHOWN_LINE]}... [cut: the line had {len(text)} characters]"
    return shown | {"text": text}


def _json_level(text: str) -> str:
    level = _json_line(text).get("level") if text.startswith("{") else None
    return level if isinstance(level, str) else ""


def _json_line(text: str) -> dict[str, Any]:
    try:
        fields = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _failure(entry: CallEntry) -> dict[str, Any]:
    """Return what the result says of a failure, as the platform's runtimes write it."""
    said: Any = None
    if entry.result and len(entry.result) <= SHOWN_BODY:
        try:
            said = orjson.loads(entry.result)
        except orjson.JSONDecodeError:
            said = None
    if not isinstance(said, dict):
        return {"type": entry.error, "message": "", "trace": []}
    trace = said.get("stackTrace")
    return {
        "type": str(said.get("errorType") or entry.error),
        "message": str(said.get("errorMessage") or said.get("Message") or ""),
        "trace": [_frame(each) for each in trace] if isinstance(trace, list) else [],
    }


def _logged(lines: list[dict[str, Any]]) -> list[str]:
    """Return the trace that a call's lines have: a service sends its callers none unless told."""
    for place, line in enumerate(lines):
        if line["text"].startswith(_TRACEBACK):
            return _of_level(lines[place : place + _TRACE_LINES], line.get("level"))
        if line["text"].startswith("{"):
            stack = _json_line(line["text"]).get("stack")
            if isinstance(stack, list):
                return [str(each) for each in stack][:_TRACE_LINES]
    return []


def _of_level(lines: list[dict[str, Any]], level: str | None) -> list[str]:
    """Return the first lines, as far as they have the same level."""
    return [line["text"] for line in takewhile(lambda each: each.get("level") == level, lines)]


def _frame(frame: Any) -> str:
    """Return one entry of a `stackTrace`, a list of four texts or a text, as a line or two."""
    if not isinstance(frame, list):
        return str(frame)
    *place, source = map(str, frame or ("",))
    return f"{', '.join(place)}\n    {source}" if place and source else ", ".join(map(str, frame))
