"""What makes two events the same: the key that a path leads to, and the hash of what is sent."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from typing import Any, Final

import msgspec

from ..calls.paths import path_reader
from ..calls.stream import EventStream
from ..errors import InvalidEvent, PayloadUnhashable

SelectValue = Callable[[Any], Any]
"""Takes a value out of an event."""

LONGEST_KEY: Final = 120
"""Characters of a key that stand in the store as they are; of a longer one its hash does."""


def selector(what: str, path: str | SelectValue) -> SelectValue:
    """Return what takes a value out of an event, for a path or a function of the user's; `what` is
    how messages call it. Raises ValueError for a path that cannot be read.
    """
    if not isinstance(path, str) and not callable(path):
        raise ValueError(f"{what} is a path, '$.order_id', or a function of the event: {path!r}")
    try:
        select = path_reader(path) if isinstance(path, str) else path
    except ValueError as reason:
        raise ValueError(f"{what}: {reason}") from None

    def select_from(event: Any) -> Any:
        if isinstance(event, EventStream):
            raise TypeError("@once needs the event whole: take it as bytes, not as EventStream")
        return select(event)

    return select_from


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
