"""Calls that are in flight together, and what is found if they are not apart."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from service.context.call import Context
from service.events.sample import sample
from service.testing import watching
from service.testing.at_once import CallsMixed, blocked_within, events_of
from service.testing.call_logs import CallLogs, LoggedLine

ROOT = Path(__file__).parents[2]
Events = Callable[[int], Any]
AtOnce = Callable[..., Any]

Loading = Callable[[str], ModuleType]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loading:
    """Imports source text as the module `index`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(watching, "LOOKS_WAIT", 60.0)  # however slow the machine is

    def load(source: str) -> ModuleType:
        file = tmp_path / "index.py"
        file.write_text(source)
        return imported(file, monkeypatch)

    return load


def imported(file: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A file as a module of its name, until the test ends."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, file.stem, found)
    spec.loader.exec_module(found)
    return found


def user(number: int) -> dict[str, str]:
    """An event that differs from the others."""
    return {"user": f"user-{number}"}


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


async def test_an_async_test_awaits_the_results(fc_at_once: AtOnce) -> None:
    """As those of one call."""
    assert await fc_at_once(never_waits, [user(1), user(2)], n=3) == ["user-1", "user-2", "user-1"]


def test_there_is_an_event_at_least() -> None:
    """A list of none is refused."""
    with pytest.raises(ValueError, match="at least one event"):
        events_of([], 200)


# --- leaks between calls

GLOBAL = """
import asyncio

current = None

async def handler(event: dict, context):
    global current
    current = event["user"]
    await asyncio.sleep(0)
    return {"hello": current}
"""
PLAIN = """
current = None

def handler(event: dict, context):
    global current
    current = event["user"]
    return {"hello": current}
"""
IN_A_DICT = """
import asyncio

state = {"user": None}

async def handler(event: dict, context):
    state["user"] = event["user"]
    await asyncio.sleep(0)
"""
IN_A_CLASS = """
import asyncio

class Session:
    user = None

async def handler(event: dict, context):
    Session.user = event["user"]
    await asyncio.sleep(0)
"""
IN_AN_OBJECT = """
import asyncio

class Session:
    def __init__(self):
        self.parts = []

session = Session()

def handler(event: dict, context):
    session.parts.clear()
    session.parts.append(event["user"])
"""
CONTEXT = """
import asyncio

last = None

async def handler(event: dict, context):
    global last
    last = context
    await asyncio.sleep(0)
"""
BOUND = """
first = None

async def handler(event: dict, context):
    global first
    first = first or context
    first.bind(user=event["user"])
    first.user = event["user"]
"""
LIST_OF_ALL = """
seen = []

async def handler(event: dict, context):
    seen.append(event["user"])
    return seen
"""


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (GLOBAL, r"index\.current: call \d+ had put its own .* 'user-\d+' in index\.current at"
         r" index\.py:9; written at index\.py:8 `current = event\[.user.\]`; last writers: calls"),
        (GLOBAL, r"result\['hello'\]: call \d+ has 'user-\d+', which belongs to call \d+; .*py:6"),
        (PLAIN, r"index\.current: call \d+ had put .* at index\.py:7; written at index\.py:6"),
        (IN_A_DICT, r"index\.state: .* in index\.state\['user'\] at index\.py:8; .*:7 `st"),
        (IN_A_CLASS, r"index\.Session\.user: .* at index\.py:9; written at index\.py:8"),
        (IN_AN_OBJECT, r"index\.session\.parts: .* index\.session\.parts\[\d\].*index\.py:1[12]"),
        (CONTEXT, r"index\.last: .* 'fc-at-once-\w+-\d+' in index\.last\.request_id at"),
        (BOUND, r"bound field user: call \d+ has 'user-\d+', which belongs to call"),
        (BOUND, r"context\.user: call \d+ has 'user-\d+'"),
        (LIST_OF_ALL, r"result\[\d+\]: call \d+ has 'user-"),
    ],
    ids=["global", "result", "plain", "dict", "class", "object", "context", "bound", "own", "list"],
)  # fmt: skip
def test_what_is_another_calls_is_found(
    fc_at_once: AtOnce, module: Loading, source: str, found: str
) -> None:
    """With the field, the file and the line, whose it is, and who wrote it last."""
    with pytest.raises(CallsMixed, match=r"^20 of 20 calls were in flight together:\n") as mixed:
        fc_at_once(module(source).handler, user, n=20)
    assert any(re.search(found, text) for text in mixed.value.findings), mixed.value.findings


def test_what_is_shared_on_purpose_is_named(fc_at_once: AtOnce, module: Loading) -> None:
    """Then it is no finding, nor is it one in results."""
    assert fc_at_once(module(LIST_OF_ALL).handler, user, n=5, shared=["seen"])[0]
    assert fc_at_once(module(LIST_OF_ALL).handler, user, n=5, ignore=["result"])[0]


COUNTER = """
import asyncio, collections, threading

calls = 0
users = collections.Counter()
by_user = {}
lock = threading.Lock()

async def handler(event: dict, context):
    global calls
    calls += 1
    users[event["user"]] += 1
    by_user[event["user"]] = event
    await asyncio.sleep(0)
    return "a constant text"
"""
LOCKED = """
import threading

lock = threading.Lock()
current = None

def handler(event: dict, context):
    global current
    with lock:
        current = event["user"]
        return current
"""


def test_what_is_counted_and_kept_by_its_key_is_no_leak(
    fc_at_once: AtOnce, module: Loading
) -> None:
    """Counters, memories by key, and constants belong to nobody."""
    assert set(fc_at_once(module(COUNTER).handler, user, n=20)) == {"a constant text"}


def test_the_code_of_an_event_is_no_mark(fc_at_once: AtOnce, module: Loading) -> None:
    """What stands in the code and in some events belongs to none of them."""
    source = "async def handler(event: dict, context): return 'done'"
    events = [{"state": "done"}, {"state": "open"}]
    assert fc_at_once(module(source).handler, events, n=4) == ["done"] * 4


# --- what else is found


async def test_a_blocked_loop_is_found(fc_at_once: AtOnce, fc_logs: CallLogs) -> None:
    """With the line that blocks it."""

    async def handler(event: dict[str, str], context: Context) -> None:
        while event["user"] == "user-3" and "has been blocked" not in fc_logs.text:
            pass

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


def test_a_lock_keeps_calls_apart(fc_at_once: AtOnce, module: Loading) -> None:
    """What is written and read under one is seen by one call at a time: nothing is found in their
    results.
    """
    results = fc_at_once(module(LOCKED).handler, user, n=5, shared=["current"])
    assert results == [f"user-{number}" for number in range(5)]
