"""What calls in flight together see of each other."""

from __future__ import annotations

import re
import threading

import pytest

from service.testing.at_once import CallsMixed
from service.testing.marks import CallMarks
from service.testing.watching import StateWatch
from tests.testing.modules import AtOnce, Loading, user

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


CHANGES_MEANWHILE = """
from collections.abc import Mapping

class Changing(Mapping):
    __module__ = "library"

    def __getitem__(self, key):
        raise KeyError(key)

    def __len__(self):
        return 1

    def __iter__(self):
        yield "user-1"
        raise RuntimeError("changed size during iteration")

memory = Changing()

def handler(event: dict, context):
    return event["user"]
"""


def test_what_cannot_be_looked_at_is_passed_over(fc_at_once: AtOnce, module: Loading) -> None:
    """A mapping that another thread changes meanwhile, or an entry that is gone, fails no call."""
    results = fc_at_once(module(CHANGES_MEANWHILE).handler, user, n=3)
    assert results == ["user-0", "user-1", "user-2"]


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


def test_a_lock_keeps_calls_apart(fc_at_once: AtOnce, module: Loading) -> None:
    """What is written and read under one is seen by one call at a time: nothing is found in their
    results.
    """
    results = fc_at_once(module(LOCKED).handler, user, n=5, shared=["current"])
    assert results == [f"user-{number}" for number in range(5)]


class SlowCrossing(threading.Event):
    """On a machine on which another call comes only after each wait, the last one at the end."""

    def __init__(self, watch: StateWatch, come: int) -> None:
        super().__init__()
        self.waits = 0
        self._watch, self._come = watch, come

    def wait(self, timeout: float | None = None) -> bool:
        """Let another call come."""
        self.waits += 1
        if self.waits > self._come:
            return self.is_set()
        self._watch._parked += 1
        return False


@pytest.mark.parametrize("come", [0, 1, 30])
def test_calls_are_waited_for_as_long_as_others_come(come: int) -> None:
    """However slow the machine is; two quiet waits are enough to give up."""
    watch = StateWatch([], CallMarks([], [], set()), set(), 50)
    crossing = SlowCrossing(watch, come)
    assert not watch._others_come(crossing)
    assert crossing.waits == come + 2
