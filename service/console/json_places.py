"""Where in a text of JSON each value stands, so that a mistake can be shown in its place."""

from __future__ import annotations

import json
import re
from bisect import bisect_right

_TOKEN = re.compile(r'[ \t\r\n]*("(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+)', re.DOTALL)

JsonPath = tuple[str | int, ...]


class _Open:
    """A list or an object that has not ended."""

    __slots__ = ("is_object", "key", "wants_key")

    def __init__(self, *, is_object: bool) -> None:
        self.is_object = is_object
        self.wants_key = is_object
        self.key: str | int = "" if is_object else 0


def json_places(text: str) -> dict[JsonPath, int]:
    """Return the offset at which each value of a valid JSON text begins, by its path; of a key that
    is there twice the last one, as parsers take it.
    """
    places: dict[JsonPath, int] = {}
    stack: list[_Open] = []
    for token in _TOKEN.finditer(text):
        said, top = token[1], stack[-1] if stack else None
        if said in "}]":
            stack.pop()
        elif said == ",":
            _next(top)
        elif said == ":":
            continue
        elif top is not None and top.wants_key:
            top.key, top.wants_key = json.loads(said), False
        else:
            places[tuple(each.key for each in stack)] = token.start(1)
            if said in "{[":
                stack.append(_Open(is_object=said == "{"))
    return places


def _next(top: _Open | None) -> None:
    if top is None:
        return
    if top.is_object:
        top.wants_key = True
    else:
        top.key = int(top.key) + 1


class TextLines:
    """Tells the line and the column of an offset, both from 1 on."""

    def __init__(self, text: str) -> None:
        self._begins = [0, *(found.end() for found in re.finditer("\n", text))]

    def place(self, offset: int) -> tuple[int, int]:
        """Return the line and the column."""
        line = bisect_right(self._begins, offset)
        return line, offset - self._begins[line - 1] + 1
