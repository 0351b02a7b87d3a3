"""Recorded calls overlap again as they did, and no pause is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.recording.reading import StoredBody, StoredCall
from service.recording.sending import SentCall, send_again
from service.recording.table import compare, comparison
from tests.recording.test_writer import call


def stored(arrived: float, took: float, result: bytes = b"1", **fields: Any) -> StoredCall:
    """A call of a recording, named by its arrival."""
    told = call(arrived=arrived, took=took, request_id=f"1-at-{arrived:g}", **fields)
    return StoredCall(told, StoredBody(b"{}"), StoredBody(result))


def sent(each: StoredCall, result: bytes = b"1", **fields: Any) -> SentCall:
    """A call that was answered again."""
    return SentCall(f"2-of-{each.told.request_id}", 0.1, result, False, **fields)


async def in_flight(calls: Sequence[StoredCall], *, overlap: bool) -> list[set[float]]:
    """Send calls, each of which ends when nothing else can happen; return which were in flight
    when each began.
    """
    now: set[float] = set()
    seen: list[set[float]] = []

    async def send(each: StoredCall) -> SentCall:
        now.add(each.told.arrived)
        seen.append(set(now))
        for _ in range(20):
            await asyncio.sleep(0)
        now.remove(each.told.arrived)
        return sent(each)

    answers = await send_again(calls, send, overlap=overlap)
    assert [a.request_id for a in answers] == [f"2-of-{c.told.request_id}" for c in calls]
    return seen


async def test_calls_overlap_as_they_did() -> None:
    """The second came during the first, the third after both."""
    calls = [stored(0, 10), stored(5, 1), stored(3_000, 1)]
    assert await in_flight(calls, overlap=True) == [{0}, {0, 5}, {3_000}]
    assert await in_flight(calls, overlap=False) == [{0}, {5}, {3_000}]


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9)), min_size=1, max_size=8))
async def test_no_two_calls_overlap_that_did_not(times: list[tuple[int, int]]) -> None:
    """Whatever the times are, each call begins after all that had ended before it came."""
    unique = dict(times)
    calls = [stored(arrived, unique[arrived]) for arrived in sorted(unique)]
    for seen in await in_flight(calls, overlap=True):
        last = max(seen)
        for arrived in seen - {last}:
            assert arrived + unique[int(arrived)] > last


async def test_the_first_failure_ends_the_others() -> None:
    """Nothing of them is left running."""
    ended: list[str] = []

    async def send(each: StoredCall) -> SentCall:
        if each.told.arrived == 1:
            raise ConnectionError("nobody listens")
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(each.told.request_id)
        raise AssertionError

    with pytest.raises(ConnectionError):
        await send_again([stored(0, 9), stored(1, 9), stored(2, 9)], send, overlap=True)
    assert ended == ["1-at-0", "1-at-2"]


# --- the table


def test_a_request_id_in_a_result_is_no_difference() -> None:
    """The second call has an id of its own."""
    each = stored(0, 0.2, b'{"id":"1-at-0"}', lines=["[INFO] of 1-at-0"])
    again = sent(each, b'{"id":"2-of-1-at-0"}', lines=["[INFO] of 2-of-1-at-0"])
    compared = compare(each, again)
    assert (compared.result, compared.lines) == ([], [])


def test_the_table_shows_what_differs_below_its_call() -> None:
    """Result by path, lines with - and +, durations side by side, and a sum."""
    calls = [stored(0, 0.2, lines=["a"]), stored(1, 0.2)]
    told = "\n".join(
        comparison(
            [
                compare(calls[0], sent(calls[0], b"2", lines=["b", "c"])),
                compare(calls[1], sent(calls[1])),
            ],
            "one by one",
        )
    )
    assert told == "\n".join(
        [
            "call    at            result        was       now  lines",
            "1-at-0  00:00:00.000  differs  200.0 ms  100.0 ms  1 -> 2",
            "    $: 1 -> 2",
            "    - a",
            "    + b",
            "    + c",
            "1-at-1  00:00:01.000  same     200.0 ms  100.0 ms  -",
            "2 calls sent again one by one: 1 the same, 1 with another result;"
            " median 200.0 ms, now 100.0 ms",
        ]
    )


def test_of_many_calls_those_are_listed_that_differ() -> None:
    """A recording of thousands is read in a moment."""
    calls = [stored(number, 0.2) for number in range(150)]
    compared = [compare(each, sent(each, b"2" if each is calls[7] else b"1")) for each in calls]
    lines = list(comparison(compared, "one by one"))
    assert len(lines) == 5
    assert lines[1].startswith("1-at-7 ")
    assert lines[3] == "149 further calls answered the same"


@pytest.mark.parametrize(
    ("error", "failed", "now", "told"),
    [
        ("", True, "", ["succeeded -> failed"]),
        ("ValueError", False, "", ["failed (ValueError) -> succeeded"]),
        ("ValueError", True, "", []),
        ("ResourceExhausted", True, "ResourceExhausted", []),
        ("", True, "ResourceExhausted", ["succeeded -> failed (ResourceExhausted)"]),
    ],
)
def test_an_end_that_differs_is_told(error: str, failed: bool, now: str, told: list[str]) -> None:
    """Between a success and a failure, and between what the platform says in a function's place."""
    each = stored(0, 0.2, error=error)
    assert compare(each, SentCall("2", 0.1, b"1", failed, now)).result == told
