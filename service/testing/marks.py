"""Whose a value is: by what stands in one call's event and not in another's, and by request ids."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from ..context.call import Context

DEPTH = 5
MOST_PARTS = 200
"""How deep, and at how many parts of a value is looked."""

EVENT_WORD = re.compile(r"[\w.@:/+-]+")
Leaf = str | bytes | int | float


class Foreign(NamedTuple):
    """A part of a value that belongs to other calls: where, what, and whose it is."""

    path: str
    leaf: Leaf
    owners: frozenset[int]


class CallMarks:
    """Which calls a text or a number belongs to. Calls are known by their numbers.

    Small numbers, texts of one character, and what is `known` before (the code's own constants and
    what the module holds) belong to nobody.
    """

    def __init__(self, events: list[bytes], ids: list[str], known: Iterable[Leaf]) -> None:
        owners: dict[Leaf, set[int]] = {}
        constant = set(known)
        for number, (event, request_id) in enumerate(zip(events, ids, strict=True)):
            found = {leaf for _, leaf in leaves_of(_decoded(event))}
            for leaf in (found | {event}) - constant:
                owners.setdefault(leaf, set()).add(number)
            owners[request_id] = {number}
        self._owners: Mapping[Leaf, frozenset[int]] = {
            leaf: frozenset(calls) for leaf, calls in owners.items()
        }
        self._ids = re.compile(r"fc-at-once-[0-9a-f]+-\d+")

    def of_others(self, value: object, call: int) -> Foreign | None:
        """Return the first part of a value that is other calls' and not this one's."""
        for path, leaf in leaves_of(value):
            for part in self._parts(leaf):
                owners = self._owners.get(part)
                if owners and call not in owners:
                    return Foreign(path, part, owners)
        return None

    def has_own(self, value: object, call: int) -> bool:
        """Return whether some part of a value is this call's, and not all calls'."""
        for _, leaf in leaves_of(value):
            for part in self._parts(leaf):
                if call in self._owners.get(part, ()):
                    return True
        return False

    def _parts(self, leaf: Leaf) -> Iterator[Leaf]:
        yield leaf
        if isinstance(leaf, str) and len(leaf) < 4096:
            yield from self._ids.findall(leaf)
            yield from (word for word in EVENT_WORD.findall(leaf) if len(word) > 3 and word != leaf)


def _decoded(event: bytes) -> object:
    try:
        return json.loads(event)
    except ValueError:
        pass
    cbor = sys.modules.get("cbor2")  # if the function reads such events
    try:
        return event if cbor is None else cbor.loads(event)
    except Exception:  # any bytes, then
        return event


def leaves_of(value: object) -> Iterator[tuple[str, Leaf]]:
    """Yield the texts and the large numbers in a value, with the way to each."""
    left = [MOST_PARTS]
    yield from _leaves(value, "", DEPTH, left)


def _leaves(value: object, path: str, depth: int, left: list[int]) -> Iterator[tuple[str, Leaf]]:
    left[0] -= 1
    if left[0] < 0:
        return
    if isinstance(value, str | bytes):
        if len(value) > 1:
            yield path, value
    elif isinstance(value, float):
        if not value.is_integer():
            yield path, value
    elif isinstance(value, int):
        if abs(value) > 99_999:
            yield path, value
    elif isinstance(value, Context):
        yield f"{path}.request_id", value.request_id
    elif depth:
        for step, part in value_parts(value):
            yield from _leaves(part, f"{path}{step}", depth - 1, left)


def value_parts(value: object) -> list[tuple[str, object]]:
    """Return what a value is made of, with the step to each: `["user"]`, `[0]` or `.name`."""
    if isinstance(value, Mapping):
        try:
            return _entries(value)
        except Exception:  # a thread changes it meanwhile: it is looked at again
            return []
    if isinstance(value, list | tuple):
        return [(f"[{place}]", part) for place, part in enumerate(value[:MOST_PARTS])]
    if isinstance(value, set | frozenset):
        return [("{}", part) for part in list(value)[:MOST_PARTS]]
    return [(f".{name}", part) for name, part in _fields(value)]


def _entries(value: Mapping[Any, Any]) -> list[tuple[str, object]]:
    keys = [(f" key {key!r}", key) for key in value] if not isinstance(value, dict) else []
    return [*((f"[{key!r}]", part) for key, part in list(value.items())), *keys]


def _fields(value: object) -> list[tuple[str, Any]]:
    if isinstance(value, msgspec.Struct):
        names: Iterable[str] = value.__struct_fields__
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
    else:
        return []
    return [(name, getattr(value, name, None)) for name in names]
