"""Names and values of any kind as a log line can carry them: plain JSON of bounded size, with
credentials masked. Whatever a value does when it is shown, it does not fail who asks.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Mapping
from typing import Any

from ..patterns import LatePattern

MAX_NAME = 128
"""Characters of a name."""

MAX_TEXT = 4 * 1024
"""Characters of a value, those of all that is in it together."""

MAX_ITEMS = 200
"""Values within one value."""

MAX_DEPTH = 8
"""Values within values."""

MASK = "***"
"""Stands for a credential."""

MORE = "..."
"""Stands for what there is no room for."""

_CREDENTIAL = LatePattern(
    "secret|passw|passphrase|pwd$|credential|authorization|cookie|token$"
    "|(?:api|access|private|signing|encryption|auth)key"
)
_BETWEEN_WORDS = LatePattern(r"[\W_]+")
_MAPPINGS = (dict, OrderedDict, defaultdict, Counter)
"""Those whose text shows all that is in them: one that hides it stays hidden."""


def is_credential(name: str) -> bool:
    """Return whether what is called so is a credential: `password`, `Security-Token`,
    `apiKey`; not `key`, `tokens` or `object_key`.
    """
    joined = _BETWEEN_WORDS.compiled.sub("", name).casefold()
    return _CREDENTIAL.compiled.search(joined) is not None


def safe_text(value: object) -> str:
    """Return a value as text, whatever its `__str__` does."""
    try:
        return str.__str__(str(value))
    except Exception as reason:
        return f"<{type(value).__name__} without text: {type(reason).__name__}>"


def cut_text(text: str, limit: int) -> str:
    """Return text of at most `limit` characters, with a note if it had more."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}... [cut: {len(text)} characters]"


def plain_fields(fields: Mapping[Any, object]) -> dict[str, Any]:
    """Return names and values as lines show them. Two names that are the same once they are cut
    stay two.
    """
    shown: dict[str, Any] = {}
    for key, value in fields.items():
        name = cut_text(safe_text(key), MAX_NAME)
        while name in shown:
            name += "'"
        shown[name] = plain_value(name, value)
    return shown


def plain_value(name: str, value: object) -> Any:
    """Return what lines show of the value that is called `name`: text, a number, true, false, null,
    or lists and mappings of these. What is none of them becomes text.
    """
    if is_credential(name):
        return MASK
    kind = type(value)
    if value is None or kind is bool or (kind is str and len(value) <= MAX_TEXT):  # type: ignore[arg-type]
        return value
    try:
        return _Shown().of(value, MAX_DEPTH)
    except Exception as reason:  # a mapping that another thread changes, for example
        return f"<{kind.__name__} that cannot be shown: {type(reason).__name__}>"


class _Shown:
    """What is shown of one value: no more values and characters in it than there is room for."""

    def __init__(self) -> None:
        self._items = MAX_ITEMS
        self._characters = MAX_TEXT

    def of(self, value: object, depth: int) -> Any:
        """Return it as plain JSON."""
        kind = type(value)
        if value is None or kind is bool:
            return value
        if isinstance(value, str):
            return self._text(str.__str__(value))  # no method of a class of its own
        if isinstance(value, int):
            number = int.__index__(value)
            return number if -(2**53) < number < 2**53 else self._text(safe_text(number))
        if isinstance(value, float):
            number_ = float.__float__(value)
            return number_ if math.isfinite(number_) else str(number_)
        if isinstance(value, list | tuple):
            return self._list(value, depth)
        if kind in _MAPPINGS:
            return self._mapping(value, depth)  # type: ignore[arg-type]
        return self._text(safe_text(value))

    def _text(self, text: str) -> str:
        shown = cut_text(text, max(0, self._characters))
        self._characters -= len(shown)
        return shown

    def _list(self, value: object, depth: int) -> Any:
        shown: list[Any] = []
        if not depth:
            return MORE
        kind: Any = list if isinstance(value, list) else tuple
        count = kind.__len__(value)
        for number in range(count):
            if not self._has_room():
                return [*shown, f"{MORE} [cut: {count} values]"]
            shown.append(self.of(kind.__getitem__(value, number), depth - 1))
        return shown

    def _mapping(self, value: dict[Any, Any], depth: int) -> Any:
        shown: dict[str, Any] = {}
        if not depth:
            return MORE
        for key, member in dict.items(value):
            if not self._has_room():
                shown[MORE] = f"[cut: {len(value)} values]"
                return shown
            name = self._text(cut_text(safe_text(key), MAX_NAME))
            while name in shown:
                name += "'"
            shown[name] = MASK if is_credential(name) else self.of(member, depth - 1)
        return shown

    def _has_room(self) -> bool:
        self._items -= 1
        return self._items >= 0 and self._characters > 0
