"""What differs between two values of JSON, by path, and between two lists of lines."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

VALUE_SHOWN = 60
"""Characters of a value that are shown."""

GONE = "(not there)"

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def body_differences(before: bytes, after: bytes) -> Iterator[str]:
    """Yield what differs between two bodies, a line each: by path if both are JSON."""
    if before == after:
        return
    try:
        values = orjson.loads(before), orjson.loads(after)
    except orjson.JSONDecodeError:
        yield _of_bytes(before, after)
        return
    yield from value_differences(*values)


def value_differences(before: Any, after: Any, path: str = "$") -> Iterator[str]:
    """Yield what differs between two values of JSON, as `path: before -> after`. The order of an
    object's keys is no difference; 1 and 1.0 are two values.
    """
    if isinstance(before, dict) and isinstance(after, dict):
        for name in [*before, *(each for each in after if each not in before)]:
            yield from _part(before, after, name, f"{path}{_step(name)}")
    elif isinstance(before, list) and isinstance(after, list):
        both = dict(enumerate(before)), dict(enumerate(after))
        for place in range(max(len(before), len(after))):
            yield from _part(*both, place, f"{path}[{place}]")
    elif type(before) is not type(after) or before != after:
        yield f"{path}: {_shown(before)} -> {_shown(after)}"


def _part(before: dict[Any, Any], after: dict[Any, Any], name: Any, path: str) -> Iterator[str]:
    if name not in before:
        yield f"{path}: {GONE} -> {_shown(after[name])}"
    elif name not in after:
        yield f"{path}: {_shown(before[name])} -> {GONE}"
    else:
        yield from value_differences(before[name], after[name], path)


def _step(name: str) -> str:
    return f".{name}" if _NAME.fullmatch(name) else f"[{_shown(name)}]"


def _shown(value: Any) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= VALUE_SHOWN else f"{text[:VALUE_SHOWN]}..."


def _of_bytes(before: bytes, after: bytes) -> str:
    """Return what differs between two bodies, one of which is not JSON."""
    place = next(
        (place for place, (one, two) in enumerate(zip(before, after, strict=False)) if one != two),
        min(len(before), len(after)),
    )
    begin = max(0, place - 10)
    parts = (repr(each[begin : begin + 40])[1:] for each in (before, after))
    return f"byte {place}: {' -> '.join(parts)} ({len(before)} -> {len(after)} bytes)"


def line_differences(before: Sequence[str], after: Sequence[str]) -> Iterator[str]:
    """Yield the lines that only one of both has, with - or + in front; their order is none."""
    gone = Counter(before) - Counter(after)
    new = Counter(after) - Counter(before)
    yield from (f"- {line}" for line in gone.elements())
    yield from (f"+ {line}" for line in new.elements())
