"""What a signal's handler, a finalizer or a profiler does in the midst of the service's own work,
in the same thread, waits for nothing that this thread holds.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any
from unittest.mock import MagicMock
from weakref import WeakKeyDictionary

import pytest

from service import batched, metrics, shared
from service.calls.threads import ThreadPool
from service.clients.credentials import CallCredentials, owner_of
from service.clients.registry import Clients
from service.context.call import Context, caller_of
from service.context.record import CallRecord
from service.counting.locks import ForkLock
from service.counting.page import Page
from service.counting.pages import USER_PAGE
from service.locks import HasLock, free_locks
from service.logs import log
from service.logs.kept import KeptRoom
from service.logs.log import Logs
from service.logs.pipe import LogPipe
from service.resources import share_figures
from service.traces.dropped import Dropped
from tests.assembly import Pipe, logged, untimed


def at_each_line(codes: set[CodeType], work: Callable[[], Any], then: Callable[[], Any]) -> int:
    """Do some work, and something else in front of each of its lines; return how often."""
    times = 0

    def trace(frame: FrameType, what: str, _argument: object) -> Any:
        nonlocal times
        if frame.f_code not in codes:
            return None
        if what == "line":
            times += 1
            then()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return times


def at_line(
    number: int, codes: set[CodeType], work: Callable[[], Any], then: Callable[[], Any]
) -> bool:
    """Do some work, and something else in front of its line of that number, from 1 on; return
    whether it has so many.
    """
    left = number

    def count() -> None:
        nonlocal left
        left -= 1
        if not left:
            then()

    return at_each_line(codes, work, count) >= number


def codes_of(*classes: type) -> set[CodeType]:
    """What the methods of classes run."""
    found = [each for one in classes for each in vars(one).values()]
    return {each.__code__ for each in found if isinstance(each, FunctionType)}


def test_fields_are_bound_in_the_midst_of_binding() -> None:
    """Those of a signal's handler are there beside those that it came between."""
    record = CallRecord()
    lines = at_each_line(
        {CallRecord.bind.__code__},
        lambda: record.bind({"outer": 1}),
        lambda: record.bind({"inner": 2}),
    )
    assert lines > 1
    assert record.bound == {"outer": 1, "inner": 2}


def test_a_client_is_used_in_the_midst_of_using_one() -> None:
    """A finalizer that sends what is left takes the credentials that its call offers as well."""
    headers = {"x-fc-access-key-id": "key", "x-fc-access-key-secret": "secret"}
    caller = caller_of(Context(headers, "call", record=CallRecord(1.0)))
    credentials = CallCredentials(owner_of(caller), lambda: None)
    codes = {CallCredentials.offer.__code__}
    assert at_each_line(codes, lambda: credentials.offer(caller), lambda: credentials.offer(caller))
    assert credentials.get_credentials().access_key_id == "key"


def test_a_client_is_asked_for_in_the_midst_of_asking_for_one() -> None:
    """A finalizer's client is made while another one is."""
    clients = Clients()
    calls = [caller_of(Context({}, "call", record=CallRecord(1.0)))]

    def make(_credentials: object, *, of: int) -> object:
        return object()

    def ask() -> Any:
        caller = caller_of(
            Context({"x-fc-function-name": f"f{len(calls)}"}, "", record=CallRecord(1.0))
        )
        calls.append(caller)
        return clients.client_for(caller, lambda: None, make, {"of": len(calls)})

    codes = {Clients._credentials_of.__code__, Clients._place.__code__}
    lines = at_each_line(codes, ask, ask)
    assert len(calls) == lines + 2


def lines_of(*numbers: int) -> bytes:
    """Lines of 100 bytes."""
    return b"".join(b"%099d\n" % number for number in numbers)


def gathered(pipe: Pipe) -> None:
    """Lay lines ahead of the next one."""
    pipe.log.gather(lines_of(1, 2))


def is_slow(pipe: Pipe) -> None:
    """Let a line be written in part, and another one wait; then there is room."""
    assert os.write(pipe.writer, bytes(4050)) == 4050
    pipe.log.write(lines_of(1, 2))
    assert os.read(pipe.reader, 4050) == bytes(4050)


def fills_up(pipe: Pipe) -> None:
    """Let the next line be written in part."""
    pipe.log.write(lines_of(1, 2))
    assert os.write(pipe.writer, bytes(3850)) == 3850


@pytest.mark.parametrize("before", [gathered, is_slow, fills_up])
def test_a_line_is_written_in_the_midst_of_another(before: Callable[[Pipe], None]) -> None:
    """Whichever step a print comes in: no line is torn or lost, and none is written twice."""
    number, goes_on = 0, True
    while goes_on:
        number += 1
        pipe = Pipe(size=4096)
        pipe.log._loop = MagicMock()
        before(pipe)
        goes_on = at_line(
            number,
            codes_of(LogPipe),
            lambda: pipe.log.write(lines_of(3)),  # noqa: B023 - called at once
            lambda: pipe.log.write(lines_of(4)),  # noqa: B023
        )
        text = b""
        while part := pipe.read():
            pipe.log.flush()
            text += part
        found = text.replace(b"\0", b"")
        assert found in (lines_of(1, 2, 3, 4)[: len(found)], lines_of(1, 2, 4, 3)), number
        assert len(found) == 400 - 100 * (not goes_on)
        pipe.close()
    assert number > 5


def test_the_oldest_open_line_ends_in_the_midst_of_being_chosen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What has no line end yet is written once, by whoever comes first."""
    monkeypatch.setattr(log, "MAX_OPEN", 1)
    number, goes_on = 0, True
    while goes_on:
        number += 1
        with logged() as (logs, pipe):
            with Context({}, "first", record=CallRecord(1.0)):
                logs.part("STDOUT", ".")
            goes_on = at_line(
                number,
                {Logs.part.__code__},
                lambda: logs.part("STDOUT", "-"),
                lambda: logs.end("first"),
            )
            logs.close()
            assert sorted(untimed(pipe.lines())) == ["- [STDOUT] -", "first [STDOUT] ."]
    assert number > 5


def in_thread(work: Callable[[], Any]) -> None:
    """Do some work in another thread."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_a_thread_batches_for_the_first_time_in_the_midst_of_another() -> None:
    """Plain handlers run event loops in their threads: each of these has calls of its own."""

    @batched(max_wait=0)
    async def double(numbers: list[int]) -> list[int]:
        return [number * 2 for number in numbers]

    loops = [asyncio.new_event_loop() for _ in range(3)]
    for loop in loops:
        assert loop.run_until_complete(double(2)) == 4
        loop.close()
    results = []
    lines = at_each_line(
        codes_of(WeakKeyDictionary, type(double)),
        lambda: results.append(asyncio.run(double(3))),
        lambda: in_thread(lambda: results.append(asyncio.run(double(3)))),
    )
    assert results == [6] * (lines + 1)
    assert lines > 5


def test_a_thread_shares_for_the_first_time_in_the_midst_of_forgetting() -> None:
    """What is forgotten is that of all threads' loops; those that come meanwhile fetch anew."""

    @shared(ttl=3600)
    async def fetch() -> int:
        return 1

    loops = [asyncio.new_event_loop() for _ in range(3)]
    for loop in loops:
        assert loop.run_until_complete(fetch()) == 1

    def in_another() -> None:
        loops.append(asyncio.new_event_loop())
        in_thread(lambda: loops[-1].run_until_complete(fetch()))

    assert at_each_line(codes_of(WeakKeyDictionary), fetch.invalidate, in_another) > 1
    assert at_each_line(codes_of(WeakKeyDictionary), share_figures.settle_shared, shares) > 1
    for loop in loops:
        loop.close()


def shares() -> None:
    """Decorate another function, and let go of it."""

    @shared(ttl=1)
    async def another() -> None:
        """Fetch nothing."""


class Interrupted(Exception):
    """What a handler of SIGALRM raises."""


def interrupt() -> None:
    """Raise as the handler of a signal does."""
    raise Interrupted


async def answers_one_at_line(number: int) -> bool:
    """Run two jobs in a lent thread, and raise in front of a line of its bookkeeping; return
    whether that has so many.
    """
    pool, reached = ThreadPool(1), False
    pool.lend_thread()

    def serve() -> None:
        nonlocal reached
        codes = {each.__code__ for each in (pool._serve, pool._taken_in_hand, pool._finish)}
        with suppress(Interrupted):
            reached = at_line(number, codes, pool.serve_here, interrupt)

    thread = threading.Thread(target=serve, daemon=True)
    first, second = pool.run(lambda: 1), pool.run(lambda: 2)
    thread.start()
    outcomes = await asyncio.wait_for(asyncio.gather(first, second), 60)
    assert pool.busy == 0
    for outcome, result in zip(outcomes, (1, 2), strict=True):
        assert outcome.result == result or isinstance(outcome.failure, Interrupted)
    assert [outcome.failure for outcome in outcomes].count(None) >= 1
    pool.close()
    await asyncio.to_thread(thread.join)
    return reached


async def test_a_signal_raises_in_the_midst_of_taking_and_ending_a_job() -> None:
    """Each job is answered, whichever step the handler of an alarm raises in; at most one ends with
    what it raises.
    """
    number = 1
    while await answers_one_at_line(number):
        number += 1
    assert number > 10


def test_a_metric_counts_in_the_midst_of_counting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler's new series come beside the one that it came between, each with its number."""
    page = Page(64 * 1024)
    monkeypatch.setattr(metrics, "_metrics", {})
    monkeypatch.setattr(USER_PAGE, "page", page)
    orders = metrics.counter("orders_total", labels=["shop"])
    signals = metrics.counter("signals_total", labels=["number"])
    codes = {Page.place_of.__code__, Page._append.__code__, *codes_of(ForkLock)}
    number, goes_on = 0, True
    while goes_on:
        number += 1
        goes_on = at_line(
            number,
            codes,
            lambda: orders.inc(shop=number),  # noqa: B023 - called at once
            lambda: signals.inc(number=number),  # noqa: B023
        )
    assert number > 20
    of_orders, of_signals = sorted(page.families(), key=lambda family: family.name)
    assert of_orders.samples == {
        ("orders_total", (("shop", str(each)),)): 1.0 for each in range(1, number + 1)
    }
    assert of_signals.samples == {
        ("signals_total", (("number", str(each)),)): 1.0 for each in range(1, number)
    }


def test_a_signal_raises_in_the_midst_of_counting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other threads count on, whichever step the handler of an alarm raises in."""
    monkeypatch.setattr(metrics, "_metrics", {})
    orders = metrics.counter("orders_total", labels=["shop"])
    # No signal's handler comes at the first instruction of a `finally` or at the end of a `with`.
    codes = codes_of(Page, ForkLock) - {ForkLock.do.__code__}
    number, is_interrupted = 0, True
    while is_interrupted:
        number += 1
        monkeypatch.setattr(USER_PAGE, "page", Page(4096))
        with suppress(Interrupted):
            is_interrupted = at_line(number, codes, lambda: orders.inc(shop="a"), interrupt)
        thread = threading.Thread(target=orders.inc, kwargs={"shop": "b"}, daemon=True)
        thread.start()
        thread.join(60)
        assert not thread.is_alive(), number
        (family,) = USER_PAGE.made().families()
        assert family.samples["orders_total", (("shop", "b"),)] == 1
    assert number > 15


def lock_of_credentials() -> HasLock:
    """What has the lock of a function's credentials."""
    caller = caller_of(Context({}, "call", record=CallRecord(1.0)))
    return CallCredentials(owner_of(caller), lambda: None)._has


@pytest.mark.parametrize("make", [lambda: KeptRoom(1, 1), Dropped, lock_of_credentials])
def test_a_process_that_is_forked_finds_locks_free(make: Callable[[], HasLock]) -> None:
    """Another thread of the parent may have kept a line, say, in that moment: it is not there."""
    held, is_taken, goes_on = make(), threading.Event(), threading.Event()

    def keep() -> None:
        with held.lock:
            is_taken.set()
            goes_on.wait(60)

    thread = threading.Thread(target=keep)
    thread.start()
    assert is_taken.wait(60)
    assert not held.lock.acquire(blocking=False)
    free_locks()
    assert held.lock.acquire(blocking=False)
    goes_on.set()
    thread.join()


def test_a_span_ends_in_the_midst_of_the_end_of_another() -> None:
    """A generator that is collected ends the span that it was in: both are counted."""
    pytest.importorskip("opentelemetry.sdk.trace")
    from opentelemetry.sdk.trace import TracerProvider

    from service.traces.dropped import Dropped
    from service.traces.export import SpanQueue

    class Exporter:
        taken = settled = 0

        def shutdown(self) -> None:
            """Nothing is held."""

        def export(self, spans: Any) -> None:
            """Send nothing."""

    queue = SpanQueue(Exporter(), 512, Dropped())
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(queue)
    tracer = provider.get_tracer("test")
    inner = [tracer.start_span("inner") for _ in range(10)]
    outer = tracer.start_span("outer")
    at_each_line({SpanQueue.on_end.__code__}, outer.end, lambda: inner and inner.pop().end())
    assert 1 < queue.waiting == 11 - len(inner)
    provider.shutdown()


def test_a_profiler_looks_at_the_counting_of_what_it_has_seen() -> None:
    """It sees each step of the thread, those of its own bookkeeping included."""
    pytest.importorskip("pyinstrument", reason="there is none for this Python")
    from service.profiling.samples import Samples

    samples = Samples()
    seen = 0

    def look(_frame: FrameType, _what: str, _argument: object) -> None:
        nonlocal seen
        seen += 1
        samples.add(["inner"], 1.0)
        samples.count()

    def work() -> None:
        samples.begin_call()
        samples.add(["outer"], 1.0)
        samples.count()

    thread = threading.Thread(target=work)
    threading.setprofile(look)
    try:
        thread.start()
    finally:
        threading.setprofile(None)
    thread.join()
    found = samples.named("root", Path("/"))
    assert seen > 10
    assert found == {("root", "inner"): float(seen), ("root", "outer"): 1.0}
