"""What makes two events the same: the value that a path leads to, as a key, and the payload's hash."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from ..calls.stream import EventStream
from ..errors import InvalidEvent, PayloadUnhashable

Select = Callable[[Any], Any]
"""Takes a value out of an event."""

Steps = tuple[str | int, ...]

LONGEST_KEY = 120
"""Characters of a key that stand in the store as they are; of a longer one its hash does."""

STEP = re.compile(
    r"""\.(?P<name>[^\W\d]\w*) | \[(?P<index>-?\d{1,9})\] | \['(?P<single>[^']+)'\]
    | \["(?P<double>[^"]+)"\]""",
    re.VERBOSE,
)


def selector(what: str, path: str | Select) -> Select:
    """Return what takes a value out of an event, for a path or a function of the user's; `what` is
    how messages call it. Raises ValueError for a path that cannot be read.
    """
    if not isinstance(path, str):
        if not callable(path):
            raise ValueError(
                f"{what} is a path, '$.order_id', or a function of the event: {path!r}"
            )
        return _whole_event(path)
    steps = steps_of(what, path)

    def select(event: Any) -> Any:
        value = event
        for number, step in enumerate(steps):
            value = _inner(value, step, path, number)
        return value

    return _whole_event(select)


def steps_of(what: str, path: str) -> Steps:
    """Return the names and numbers of a path: `$.items[0]['unit price']`. Raises ValueError."""
    steps: list[str | int] = []
    at = 1
    while path.startswith("$") and at < len(path):
        found = STEP.match(path, at)
        if found is None:
            break
        name = found["name"] or found["single"] or found["double"]
        steps.append(name if name is not None else int(found["index"]))
        at = found.end()
    if not path.startswith("$") or at < len(path):
        raise ValueError(
            f"{what} is a path from the event on, $.order_id or $.items[0]['id'] for example, or a"
            f" function of the event: {path[:80]!r} is none"
        )
    return tuple(steps)


def _whole_event(select: Select) -> Select:
    """Let `select` see the JSON value of an event that the handler takes as bytes or text."""

    def select_from(event: Any) -> Any:
        if isinstance(event, EventStream):
            raise TypeError("@once needs the event whole: take it as bytes, and not as EventStream")
        return select(json_value(event) if isinstance(event, bytes | str) else event)

    return select_from


def json_value(event: bytes | str) -> Any:
    """Return the JSON value of an event. Raises InvalidEvent if it is no JSON."""
    try:
        return msgspec.json.decode(event)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass  # not from within: what it raises may quote the event
    raise InvalidEvent("the event is no JSON, and @once looks for its key in it")


def _inner(value: Any, step: str | int, path: str, number: int) -> Any:
    """Return an item of a list, a field of a mapping, or an attribute by its name in Python or in
    JSON. Raises InvalidEvent.
    """
    if isinstance(step, int):
        if isinstance(value, Sequence) and not isinstance(value, str | bytes):
            try:
                return value[step]
            except IndexError:
                pass
    elif isinstance(value, Mapping):
        if step in value:
            return value[step]
    elif not step.startswith("_"):
        if hasattr(value, step):
            return getattr(value, step)
        if isinstance(value, msgspec.Struct):
            for field in msgspec.structs.fields(value):
                if field.encode_name == step:
                    return getattr(value, field.name)
    steps = steps_of("", path)[: number + 1]
    shown = "$" + "".join(f"[{each!r}]" if isinstance(each, int) else f".{each}" for each in steps)
    raise InvalidEvent(f"the event has no {shown}, and @once takes {path} for what makes it unique")


def key_text(value: Any) -> str:
    """Return a key as it stands in the store. Raises InvalidEvent for a value that does not tell
    one event from another.
    """
    if value is None or value == "" or isinstance(value, bool) or _is_no_number(value):
        raise InvalidEvent(f"the key of @once is {value!r}: it would be the same for many events")
    try:
        text = msgspec.json.encode(value, order="sorted").decode()
    except OverflowError:
        text = str(value)
    except (TypeError, ValueError, RecursionError) as reason:
        raise TypeError(
            f"the key of @once is of type {type(value).__name__}, which has no text: return str or"
            " int from the function that is its key"
        ) from reason
    if len(text) > LONGEST_KEY or not text.isascii() or not text.isprintable():
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    return text


def _is_no_number(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def digest_of(value: Any) -> str:
    """Return the hash of a payload: the same for the same JSON, however it was written.

    Raises PayloadUnhashable for what has no JSON.
    """
    if isinstance(value, bytes | str):
        try:
            value = msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            value = value.encode() if isinstance(value, str) else value
            return hashlib.sha256(value).hexdigest()
    return hashlib.sha256(_canonical(value)).hexdigest()


def _canonical(value: Any) -> bytes:
    try:
        return msgspec.json.encode(value, order="sorted", enc_hook=_plain_payload)
    except OverflowError:  # an int over 64 bits
        plain = msgspec.to_builtins(value, enc_hook=_plain_payload)
        return json.dumps(plain, sort_keys=True).encode()
    except (TypeError, ValueError, RecursionError) as reason:
        kind = type(value).__name__
        raise PayloadUnhashable(
            f"@once cannot compare events of type {kind}: {reason}; say in `payload` which part of"
            " them is to be the same, or payload=None"
        ) from reason


def _plain_payload(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if hasattr(value, "to_json"):
        return value.to_json()
    raise TypeError(f"{type(value).__name__} has no JSON")
