"""The key of a record: records of one key are handled in their order."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable
from typing import Any

import msgspec

from ..calls.paths import path_reader

KeyOf = Callable[[Any], Hashable]


def key_reader(key: Any) -> KeyOf:
    """Return what reads a record's key, for a path or a function of the user's; a key of None is in
    no order. Raises TypeError and ValueError for what is neither.
    """
    if key is None:
        return lambda _record: None
    if isinstance(key, str):
        read: Callable[[Any], Any] = path_reader(key)
    elif callable(key) and not inspect.iscoroutinefunction(key):
        read = key
    else:
        raise TypeError(
            f"key is {type(key).__name__}: write a path, '$.order.id' for example, or a plain"
            " function of the record"
        )
    return lambda record: _hashable(read(record))


def _hashable(value: Any) -> Hashable:
    """Return what stands for a key's value. Raises TypeError for one that nothing is equal to."""
    if isinstance(value, dict | list):
        return msgspec.json.encode(value, order="sorted").decode()
    if inspect.iscoroutine(value):
        value.close()
        raise TypeError("the function of the key is async: make it a plain one")
    hash(value)
    found: Hashable = value
    return found
