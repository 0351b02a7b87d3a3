"""Whether a text is an event of a type, and if not, what is wrong where."""

from __future__ import annotations

import json
from typing import Any

from .. import events
from ..calls.decode import decoder
from ..errors import ServiceError
from ..events.sample import TYPES
from .json_places import JsonPath, TextLines, json_places
from .refusal import ConsoleRefusal

MOST_MISTAKES = 50
"""Mistakes that are told of one text."""

MOST_CHECKED = 2 * 1024 * 1024
"""Characters of a text that is checked against a schema; of a longer one nothing is said."""

_SHOWN = 300
"""Characters of what is said of one mistake."""


def event_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of a type of `service.events`. Raises ConsoleRefusal 404."""
    if not name or name not in TYPES.values():
        raise ConsoleRefusal(404, f"no sample is of a type {name[:100]!r}")
    return events.schema(getattr(events, name))


def event_mistakes(name: str, text: str) -> list[dict[str, Any]]:
    """Return what keeps a text from being an event of a type, each mistake with its `path`, `line`
    and `column`; a type of "" is any JSON. Raises ConsoleRefusal.
    """
    schema = event_schema(name) if name else {}
    try:
        value = json.loads(text)
    except json.JSONDecodeError as reason:
        if name and _is_decoded(name, text):  # of a trigger that sends plain text
            return []
        return [_mistake((), reason.lineno, reason.colno, reason.msg)]
    except (RecursionError, ValueError) as reason:  # a number of a million digits
        return [_mistake((), 1, 1, f"{type(reason).__name__}: {reason}")]
    if not schema or len(text) > MOST_CHECKED:
        return []
    mistakes = _of_schema(schema, value, text)
    # A schema says what a trigger sends: decoding takes more.
    return [] if mistakes and _is_decoded(name, text) else mistakes


def _is_decoded(name: str, text: str) -> bool:
    try:
        decoder(getattr(events, name))(text.encode("utf-8", "surrogatepass"))
    except (ServiceError, TypeError, ValueError):
        return False
    return True


def _of_schema(schema: dict[str, Any], value: Any, text: str) -> list[dict[str, Any]]:
    try:
        import jsonschema
    except ImportError:
        raise ConsoleRefusal(
            501, "events are checked by jsonschema: install fc-event-service[emulator]"
        ) from None
    from jsonschema.exceptions import best_match

    found: list[tuple[JsonPath, str]] = []
    for error in jsonschema.Draft202012Validator(schema).iter_errors(value):
        # Of a choice between types, what is said is why the nearest one does not do.
        nearest = best_match([error]) or error
        found.append((tuple(nearest.absolute_path), nearest.message))
        if len(found) == MOST_MISTAKES:
            break
    if not found:
        return []
    places, lines = json_places(text), TextLines(text)
    placed = [_mistake(path, *lines.place(places.get(path, 0)), message) for path, message in found]
    return sorted(placed, key=lambda each: (each["line"], each["column"]))


def _mistake(path: JsonPath, line: int, column: int, message: str) -> dict[str, Any]:
    shown = message if len(message) <= _SHOWN else f"{message[:_SHOWN]}..."
    named = ".".join(map(str, path))
    return {"path": named, "line": line, "column": column, "message": shown}
