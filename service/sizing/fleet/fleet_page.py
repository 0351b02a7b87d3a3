"""A simulated fleet as text: a line for each concurrency, and how it was come by."""

from __future__ import annotations

from collections.abc import Sequence

from ..page import in_ms, table_lines
from .course import FleetCourse
from .simulate import FleetRow, FleetStudy

FLEET_COLUMNS = (
    "at once",
    "vCPU",
    "MB",
    "instances",
    "started",
    "cold",
    "p50 ms",
    "p99 ms",
    "429",
    "vCPU-s/M",
    "GB-s/M",
    "bill/M",
)


def fleet_page(study: FleetStudy, rows: Sequence[FleetRow]) -> str:
    """Return what is simulated, the table, and how its columns are meant."""
    limits, pattern = study.limits, study.pattern
    lines = [
        f"{pattern.name}: at most {pattern.most:,g} calls/s for {in_words(pattern.seconds)},"
        f" about {pattern.calls():,.0f} calls; at most {limits.instances:,} instances,"
        f" {limits.at_once:,} started at once and {limits.a_minute:,} a minute; seed {study.seed}",
        "",
        *table_lines(FLEET_COLUMNS, [_cells(row, rows) for row in rows]),
        "",
        "cold: calls that waited for a start. 429: refused by a limit. vCPU-s, GB-s: seconds billed"
        " of a million calls.",
        _bill_said(study),
        _way_said(rows),
    ]
    return "".join(f"{line}\n" for line in lines)


def _cells(row: FleetRow, rows: Sequence[FleetRow]) -> list[str]:
    course = row.course
    return [
        f"{row.at_once}",
        f"{row.size.cpu:g}",
        f"{row.size.memory}",
        f"{course.most:,}",
        f"{course.started:,}",
        share_of_calls(course.cold, course),
        in_ms(course.p50),
        in_ms(course.p99),
        share_of_calls(course.refused, course),
        f"{row.bill.vcpu_seconds:,.0f}",
        f"{row.bill.gb_seconds:,.0f}",
        price_of(row, rows),
    ]


def share_of_calls(part: int, course: FleetCourse) -> str:
    """Return a part of the calls as it is read at a glance."""
    of_all = part / max(course.calls, 1)
    return "0" if not part else f"{of_all:.3%}" if of_all < 0.01 else f"{of_all:.1%}"


def relative(row: FleetRow, rows: Sequence[FleetRow]) -> float:
    """Return the bill in shares of the first row's; without prices the mean of its two parts."""
    first, own = rows[0].bill, row.bill
    if first.price and own.price is not None:
        return own.price / first.price
    parts = (
        own.vcpu_seconds / (first.vcpu_seconds or 1.0),
        own.gb_seconds / (first.gb_seconds or 1.0),
    )
    return sum(parts) / 2


def price_of(row: FleetRow, rows: Sequence[FleetRow]) -> str:
    """Return what a million calls cost, or the share of what they cost in the first row."""
    if row.bill.price is None:
        return f"{relative(row, rows):.0%}"
    return f"{row.bill.price:,.2f}"


def _bill_said(study: FleetStudy) -> str:
    prices = study.prices
    if prices is None:
        return (
            "bill: in shares of the first line's, vCPU and memory alike; --prices FILE makes money"
            " of it"
        )
    return (
        f"bill: {prices.currency} by the prices of {prices.date}, the calls' own included; starts"
        " are not billed"
    )


def _way_said(rows: Sequence[FleetRow]) -> str:
    if all(row.course.exact for row in rows):
        return "Each call was simulated."
    return (
        "Too many calls to simulate each: this is an approximation by rates, step by step"
        " (docs/size.md says how far off it is)."
    )


def in_words(seconds: float) -> str:
    """Return a time as people say it."""
    for name, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:g} {name}" if seconds % length == 0 else f"{seconds:,.0f} s"
    return f"{seconds:,.0f} s"
