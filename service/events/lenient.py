"""Fields that nobody may have asked for: whatever they hold, they never refuse an event."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Optional, TypeVar, get_args

from msgspec import NODEFAULT, Struct
from msgspec.structs import FieldInfo, fields, force_setattr

T = TypeVar("T")
OrDefault = Annotated[T, "null is the default"]
"""What a field holds; its default if it is absent or null."""
Text = str
"""Text; "" if it is absent or null."""
Moment = datetime | str | None
"""A time; None if it is absent, text if it cannot be read."""

# What these are when a handler has the event. What msgspec lets in is more: `read_fields` sees to
# the rest.
globals().update(Text=Any, Moment=Any, OrDefault=Optional)

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


def read_moment(value: Any) -> Any:
    """Return the time that a text tells, or the value as it is if it tells none."""
    if not isinstance(value, str):
        return value
    try:
        return datetime.fromisoformat(value)
    except ValueError:  # it is not written as most are
        found = _TIME.fullmatch(value)
    if found is None:
        return value
    *whole, fraction, zone = found.groups()
    year, month, day, hour, minute, second = (int(number or 0) for number in whole)
    micro = (fraction or "0").ljust(6, "0")[:6]
    offset = _ZONES.get(zone.lower(), zone)
    date = f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micro}{offset}"
    try:
        return datetime.fromisoformat(date)
    except ValueError:
        return value


class Lenient(Struct, frozen=True):
    """A part of an event whose fields of OrDefault may come as null."""

    def __post_init__(self) -> None:
        read_fields(self)


def read_fields(event: Struct, texts: tuple[str, ...] = (), moments: tuple[str, ...] = ()) -> None:
    """Make what came in fields of Text, Moment and OrDefault what these names promise."""
    for name in texts:
        value = getattr(event, name)
        if value.__class__ is not str:
            force_setattr(event, name, "" if value is None else str(value))
    for name in moments:
        value = getattr(event, name)
        if value.__class__ is not datetime:
            force_setattr(event, name, read_moment(value))
    for name, default in _defaults(event.__class__):
        if getattr(event, name) is None:
            force_setattr(event, name, default())


@cache
def _defaults(kind: type[Struct]) -> tuple[tuple[str, Callable[[], Any]], ...]:
    """Return what makes the default of each field of OrDefault."""
    lenient = (each for each in fields(kind) if type(None) in get_args(each.type))
    return tuple((each.name, _maker(each)) for each in lenient if each.default is not None)


def _maker(field: FieldInfo) -> Callable[[], Any]:
    value = field.default
    return field.default_factory if value is NODEFAULT else lambda: value
