"""Fields that nobody may have asked for: whatever they hold, they never refuse an event."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec.inspect import AnyType, Metadata, NoneType, StrType, UnionType

L = TypeVar("L", bound="Lenient")


class Lenient(Struct, frozen=True):
    """A part of an event whose fields that may be absent may be null, which is their default; text
    among them may be of any type.

    Most events need none of this, so nothing is looked for until one was refused: whoever decodes
    then mends it and decodes it again (`calls/decode.py`, `convert`).
    """

    @staticmethod
    def __event_mended__(value: Any, kind: Any) -> Any:
        """Return a value of JSON as `kind`, which such parts stand in, takes it."""
        return _mended(value, msgspec.inspect.type_info(kind))


def convert(value: Any, kind: type[L]) -> L:
    """Return the event that a decoded value stands for. Raises msgspec.ValidationError."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        mended = kind.__event_mended__(value, kind)
    return msgspec.convert(mended, kind)


def _mended(value: Any, info: Any) -> Any:
    if isinstance(info, Metadata):
        return _mended(value, info.type)
    if isinstance(info, UnionType):
        for member in info.types:
            value = _mended(value, member)
    elif isinstance(value, dict):
        if hasattr(info, "fields"):
            return _with_fields(value, info)
        if hasattr(info, "value_type"):
            return {name: _mended(each, info.value_type) for name, each in value.items()}
    elif isinstance(value, list) and hasattr(info, "item_type"):
        return [_mended(each, info.item_type) for each in value]
    return value


def _with_fields(value: dict[str, Any], info: Any) -> dict[str, Any]:
    mended = dict(value)
    lenient = issubclass(getattr(info, "cls", object), Lenient)
    for field in info.fields:
        name = field.encode_name
        if name not in mended:
            continue
        if lenient and not field.required and not _takes(mended[name], field.type):
            if mended[name] is None:
                del mended[name]
                continue
            mended[name] = str(mended[name])
        mended[name] = _mended(mended[name], field.type)
    return mended


def _takes(value: Any, info: Any) -> bool:
    """Return whether an optional field takes a value, as far as it is to be mended."""
    if isinstance(info, StrType):
        return isinstance(value, str)
    if value is not None or isinstance(info, AnyType | NoneType):
        return True
    return isinstance(info, UnionType) and any(_takes(value, each) for each in info.types)
