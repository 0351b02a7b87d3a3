"""Lines below the log's level."""

from __future__ import annotations

import gc
import io
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from service.context.call import RUNNING, Context
from service.context.record import CallRecord
from service.logs.below import BelowLevel, is_sampled
from service.logs.kept import OVERHEAD, KeptLines, KeptRoom
from tests.assembly import Pipe, logged, untimed

log = logging.getLogger("user.orders")

LINE = b"x" * 99 + b"\n"
SIZE = len(LINE) + OVERHEAD


@contextmanager
def calls(
    room: KeptRoom | None = None, share: float = 0.0, log_format: str = "text"
) -> Iterator[tuple[BelowLevel, Pipe]]:
    """A log that keeps lines, and who is told of calls."""
    with logged(log_format, lets_all_through=True) as (logs, pipe):
        yield BelowLevel(logs, room, slow_after=1.0, share=share), pipe


@contextmanager
def call(below: BelowLevel, error_type: str = "", seconds: float = 0.0) -> Iterator[Context]:
    """A call that runs here, and ends so."""
    record = CallRecord(1.0)
    context = Context({}, "r1", record=record)
    token = RUNNING.set(context)
    below.begun(context, record)
    try:
        yield context
    finally:
        record.error_type, record.ended = error_type, 1.0 + seconds
        below.ended(context, record)
        RUNNING.reset(token)


@pytest.mark.parametrize(
    ("error_type", "seconds", "wanted"),
    [("", 0.5, False), ("KeyError", 0.5, True), ("FunctionTimeout", 0.5, True), ("", 1.0, True)],
    ids=["success", "failure", "time-out", "slow"],
)
def test_a_calls_lines_are_written_if_they_are_wanted(
    error_type: str, seconds: float, wanted: bool
) -> None:
    """If it fails, times out or is slow; what it logs after its end goes the same way."""
    room = KeptRoom(1000, 1000)
    with calls(room) as (below, pipe):
        with call(below, error_type, seconds) as context:
            log.debug("kept %d", 1, extra={"n": 1})
            log.info("written")
            context.bind(order=7)
            log.debug("kept too")
            assert untimed(pipe.lines()) == ["r1 [INFO] written"]
            assert room.used > 0
        kept = ["r1 [DEBUG] kept 1 n=1", "r1 [DEBUG] kept too order=7"]
        assert untimed(pipe.lines()) == (kept if wanted else [])
        token = RUNNING.set(context)
        log.debug("late")
        RUNNING.reset(token)
        assert untimed(pipe.lines()) == (["r1 [DEBUG] late order=7"] if wanted else [])
    assert room.used == 0


def test_lines_of_no_call_are_not_kept() -> None:
    """Nor of one that nobody was told of, as a hook's."""
    with calls(KeptRoom(1000, 1000)) as (_, pipe):
        log.debug("of nobody")
        token = RUNNING.set(Context({}, "r1"))
        log.debug("of a hook")
        RUNNING.reset(token)
        assert pipe.lines() == []


def test_the_functions_handlers_see_what_they_would_see_without() -> None:
    """Records that only our lower level lets through come to no handler of the function's; a logger
    that has a level of its own is heeded.
    """
    seen = io.StringIO()
    handler = logging.StreamHandler(seen)
    own = logging.getLogger("user.own")
    apart = logging.getLogger("user.apart")
    with calls(KeptRoom(10_000, 10_000)) as (below, pipe):
        logging.root.addHandler(handler)
        own.setLevel(logging.DEBUG)
        apart.propagate = False
        try:
            with call(below, "KeyError"):
                log.debug("kept")
                log.info("info")
                own.debug("own")
                apart.debug("apart")
        finally:
            logging.root.removeHandler(handler)
            own.setLevel(logging.NOTSET)
            apart.propagate = True
        lines = untimed(pipe.lines())
    assert seen.getvalue() == "info\nown\n"
    assert lines == ["r1 [INFO] info", "r1 [DEBUG] own", "r1 [DEBUG] kept"]


def test_the_levels_are_what_they_were_afterwards() -> None:
    """DEBUG records are made only while they are asked for."""
    before = logging.Logger.callHandlers
    with logged():
        assert not log.isEnabledFor(logging.DEBUG)
        assert logging.Logger.callHandlers is before
    with calls():
        assert log.isEnabledFor(logging.DEBUG)
    assert not log.isEnabledFor(logging.DEBUG)
    assert logging.Logger.callHandlers is before


def test_a_share_of_the_calls_writes_all() -> None:
    """At once; the same call is in or out each time it is tried."""
    with calls(share=1.0) as (below, pipe), call(below):
        log.debug("written")
        assert untimed(pipe.lines()) == ["r1 [DEBUG] written"]
    with calls(share=0.0) as (below, pipe), call(below):
        log.debug("dropped")
        assert pipe.lines() == []
    sampled = [is_sampled(f"1-{number:08x}", 0.25) for number in range(10_000)]
    assert 2_000 < sum(sampled) < 3_000
    assert sampled == [is_sampled(f"1-{number:08x}", 0.25) for number in range(10_000)]


def test_the_last_lines_of_a_call_are_kept() -> None:
    """Beyond its room the first ones go, and are counted."""
    room = KeptRoom(3 * SIZE, 100 * SIZE)
    kept = KeptLines(room)
    lines = [b"%d" % number + LINE[1:] for number in range(5)]
    assert [kept.add(line) for line in lines] == [b""] * 5
    assert kept.add(b"x" * 10_000) == b""  # more than there is room for at all
    assert (room.used, kept.lost) == (0, 6)
    kept.add(LINE)
    assert kept.settle(wanted=True) == [LINE]
    assert kept.add(LINE) == LINE


def test_what_was_lost_is_told() -> None:
    """One line says how many there were."""
    with calls(KeptRoom(200, 1000)) as (below, pipe):
        with call(below, "KeyError"):
            for number in range(5):
                log.debug("line %d", number)
        lines = untimed(pipe.lines())
    assert lines[-1] == "r1 [WARNING] 4 earlier lines were not kept for want of room"
    assert lines[:-1] == ["r1 [DEBUG] line 4"]


def test_a_hundred_calls_take_the_room_that_is_set_and_no_more() -> None:
    """From threads at once: all that is kept stays within the room for all, and is given back, also
    by calls that are gone without an end.
    """
    room = KeptRoom(64 * 1024, 1024 * 1024)
    kept = [KeptLines(room) for _ in range(100)]
    barrier = threading.Barrier(10)

    def write(mine: list[KeptLines]) -> None:
        barrier.wait()
        for _ in range(500):
            for each in mine:
                each.add(LINE)

    threads = [threading.Thread(target=write, args=(kept[n::10],)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1024 * 1024 - SIZE < room.used <= 1024 * 1024
    assert sum(len(line) + OVERHEAD for each in kept for line in each._lines) == room.used
    assert max(each._size for each in kept) <= 64 * 1024
    for each in kept[:50]:
        each.settle(wanted=False)
    del kept, each
    gc.collect()
    assert room.used == 0
