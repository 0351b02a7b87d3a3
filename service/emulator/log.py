"""One stream for what the emulator says and what its functions write."""

from __future__ import annotations

import re
from collections.abc import Callable

import orjson

from ..logs.lines import plain_line, stamp

NOBODY = "-"
"""Stands in a line of text for a function, an instance or a call that it is not of."""


class Log:
    """Writes lines of text, or of JSON, each with time, function, instance and request id.

    `write` takes whole lines and never blocks: `GatheringPipe(1).gather`, for example, which
    keeps what a slow reader does not take yet, up to a limit, and counts what it drops beyond it.
    """

    def __init__(self, write: Callable[[bytes], None], *, as_json: bool = False) -> None:
        self._write = write
        self._format = _json_line if as_json else _text_line

    def line(
        self, text: str, *, function: str = "", instance: str = "", request_id: str = ""
    ) -> None:
        """Write one line; a character in `text` that could forge another one is escaped."""
        self._write(self._format(text, function, instance, request_id))


_STAMPED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (\S+) ", re.ASCII)
"""How a line of the platform's form begins: its time and its request id."""


def _text_line(text: str, function: str, instance: str, request_id: str) -> bytes:
    if (own := _STAMPED.match(text)) and own[1] == (request_id or NOBODY):
        text = text[own.end() :]  # what stands in front of each line says it already
    names = f"{function or NOBODY} {instance or NOBODY} {request_id or NOBODY}"
    return f"{stamp()} {names} {plain_line(text)}\n".encode()


def _json_line(text: str, function: str, instance: str, request_id: str) -> bytes:
    entry = {
        "time": stamp(),
        "function": function,
        "instance": instance,
        "requestId": request_id,
        "text": text,
    }
    return orjson.dumps(entry) + b"\n"
