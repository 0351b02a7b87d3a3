"""Fields that nobody may have asked for: whatever they hold, they never refuse an event."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec.inspect import AnyType, Metadata, NoneType, StrType, UnionType
from msgspec.structs import force_setattr

Moment = datetime | str | None
"""A time; None if it is absent, text if it cannot be read."""

# What this is when a handler has the event. msgspec lets in all; `read_moments` sees to the rest.
globals().update(Moment=Any)

L = TypeVar("L", bound="Lenient")

from_iso = datetime.fromisoformat

_TIME = re.compile(
    r"(\d{4})-(\d\d?)-(\d\d?)[T ](\d\d?):(\d\d?)(?::(\d\d?)(?:[.,](\d{1,9}))?)?\s*(\S*)", re.ASCII
)
_ZONES = {
    "": "",
    "z": "+00:00",
    "utc": "+00:00",
    "gmt": "+00:00",
    "prc": "+08:00",
    "cst": "+08:00",
}
"""What the platform writes after a time; PRC is China's, and CST is there."""


def read_moment(value: str) -> datetime | str:
    """Return the time that a text tells which is not written as most are, or the text if it tells
    none.
    """
    found = _TIME.fullmatch(value)
    if found is None:
        return value
    *whole, fraction, zone = found.groups()
    year, month, day, hour, minute, second = (int(number or 0) for number in whole)
    micro = (fraction or "0").ljust(6, "0")[:6]
    offset = _ZONES.get(zone.lower(), zone)
    date = f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micro}{offset}"
    try:
        return from_iso(date)
    except ValueError:
        return value


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


def read_moments(event: Struct, names: tuple[str, ...]) -> None:
    """Make times of what came as text in these fields."""
    for name in names:
        value = getattr(event, name)
        if value.__class__ is str:
            try:
                moment: datetime | str = from_iso(value)
            except ValueError:
                moment = read_moment(value)
            force_setattr(event, name, moment)


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
