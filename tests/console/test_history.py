"""The calls that the console keeps, and what it lets go of."""

from __future__ import annotations

import tracemalloc

import pytest

from service.console.history import KEPT_CALLS, LINES_OF_CALL, LISTED_CALLS, CallHistory
from service.console.refusal import ConsoleRefusal


def ended(history: CallHistory, request_id: str, event: bytes = b"", result: bytes = b"") -> None:
    """Note a call."""
    entry = history.begin(request_id, "fn", "sync", event)
    entry.status = "ok"
    history.end(entry, result)


def test_a_burst_of_ten_thousand_calls_leaves_the_newest_and_tells_how_many_others_there_were() -> (
    None
):
    """No more than 200 are told at once, and no more than 2,000 are kept."""
    history = CallHistory()
    for number in range(10_000):
        ended(history, f"1-{number}")
    told, skipped = history.take_changed()
    assert [entry.id for entry in told] == [f"1-{n}" for n in range(10_000 - LISTED_CALLS, 10_000)]
    assert skipped == 10_000 - LISTED_CALLS
    assert history.find(f"1-{10_000 - KEPT_CALLS}")
    with pytest.raises(ConsoleRefusal, match="newest 2,000"):
        history.find(f"1-{10_000 - KEPT_CALLS - 1}")
    assert history.take_changed() == ([], 0)


def test_texts_are_kept_up_to_a_limit_and_the_oldest_calls_lose_theirs_first() -> None:
    """The newest call keeps its own, however large; the rows stay, with their sizes."""
    history = CallHistory(text=1_000)
    for number in range(5):
        ended(history, f"1-{number}", b"e" * 200, b"r" * 200)
    kept = [history.find(f"1-{number}").event is not None for number in range(5)]
    assert kept == [False, False, False, True, True]
    assert history.find("1-0").row()["bytes_in"] == 200
    ended(history, "1-large", b"e" * 5_000)
    assert history.find("1-large").event == b"e" * 5_000
    assert history.find("1-4").event is None


def test_a_long_run_takes_no_more_memory_than_its_limit() -> None:
    """What is let go of is gone: events, results, lines and rows."""
    history = CallHistory(calls=100, text=200_000)
    for number in range(200):  # which the second half is measured against
        ended(history, f"1-{number}", b"e" * 3_000, b"r" * 3_000)
    tracemalloc.start()
    for number in range(2_000):
        request_id = f"2-{number}"
        entry = history.begin(request_id, "fn", "sync", bytes(3_000))
        history.line(request_id, "c-1", "x" * 500)
        history.end(entry, bytes(3_000))
        history.take_changed()
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 1_000_000


def test_lines_of_a_call_are_kept_up_to_a_limit_and_the_others_are_counted() -> None:
    """The first ones are kept; what comes for a call that has lost its texts is counted alone."""
    history = CallHistory(text=LINES_OF_CALL * 2)
    history.begin("1-a", "fn", "sync", b"")
    for _ in range(300):
        history.line("1-a", "c-1", "x" * 1_000)
    entry = history.find("1-a")
    assert entry.lines_size <= LINES_OF_CALL
    assert len(entry.lines) + entry.lines_dropped == 300
    ended(history, "1-b", b"x" * LINES_OF_CALL * 2)
    history.line("1-a", "c-1", "late")
    assert (entry.lines, entry.lines_dropped) == ([], 301)
    assert history.line("1-unknown", "c-1", "x") is None


def test_each_try_of_a_request_has_an_id_of_its_own_and_lines_go_to_the_one_that_runs() -> None:
    """An asynchronous call that is tried again is there twice, under one request id."""
    history = CallHistory()
    ended(history, "1-a")
    second = history.begin("1-a", "fn", "async", b"", 1)
    history.line("1-a", "c-1", "of the second try")
    assert (second.id, second.request_id, second.row()["retry"]) == ("1-a~2", "1-a", 1)
    assert [text for _, text in second.lines] == ["of the second try"]
    assert history.find("1-a").lines == []


def test_a_call_that_a_page_shows_as_running_is_told_when_it_ends_however_many_others_are() -> None:
    """Its end is never among those that are skipped."""
    woken = []
    history = CallHistory(lambda: woken.append(1))
    running = [history.begin(f"1-{n}", "fn", "sync", b"") for n in range(LISTED_CALLS + 50)]
    shown = {*history.newest(LISTED_CALLS), *history.take_changed()[0]}
    history.begin("1-late", "fn", "sync", b"")
    shown |= {*history.take_changed()[0]}
    for entry in running:
        entry.status = "ok"
        history.end(entry, b"")
    for number in range(1_000):
        ended(history, f"2-{number}")
    told, later = set(), True
    while later:
        woken.clear()
        told |= {entry.id for entry in history.take_changed()[0]}
        later = bool(woken)  # as long as there is more to tell
    assert {entry.id for entry in shown} - {"1-late"} <= told


def test_a_call_that_outlives_its_place_is_forgotten_without_a_trace() -> None:
    """Its end, its lines and its reports change nothing."""
    history = CallHistory(calls=1)
    old = history.begin("1-a", "fn", "sync", b"x")
    ended(history, "1-b")
    assert history.line("1-a", "c-1", "x") is None
    history.end(old, b"y")
    assert [entry.id for entry in history.take_changed()[0]] == ["1-b"]
    assert history.running("c-1") == []


def test_what_has_hit_a_call_is_reported_once() -> None:
    """A stall that is told again is the same one; there is a limit."""
    history = CallHistory()
    entry = history.begin("1-a", "fn", "sync", b"")
    for number in range(100):
        history.report(entry, "stall", f"blocked {number // 2}")
    history.report(entry, "deadline", "never told")
    assert len(entry.reports) == 20
    assert entry.row()["warnings"] == ["stall"]
