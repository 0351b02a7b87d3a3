"""Calls that are in flight together, and what is found if they are not apart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from service.context.call import Context
from service.events.sample import sample
from service.testing.at_once import CallsMixed, events_of
from service.testing.call_logs import CallLogs, LoggedLine
from service.testing.findings import blocked_within
from service.testing.gates import MeetingGate
from tests.test_reentry import at_each_line
from tests.testing.modules import AtOnce, imported, user

ROOT = Path(__file__).parents[2]

# --- good ones


async def waits(event: dict[str, str], context: Context) -> dict[str, str]:
    """Wait a little, and return what is the call's own."""
    context.bind(user=event["user"])
    await asyncio.sleep(0)
    return {"user": event["user"], "id": context.request_id}


async def never_waits(event: dict[str, str], context: Context) -> str:
    """Return at once."""
    return event["user"]


def plain(event: dict[str, str], context: Context) -> str:
    """Return at once, in a thread."""
    return event["user"]


async def streams(event: dict[str, str], context: Context) -> AsyncIterator[str]:
    """Return parts."""
    yield "hello "
    yield event["user"]


@pytest.mark.parametrize("handler", [waits, never_waits, plain, streams])
def test_200_calls_are_in_flight_together(fc_at_once: AtOnce, handler: Any) -> None:
    """All have begun before the first goes on, also those that never wait; their results come in
    the order of the events.
    """
    results = fc_at_once(handler, user)
    assert len(results) == 200
    assert "user-7" in str(results[7])


async def test_a_call_ends_in_the_midst_of_the_end_of_another() -> None:
    """As by a finalizer, in the same thread: nobody waits for ever."""
    gate = MeetingGate(100)
    assert at_each_line({MeetingGate._count.__code__}, gate.lose, gate.lose) > 1


async def test_an_async_test_awaits_the_results(fc_at_once: AtOnce) -> None:
    """As those of one call."""
    assert await fc_at_once(never_waits, [user(1), user(2)], n=3) == ["user-1", "user-2", "user-1"]


def test_there_is_an_event_at_least() -> None:
    """A list of none is refused."""
    with pytest.raises(ValueError, match="at least one event"):
        events_of([], 200)


# --- what else is found


async def test_a_blocked_loop_is_found(fc_at_once: AtOnce, fc_logs: CallLogs) -> None:
    """With the line that blocks it."""

    async def handler(event: dict[str, str], context: Context) -> None:
        while event["user"] == "user-3" and " in handler; " not in fc_logs.text:
            pass  # a slow machine's stalls are told, too: of these it is none

    with pytest.raises(CallsMixed, match=r"loop has been blocked for .* at .*test_at_once\.py:\d+"):
        await fc_at_once(handler, user, n=5, stall_after=0.05)


def test_a_task_that_is_left_is_found(fc_at_once: AtOnce) -> None:
    """By its name and its line, and it is ended."""
    left = []

    async def handler(event: dict[str, str], context: Context) -> None:
        left.append(asyncio.create_task(asyncio.Event().wait()))

    with pytest.raises(CallsMixed, match=r"a call left 1 tasks running: Event\.wait"):
        fc_at_once(handler, user, n=3)
    assert all(task.cancelled() for task in left)
    assert len(left) == 3


@pytest.mark.parametrize("is_async", [True, False])
def test_a_call_that_fails_is_found_and_holds_up_no_other(
    fc_at_once: AtOnce, is_async: bool
) -> None:
    """Also if it never comes to its handler."""

    async def waiting(event: dict[str, str], context: Context) -> str:
        if event["user"] == "user-1":
            raise LookupError("no user")
        return "done"

    def in_thread(event: dict[str, str], context: Context) -> str:
        if event["user"] == "user-1":
            raise LookupError("no user")
        return "done"

    events = [user(0), user(1), b"[not JSON"]
    with pytest.raises(CallsMixed, match=r"LookupError: no user at .*test_at_once") as mixed:
        fc_at_once(waiting if is_async else in_thread, events, n=6)
    assert len(mixed.value.findings) == 4
    assert "4 of 6 calls were in flight together" in str(mixed.value)


def test_a_loop_that_waits_for_the_machine_is_no_finding() -> None:
    """Blocked is what a handler does: not the test around the calls, nor what is no line of the
    function's.
    """

    def line(place: str) -> LoggedLine:
        text = f"the event loop has been blocked for 0.8 s {place}; 9 other calls wait: await there"
        return LoggedLine("WARNING", text, "id", "fc", {})

    here = line(f"at {__file__}:12 in test_orders")
    handler = line(f"at {__file__}:12 in handler")
    lines = [here, handler, line("outside of the function's code")]
    found = list(blocked_within(lines, {(__file__, "test_orders")}))
    assert found == [handler.message.replace("; 9 other calls wait", "")]


# --- functions as people write them


@pytest.mark.parametrize("name", ["camel", "setctx", "tojson", "cvar", "slash/src"])
def test_the_functions_of_others_are_apart(
    fc_at_once: AtOnce, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the cases that may run beside themselves."""
    found = imported(ROOT / "tests/cases/functions" / name / "index.py", monkeypatch)
    assert len(fc_at_once(found.handler, n=50)) == 50


def uploads(number: int) -> bytes:
    """An object that was put."""
    return sample("oss.put", {"events.0.oss.object.key": json.dumps(f"folder-{number}/a.jpg")})


def test_the_sample_of_a_report_is_apart(
    fc_at_once: AtOnce, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it counts is no leak."""
    found = imported(ROOT / "examples/timer-report/index.py", monkeypatch)
    assert set(fc_at_once(found.handler, uploads, n=50)) == {1}


def test_the_sample_of_a_change_feed_is_apart(
    fc_at_once: AtOnce, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it keeps by its key is no leak."""
    found = imported(ROOT / "examples/tablestore-feed/index.py", monkeypatch)
    assert len(fc_at_once(found.handler, sample("tablestore"), n=50)) == 50
