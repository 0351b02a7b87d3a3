"""When a timer fires, against clocks that are read second by second."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from service.emulator.spec.cron import FIELDS, MONTHS, WEEKDAYS, parse_cron

SECOND = timedelta(seconds=1)
ZONES = {
    "Asia/Shanghai": datetime(2026, 6, 1, tzinfo=UTC),
    "Asia/Kathmandu": datetime(2026, 6, 1, tzinfo=UTC),
    # These are hours in which the clock is put forward, and back.
    "Europe/Berlin": datetime(2026, 3, 29, 1, tzinfo=UTC),
    "America/New_York": datetime(2026, 11, 1, 6, tzinfo=UTC),
    "Australia/Lord_Howe": datetime(2026, 4, 4, 15, tzinfo=UTC),  # by half an hour
    "America/Santiago": datetime(2026, 9, 6, 4, tzinfo=UTC),  # at midnight
}


def moment(text: str) -> datetime:
    """A time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def following(expression: str, start: str, count: int = 1) -> list[str]:
    """The next times of an expression, as text."""
    schedule, now, found = parse_cron(expression), moment(start), []
    for _ in range(count):
        now = schedule.next_after(now)
        found.append(now.isoformat(" ").removesuffix("+00:00"))
    return found


# --- intervals


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("@every 5m", 300),
        ("@every 1h30m", 5400),
        ("@every 1.5h", 5400),
        ("@every 90m", 5400),
        ("@every  4m ", 240),
        ("@every 10s", 10),
    ],
)
def test_an_interval_is_added_to_the_moment(text: str, seconds: int) -> None:
    """`@every` fires one interval after the moment, in whole seconds."""
    start = moment("2026-03-11 08:30:00.75")
    after = parse_cron(text).next_after(start)
    assert after == moment("2026-03-11 08:30:00") + seconds * SECOND
    assert after.tzinfo is UTC


@pytest.mark.parametrize(
    "text", ["@every", "@every 5", "@every m", "@every 0m", "@every 1d", "@every 0.5s", "@hourly"]
)
def test_what_is_no_interval_is_told(text: str) -> None:
    """Other intervals and short names of other schedulers are refused."""
    with pytest.raises(ValueError, match=r"is no interval|whole seconds"):
        parse_cron(text)


# --- the fields


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 0 4 * * *", "2026-03-12 04:00:00"),
        ("15 */20 * * * *", "2026-03-11 08:40:15"),
        ("0 5/20 8 * * *", "2026-03-11 08:45:00"),
        ("0 0,31,45 8-9 * * *", "2026-03-11 08:31:00"),
        ("0 30 8 * * *", "2026-03-12 08:30:00"),
        ("0 0 12 1 jan ?", "2027-01-01 12:00:00"),
        ("0 0 12 ? * MON", "2026-03-16 12:00:00"),
        ("0 0 12 ? * 1", "2026-03-16 12:00:00"),
        ("0 0 12 ? * 7", "2026-03-15 12:00:00"),
        ("0 0 12 ? * sat-sun", "2026-03-14 12:00:00"),
        ("0 0 12 * APR-JUN WED", "2026-04-01 12:00:00"),
        ("0 0 0 31 * ?", "2026-03-31 00:00:00"),
        ("0 0 0 29 2 *", "2028-02-29 00:00:00"),
        ("CRON_TZ=Asia/Shanghai 0 30 9 * * *", "2026-03-12 01:30:00"),
        ("CRON_TZ=Asia/Shanghai 0 0 4 1 * *", "2026-03-31 20:00:00"),
        ("0 0 4 */10 * ?", "2026-03-21 04:00:00"),
        ("0 0 4 25/3 * ?", "2026-03-25 04:00:00"),
    ],
)
def test_the_next_time(expression: str, expected: str) -> None:
    """Each form of a field that the platform's page shows, from a Wednesday at 08:30."""
    assert following(expression, "2026-03-11 08:30:00") == [expected]


def test_a_day_of_the_month_or_one_of_the_week_is_enough() -> None:
    """Where both are named either fires; where one is * or ?, the other decides."""
    start = "2026-03-11 12:00:00"
    assert following("0 0 0 13 * MON", start, 2) == ["2026-03-13 00:00:00", "2026-03-16 00:00:00"]
    assert following("0 0 0 13 * ?", start) == ["2026-03-13 00:00:00"]
    assert following("0 0 0 ? * MON", start) == ["2026-03-16 00:00:00"]


def test_a_time_that_the_clock_leaves_out_does_not_fire_that_day() -> None:
    """Berlin has no 02:30 on 2026-03-29."""
    times = following("CRON_TZ=Europe/Berlin 0 30 2 * * *", "2026-03-27 12:00:00", 3)
    assert times == ["2026-03-28 01:30:00", "2026-03-30 00:30:00", "2026-03-31 00:30:00"]


def test_a_day_begins_at_its_midnight_though_the_one_before_was_short() -> None:
    """The day before 2026-03-30 has 23 hours in Berlin."""
    times = following("CRON_TZ=Europe/Berlin 0 0 0 30 * ?", "2026-03-28 12:00:00")
    assert times == ["2026-03-29 22:00:00"]


def test_a_time_that_the_clock_shows_twice_fires_twice() -> None:
    """Berlin has 02:30 twice on 2026-10-25."""
    times = following("CRON_TZ=Europe/Berlin 0 30 2 * * *", "2026-10-24 12:00:00", 3)
    assert times == ["2026-10-25 00:30:00", "2026-10-25 01:30:00", "2026-10-26 01:30:00"]


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("0 4 * * *", "has 5 fields; the platform's timer takes 6: seconds"),
        ("0 0 4 * * * 2026", "has 7 fields"),
        ("", "has 0 fields"),
        ("60 0 0 * * *", "'60' in seconds is not of 0-59"),
        ("0 -1 0 * * *", "'-1' in minutes"),
        ("0 0 24 * * *", "'24' in hours is not of 0-23"),
        ("0 0 0 0 * *", "'0' in day of month is not of 1-31"),
        ("0 0 0 * 13 *", "'13' in month is not of 1-12 or JAN-DEC"),
        ("0 0 0 ? * 0", "'0' in day of week is not of 1-7 or MON-SUN.*; Sunday is 7"),
        ("0 0 0 ? * 8", "'8' in day of week"),
        ("0 0 0 ? * MONDAY", "'MONDAY' in day of week"),
        ("0 ? 0 * * *", "'\\?' in minutes"),
        ("0 0 0 L * ?", "'L' in day of month .* L, W and # of other schedulers"),
        ("0 0 0 15W * ?", "L, W and #"),
        ("0 0 0 ? * FRI#2", "L, W and #"),
        ("0 0 0 ? * 5L", "L, W and #"),
        ("0 0 0 ? * FRI-MON", "'FRI-MON' in day of week ends before it begins"),
        ("0 */0 0 * * *", "'\\*/0' in minutes"),
        ("0 1,,2 0 * * *", "'' in minutes"),
        ("0 *-5 0 * * *", "'\\*-5' in minutes"),
        ("0 ٣ 0 * * *", "'٣' in minutes"),
        ("0 0 0 30 2 ?", "never comes: none of its months has 30 days"),
        ("0 0 0 31 2,4,JUN *", "never comes"),
        ("CRON_TZ=Mars/Olympus 0 0 0 * * *", "the time zone 'Mars/Olympus' is not known"),
        ("CRON_TZ=America 0 0 0 * * *", "the time zone 'America' is not known"),
        ("CRON_TZ=../../etc/passwd 0 0 0 * * *", "is not known"),
        ("CRON_TZ= 0 0 0 * * *", "is not known"),
        ("TZ=Asia/Shanghai 0 0 0 * * *", "has 7 fields"),
    ],
)
def test_what_the_platform_does_not_take_is_told(expression: str, told: str) -> None:
    """A wrong expression is an error that names the field and what it takes."""
    with pytest.raises(ValueError, match=told):
        parse_cron(expression)


@pytest.mark.parametrize(
    ("expression", "doubts"),
    [
        ("0 */5 * * * *", []),
        ("@every 2m", []),
        ("*/10 * * * * *", ["the platform's page does not allow '*/10' in seconds"]),
        ("0 0 0 ? * MON/2", ["the platform's page does not allow 'MON/2' in day of week"]),
        ("@every 30s", ["the platform's page speaks of whole minutes only"]),
    ],
)
def test_what_the_platform_may_refuse_is_played_and_said(
    expression: str, doubts: list[str]
) -> None:
    """Timers of seconds are of use on a desk, though the platform's page has none."""
    assert list(parse_cron(expression).doubts) == doubts


# --- against a clock that is read second by second


def numbers(low: int, high: int) -> st.SearchStrategy[str]:
    """The text of a field: a list of numbers, ranges and steps."""
    number = st.integers(low, high)
    span = st.tuples(number, number).map(sorted)
    step = st.integers(1, high)
    item = st.one_of(
        number.map(str),
        span.map(lambda ends: f"{ends[0]}-{ends[1]}"),
        st.tuples(span, step).map(lambda it: f"{it[0][0]}-{it[0][1]}/{it[1]}"),
        st.tuples(number, step).map(lambda it: f"{it[0]}/{it[1]}"),
        step.map(lambda n: f"*/{n}"),
        st.just("*"),
    )
    return st.lists(item, min_size=1, max_size=3).map(",".join)


def spelled(text: str, least: int = 0) -> set[int]:
    """The numbers that a field of `numbers` stands for, read apart from the code under test."""
    found: set[int] = set()
    for item in text.split(","):
        span, _, step = item.partition("/")
        first, _, last = span.partition("-")
        low = least if first == "*" else int(first)
        high = int(last) if last else 99 if first == "*" or step else low
        found |= {n for n in range(low, high + 1) if (n - low) % int(step or 1) == 0}
    return found


def seconds_from(start: datetime, count: int) -> Iterator[datetime]:
    """The seconds after `start`."""
    yield from (start + n * SECOND for n in range(1, count + 1))


@settings(max_examples=30)
@given(
    seconds=numbers(0, 59),
    minutes=numbers(0, 59),
    hours=numbers(0, 23),
    zone=st.sampled_from([*ZONES]),
    around=st.integers(-5400, 5400),
)
def test_no_second_is_skipped(
    seconds: str, minutes: str, hours: str, zone: str, around: int
) -> None:
    """The next time is the first second whose clock matches, also where the clock is changed."""
    start = ZONES[zone] + around * SECOND
    place = ZoneInfo(zone)
    wanted = [spelled(text) for text in (hours, minutes, seconds)]
    after = parse_cron(f"CRON_TZ={zone} {seconds} {minutes} {hours} * * ?").next_after(start)
    first = next(
        (
            each
            for each in seconds_from(start, 3600)
            if (local := each.astimezone(place)).hour in wanted[0]
            and local.minute in wanted[1]
            and local.second in wanted[2]
        ),
        None,
    )
    assert after == first if first else after > start + 3600 * SECOND
    assert after.astimezone(place).minute in wanted[1]


@settings(max_examples=50)
@given(
    minutes=numbers(0, 59),
    hours=numbers(0, 23),
    weekdays=st.just("*") | numbers(1, 7),
    zone=st.sampled_from([*ZONES]),
    around=st.integers(-1440, 0),
)
@example(minutes="0", hours="0", weekdays="1", zone="Europe/Berlin", around=-1)
def test_no_minute_of_a_day_is_skipped(
    minutes: str, hours: str, weekdays: str, zone: str, around: int
) -> None:
    """All times of a day come, in their order, across the change of a clock."""
    start = ZONES[zone] + around * 60 * SECOND
    end = start + timedelta(days=1)
    place = ZoneInfo(zone)
    wanted = spelled(hours), spelled(minutes), spelled(weekdays, 1)
    expected = [
        each
        for each in (start + n * 60 * SECOND for n in range(1, 1441))
        if (local := each.astimezone(place)).hour in wanted[0]
        and local.minute in wanted[1]
        and local.isoweekday() in wanted[2]
    ]
    schedule = parse_cron(f"CRON_TZ={zone} 0 {minutes} {hours} ? * {weekdays}")
    found, now = [], start
    while (now := schedule.next_after(now)) <= end:
        found.append(now)
    assert found == expected


@settings(max_examples=50)
@given(
    days=numbers(1, 31),
    months=numbers(1, 12),
    weekdays=numbers(1, 7),
    start=st.datetimes(datetime(2000, 1, 1), datetime(2090, 1, 1)),
)
@example(days="29", months="2", weekdays="*", start=datetime(2096, 3, 1))
def test_no_day_of_years_is_skipped(days: str, months: str, weekdays: str, start: datetime) -> None:
    """The next date is the first that matches, leap years included."""
    start = start.replace(tzinfo=UTC)
    wanted = spelled(days, 1), spelled(months, 1), spelled(weekdays, 1)
    longest = max(29 if month == 2 else 31 - (month in (4, 6, 9, 11)) for month in wanted[1])
    assume(weekdays != "*" or min(wanted[0]) <= longest)
    after = parse_cron(f"0 0 0 {days} {months} {weekdays}").next_after(start)

    def matches(each: datetime) -> bool:
        day, weekday = each.day in wanted[0], each.isoweekday() in wanted[2]
        both = days == "*" or weekdays == "*"
        return each.month in wanted[1] and (day and weekday if both else day or weekday)

    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    dates = (midnight + timedelta(days=n) for n in range(1, 9 * 366))
    assert after == next(each for each in dates if matches(each))


@given(
    text=st.text(max_size=30)
    | st.lists(st.sampled_from("*/-,?L#W09MON "), max_size=20).map("".join)
)
def test_any_text_is_a_schedule_or_an_error(text: str) -> None:
    """No text brings anything but a ValueError that says why."""
    try:
        schedule = parse_cron(text)
    except ValueError as reason:
        assert str(reason)  # noqa: PT017 - either end is right
    else:
        assert schedule.next_after(ZONES["Asia/Shanghai"]) > ZONES["Asia/Shanghai"]


def test_names_are_those_of_the_platform() -> None:
    """Months and days have their English short names, Monday first."""
    assert (MONTHS[0], MONTHS[11], WEEKDAYS[0], WEEKDAYS[6]) == ("JAN", "DEC", "MON", "SUN")
    assert [(each.low, each.high) for each in FIELDS] == [
        *((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (1, 7))
    ]
