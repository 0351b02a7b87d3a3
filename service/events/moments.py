"""Times of events: read when they are asked for, and always with an offset from UTC."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Struct

Moment = datetime | str | None
"""A time; None if it is absent, text if it cannot be read."""

SENT: Final = {"type": ["string", "null"], "format": "date-time"}

# What this is when a handler has the event. msgspec lets in all; `with_moments` sees to the rest.
globals().update(Moment=Annotated[Any, msgspec.Meta(extra_json_schema=SENT)])

StructClass = TypeVar("StructClass", bound=type[Struct])

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

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


class _MomentField:
    """A field whose text becomes a time when it is read.

    The event keeps the text: it is written, compared and shown as it came. So most events, whose
    times nobody reads, cost no parsing.
    """

    def __init__(self, kept: Any) -> None:
        self._kept = kept

    def __get__(self, event: Any, kind: Any = None) -> Any:
        if event is None:
            return self
        return read_moment(self._kept.__get__(event))

    def __set__(self, event: Any, value: Any) -> None:
        self._kept.__set__(event, value)


def with_moments(*names: str) -> Callable[[StructClass], StructClass]:
    """Make times of what came as text in these fields of a class, each time they are read."""

    def change(kind: StructClass) -> StructClass:
        for name in names:
            setattr(kind, name, _MomentField(vars(kind)[name]))
        return kind

    return change


def read_moment(value: Any) -> Any:
    """Return the time that a text tells, with its offset (UTC if it has none), or the text if it
    tells none. What is no text is returned as it is.
    """
    if value.__class__ is str:
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = _read_unusual(value)
    if value.__class__ is datetime and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return value


def from_epoch(number: Any, a_second: int) -> datetime | None:
    """Return the time of a count since 1970, of which `a_second` make a second; None for 0, and for
    what is no such count or beyond the year 9999.
    """
    if not number or number.__class__ is not int:
        return None
    try:
        return EPOCH + timedelta(microseconds=number * (1_000_000 // a_second))
    except OverflowError:
        return None


def _read_unusual(text: str) -> datetime | str:
    """Return the time that a text tells which is not written as most are, or the text."""
    found = _TIME.fullmatch(text)
    if found is None:
        return text
    *whole, fraction, zone = found.groups()
    year, month, day, hour, minute, second = (int(number or 0) for number in whole)
    micro = (fraction or "0").ljust(6, "0")[:6]
    offset = _ZONES.get(zone.lower(), zone)
    date = f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micro}{offset}"
    try:
        return datetime.fromisoformat(date)
    except ValueError:
        return text
