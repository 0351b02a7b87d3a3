"""When a timer fires: the expressions that the platform's timer trigger takes.

`@every 5m` is an interval. Six fields, seconds first, are a calendar in UTC, or in the zone that a
leading `CRON_TZ=Asia/Shanghai` names. Ranges, lists, steps and names are those of the platform's
page on time triggers; days of the week are 1-7 or MON-SUN.

What that page leaves open: a calendar fires when a clock on the wall shows the time. What a clock
that is put forward leaves out does not fire that day, and what a clock that is put back shows twice
fires twice. If both a day of the month and a day of the week are named, either is enough.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

SECOND = timedelta(seconds=1)
CRON_UNITS = {"h": 3600, "m": 60, "s": 1}
LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""Days of each month, in a leap year."""

_INTERVAL = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{1,9})?[hms])+")
_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([hms])")
_ITEM = re.compile(r"(\*|\w+)(?:-(\w+))?(?:/([0-9]{1,9}))?", re.ASCII)


class Schedule(Protocol):
    """When a timer fires."""

    @property
    def doubts(self) -> Sequence[str]:
        """What the platform's page does not promise to take, in words."""

    def next_after(self, moment: datetime) -> datetime:
        """Return the first time to fire after `moment`, in UTC and in whole seconds."""


@dataclass(frozen=True, slots=True)
class Every:
    """One time to fire after each interval."""

    interval: timedelta
    doubts: Sequence[str] = ()

    def next_after(self, moment: datetime) -> datetime:
        """Return the moment's second and one interval."""
        return moment.astimezone(UTC).replace(microsecond=0) + self.interval


@dataclass(frozen=True, slots=True)
class Calendar:
    """The seconds at which the clock of a zone shows what the fields say."""

    seconds: frozenset[int]
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool
    """True if a day of the month and a day of the week are named, and one of them is enough."""
    zone: tzinfo
    doubts: Sequence[str] = ()

    def next_after(self, moment: datetime) -> datetime:
        """Return the first matching second after `moment`."""
        moment = moment.astimezone(UTC).replace(microsecond=0) + SECOND
        while wait := self._wait(moment.astimezone(self.zone)):
            moment = self._forward(moment, wait)
        return moment

    def _wait(self, local: datetime) -> int:
        """Return the seconds in which nothing matches, unless the clock is changed; 0: a match."""
        if not self._on(local):
            return 86400 - (local.hour * 3600 + local.minute * 60 + local.second)
        if local.hour not in self.hours:
            return 3600 - (local.minute * 60 + local.second)
        if local.minute not in self.minutes:
            return 60 - local.second
        return min((s for s in self.seconds if s >= local.second), default=60) - local.second

    def _on(self, local: datetime) -> bool:
        day, weekday = local.day in self.days, local.isoweekday() in self.weekdays
        return local.month in self.months and (day or weekday if self.either else day and weekday)

    def _forward(self, moment: datetime, wait: int) -> datetime:
        """Return `wait` seconds on, or the change of the zone's clock if that comes before."""
        offset = moment.astimezone(self.zone).utcoffset()
        if (moment + wait * SECOND).astimezone(self.zone).utcoffset() == offset:
            return moment + wait * SECOND
        same, changed = 0, wait
        while changed - same > 1:
            middle = (same + changed) // 2
            if (moment + middle * SECOND).astimezone(self.zone).utcoffset() == offset:
                same = middle
            else:
                changed = middle
        return moment + changed * SECOND


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an expression."""

    name: str
    low: int
    high: int
    names: Mapping[str, int] = field(default_factory=dict)
    signs: str = "*-/"
    """What the platform's page allows in it, beside a list of numbers."""
    may_be_blank: bool = False
    """True if `?` may stand for "any"."""

    @property
    def allowed(self) -> str:
        """What the field takes, in words."""
        names = f" or {'-'.join([*self.names][:: len(self.names) - 1])}" if self.names else ""
        return f"{self.low}-{self.high}{names}, *, ranges, steps, lists" + (
            ", ?" if self.may_be_blank else ""
        )


MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
WEEKDAYS = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"]
FIELDS = (
    Field("seconds", 0, 59, signs=""),
    Field("minutes", 0, 59),
    Field("hours", 0, 23),
    Field("day of month", 1, 31, may_be_blank=True),
    Field("month", 1, 12, {name: n for n, name in enumerate(MONTHS, 1)}),
    Field("day of week", 1, 7, {name: n for n, name in enumerate(WEEKDAYS, 1)}, "*-", True),
)


def parse_cron(expression: str) -> Schedule:
    """Return the schedule that an expression stands for. Raises ValueError, which says why not."""
    zone, rest = _zone(expression.strip())
    if rest.startswith("@"):
        return _every(rest)
    texts = rest.split()
    if len(texts) != len(FIELDS):
        raise ValueError(
            f"{rest!r} has {len(texts)} fields; the platform's timer takes 6: seconds, minutes,"
            " hours, day of month, month, day of week"
        )
    sets = [frozenset(_values(column, text)) for column, text in zip(FIELDS, texts, strict=True)]
    days, months = sets[3], sets[4]
    any_day, any_weekday = (text in ("*", "?") for text in (texts[3], texts[5]))
    if any_weekday and min(days) > max(LONGEST[month - 1] for month in months):
        raise ValueError(f"{rest!r} never comes: none of its months has {min(days)} days")
    either = not any_day and not any_weekday
    seconds, minutes, hours, *_, weekdays = sets
    return Calendar(
        seconds, minutes, hours, days, months, weekdays, either, zone, tuple(_doubts(texts))
    )


def _zone(expression: str) -> tuple[tzinfo, str]:
    if not expression.startswith("CRON_TZ="):
        return UTC, expression
    name, _, rest = expression.removeprefix("CRON_TZ=").partition(" ")
    try:
        return ZoneInfo(name), rest.strip()
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder of zones
        raise ValueError(
            f"the time zone {name!r} is not known; CRON_TZ takes names such as Asia/Shanghai"
        ) from None


def _every(text: str) -> Every:
    word, _, length = text.partition(" ")
    length = length.strip()
    if word != "@every" or not _INTERVAL.fullmatch(length):
        raise ValueError(
            f"{text!r} is no interval; the platform's timer takes @every with hours and minutes,"
            " such as @every 5m or @every 1h30m, or six fields"
        )
    seconds = sum(float(number) * CRON_UNITS[unit] for number, unit in _PART.findall(length))
    if seconds < 1 or seconds != int(seconds) or seconds > 366 * 86400:
        raise ValueError(f"{text!r} is not a number of whole seconds, up to a year")
    doubt = "the platform's page speaks of whole minutes only" if seconds % 60 else ""
    return Every(timedelta(seconds=seconds), (doubt,) if doubt else ())


def _values(column: Field, text: str) -> Iterator[int]:
    """Return all values that a field's text stands for."""
    if text == "?" and column.may_be_blank:
        text = "*"
    for item in text.split(","):
        found = _ITEM.fullmatch(item)
        if not found or (found[1] == "*" and found[2]) or (found[3] and not int(found[3])):
            raise _wrong(column, item)
        low, high = column.low, column.high
        if found[1] != "*":
            low = _number(column, item, found[1])
            high = _number(column, item, found[2]) if found[2] else high if found[3] else low
        if low > high:
            raise ValueError(f"{item!r} in {column.name} ends before it begins: write two ranges")
        yield from range(low, high + 1, int(found[3] or 1))


def _number(column: Field, item: str, text: str) -> int:
    number = column.names.get(text.upper())
    if number is None and text.isascii() and text.isdecimal():
        number = int(text[:9])
    if number is None or not column.low <= number <= column.high:
        raise _wrong(column, item)
    return number


def _wrong(column: Field, item: str) -> ValueError:
    why = ""
    if column.may_be_blank and re.fullmatch(r"[0-9]*[LW]|LW|\w+#[0-9]", item.upper()):
        why = "; L, W and # of other schedulers are not known to the platform"
    elif item == "0" and column.low == 1 and column.may_be_blank and "SUN" in column.names:
        why = "; Sunday is 7"
    return ValueError(f"{item!r} in {column.name} is not of {column.allowed}{why}")


def _doubts(texts: Sequence[str]) -> Iterator[str]:
    for column, text in zip(FIELDS, texts, strict=True):
        if (set("*-/,") - set(column.signs + "," if column.signs else "")) & set(text):
            yield f"the platform's page does not allow {text!r} in {column.name}"
