"""Reads the value that a path like `$.order.id` leads to in an event."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from ..errors import InvalidEvent

ReadPath = Callable[[Any], Any]

_STEP: Final = re.compile(r"\.([^\W\d][\w-]*)|\[(-?\d{1,9})\]|\[(?:'([^']+)'|\"([^\"]+)\")\]")

NOTHING: Final = object()


def path_reader(path: str) -> ReadPath:
    """Return what reads the value at a path in an event, whatever its annotation has made of it.

    A path is `$`, then `.name`, `['any name']` or `[0]` for each step. Names are those of the JSON,
    or of the fields that it has become. In bytes and in text JSON is looked for.

    Raises ValueError for what is no path. Reading raises InvalidEvent if there is nothing there.
    """
    steps = _steps_of(path)

    def read(event: Any) -> Any:
        value = _parsed(event) if isinstance(event, str | bytes | bytearray | memoryview) else event
        for step in steps:
            try:
                value = _member(value, step)
            except LookupError:
                break
        else:
            return value
        raise InvalidEvent(f"{path}: the event has no {str(step)[:60]!r} there")

    return read


def _steps_of(path: str) -> list[str | int]:
    at, steps = 1, list[str | int]()
    while at < len(path) and (found := _STEP.match(path, at)):
        name, index, *quoted = found.groups()
        steps.append(int(index) if index else name or quoted[0] or quoted[1])
        at = found.end()
    if not path.startswith("$") or at != len(path):
        raise ValueError(f"{path[:60]!r} is no path: write $.order.id, $['a name'] or $.items[0]")
    return steps


def _parsed(body: str | bytes | bytearray | memoryview) -> Any:
    try:
        return msgspec.json.decode(body)
    except (ValueError, msgspec.DecodeError, RecursionError):
        pass  # outside, where the log does not show what it quotes
    raise InvalidEvent("$: the event is no JSON, in which a path could be looked for")


def _member(value: Any, step: str | int) -> Any:
    """Return a part of a value. Raises LookupError."""
    if isinstance(value, Mapping):
        return value[step]
    if isinstance(step, int):
        if isinstance(value, list | tuple):
            return value[step]
        raise LookupError
    found = getattr(value, _attributes_of(value.__class__).get(step, step), NOTHING)
    if found is NOTHING or inspect.ismethod(found):
        raise LookupError
    return found


@lru_cache(maxsize=256)
def _attributes_of(kind: type) -> dict[str, str]:
    """Return the attributes of a class by the names that its fields have in JSON."""
    if issubclass(kind, msgspec.Struct):
        return dict(zip(kind.__struct_encode_fields__, kind.__struct_fields__, strict=True))
    fields = getattr(kind, "model_fields", {})  # of pydantic
    names = {getattr(field, "alias", None) or name: name for name, field in fields.items()}
    return {**{name: name for name in fields}, **names}
