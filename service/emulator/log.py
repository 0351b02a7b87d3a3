"""One stream for what the emulator says and what its functions write."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import orjson

from ..logs.lines import plain_line, stamp

NOBODY = "-"
"""Stands in a line of text for a function, an instance or a call that it is not of."""

CallLine = tuple[str, str]
"""A line's text, and the request id of the call that it is of, "" if it is of none."""


class Log:
    """Writes lines of text, or of JSON, each with time, function, instance and request id.

    `write` takes whole lines and never blocks: `GatheringPipe(1).gather`, for example, which
    keeps what a slow reader does not take yet, up to a limit, and counts what it drops beyond it.
    """

    def __init__(self, write: Callable[[bytes], None], *, as_json: bool = False) -> None:
        self._write = write
        self._format = _json_lines if as_json else _text_lines

    def line(
        self, text: str, *, function: str = "", instance: str = "", request_id: str = ""
    ) -> None:
        """Write one line; a character in `text` that could forge another one is escaped."""
        self.lines([(text, request_id)], function=function, instance=instance)

    def lines(self, lines: Sequence[CallLine], *, function: str = "", instance: str = "") -> None:
        """Write lines of one instance, at once."""
        self._write(self._format(lines, function, instance))


_STAMPED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (\S+) ", re.ASCII)
"""How a line of the platform's form begins: its time and its request id."""


def _text_lines(lines: Sequence[CallLine], function: str, instance: str) -> bytes:
    head = f"{stamp()} {function or NOBODY} {instance or NOBODY}"
    return "".join(
        [
            f"{head} {request_id or NOBODY} {plain_line(_unstamped(text, request_id))}\n"
            for text, request_id in lines
        ]
    ).encode()


def _unstamped(text: str, request_id: str) -> str:
    """Return a line without what stands in front of each line already."""
    own = _STAMPED.match(text)
    return text[own.end() :] if own and own[1] == (request_id or NOBODY) else text


def _json_lines(lines: Sequence[CallLine], function: str, instance: str) -> bytes:
    common = {"time": stamp(), "function": function, "instance": instance}
    return b"".join(
        [
            orjson.dumps({**common, "requestId": request_id, "text": text}) + b"\n"
            for text, request_id in lines
        ]
    )
