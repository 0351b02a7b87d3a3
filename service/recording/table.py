"""What differs between calls and the same calls sent again, as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from statistics import median

import msgspec

from .differences import body_differences, line_differences
from .form import moment
from .reading import StoredCall
from .sending import SentCall

ALL_LISTED = 100
"""Calls from which on those are not listed that answered the same."""

EACH = 10
"""Differences of one call's result, and of its lines, that are shown."""


class Compared(msgspec.Struct, frozen=True):
    """A call and the same call sent again: what differs in its result and in its lines."""

    call: StoredCall
    sent: SentCall
    result: Sequence[str]
    lines: Sequence[str]


def compare(call: StoredCall, sent: SentCall) -> Compared:
    """Compare a call with the same one sent again. That they have two request ids is no difference:
    the second is read as the first.
    """
    old, new = call.told.request_id, sent.request_id
    result = sent.result.replace(new.encode(), old.encode())
    lines = None if sent.lines is None else [line.replace(new, old) for line in sent.lines]
    told = [*_verdicts(call, sent)]
    if not (told and sent.error):
        told += body_differences(call.result.read(), result)
    different = () if lines is None else line_differences(call.told.lines, lines)
    return Compared(call, sent, _few(told), _few(list(different)))


def _verdicts(call: StoredCall, sent: SentCall) -> Iterator[str]:
    before = call.told.error
    if bool(before) != sent.failed:
        now = f"failed{f' ({sent.error})' if sent.error else ''}" if sent.failed else "succeeded"
        yield f"{f'failed ({before})' if before else 'succeeded'} -> {now}"
    elif sent.error and sent.error != before:
        yield f"failed ({before}) -> failed ({sent.error})"


def _few(found: Sequence[str]) -> list[str]:
    more = len(found) - EACH
    return [*islice(found, EACH), *([f"and {more} more"] if more > 0 else ())]


def comparison(compared: Sequence[Compared], how: str) -> Iterator[str]:
    """Yield the lines of the table: a call each, with what differs below it, and the sum."""
    listed = [each for each in compared if each.result or each.lines or len(compared) <= ALL_LISTED]
    rows = [("call", "at", "result", "was", "now", "lines"), *map(_row, listed)]
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    for row, each in zip(rows, (None, *listed), strict=True):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        cells[3:5] = [cell.rjust(width) for cell, width in zip(row[3:5], widths[3:5], strict=True)]
        yield "  ".join(cells).rstrip()
        if each is not None:
            yield from (f"    {line}" for line in (*each.result, *each.lines))
    if len(listed) < len(compared):
        yield f"{len(compared) - len(listed):,} further calls answered the same"
    yield _sum(compared, how)


def _row(each: Compared) -> tuple[str, str, str, str, str, str]:
    told, sent = each.call.told, each.sent
    lines = "-" if sent.lines is None else f"{len(told.lines)}"
    if sent.lines is not None and each.lines:
        lines += f" -> {len(sent.lines)}"
    verdict = "differs" if each.result else "same"
    at = moment(told.arrived)[11:23]
    return told.request_id, at, verdict, _ms(told.took), _ms(sent.took), lines


def _sum(compared: Sequence[Compared], how: str) -> str:
    number = len(compared)
    differ = sum(bool(each.result) for each in compared)
    was, now = (
        median(took)
        for took in zip(*((c.call.told.took, c.sent.took) for c in compared), strict=True)
    )
    calls = "1 call" if number == 1 else f"{number:,} calls"
    return (
        f"{calls} sent again {how}: {number - differ:,} the same, {differ:,} with another result;"
        f" median {_ms(was)}, now {_ms(now)}"
    )


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.1f} ms"
