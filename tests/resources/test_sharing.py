"""Functions whose result all calls share: once for everybody, kept, stale, forgotten."""

from __future__ import annotations

import asyncio
import functools
import math
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import service
from service.calls.left_behind import track, track_on
from service.calls.lifecycle import Lifecycle
from service.context.call import RUNNING, Context, current_context, record_of
from service.counting.pages import USER_PAGE
from service.resources import sharing
from service.resources.sharing import SharedFunction, shared
from tests.virtual_clock import run_virtual


class Backend:
    """What a function fetches from: it counts, and answers when it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.open = asyncio.Event()
        self.open.set()
        self.fails: BaseException | None = None

    async def fetch(self, *key: object) -> str:
        self.asked += 1
        number = self.asked
        await self.open.wait()
        if self.fails is not None:
            raise self.fails
        return f"{'/'.join(map(str, key))}#{number}"


async def turns(count: int = 10) -> None:
    """Let everything that can go on go on."""
    for _ in range(count):
        await asyncio.sleep(0)


async def at_once(function: Callable[[], Awaitable[Any]], callers: int) -> list[Any]:
    """What so many callers get, all of whom wait before anything is there."""
    return await asyncio.gather(*(function() for _ in range(callers)), return_exceptions=True)


async def caught(work: Awaitable[Any]) -> BaseException | None:
    """What it raises; a task that raises SystemExit would stop the loop."""
    try:
        await work
    except BaseException as error:
        return error
    return None


def test_any_number_of_callers_cause_one_fetch() -> None:
    """A hundred that come at once wait for one fetch, and the next hundred for none."""

    async def main() -> None:
        backend = Backend()
        load = shared(backend.fetch, ttl=300)
        assert await at_once(load, 100) == ["#1"] * 100
        assert await at_once(load, 100) == ["#1"] * 100
        assert (load.counts.fetches, load.counts.hits) == (1, 100)

    run_virtual(main())


def test_a_value_is_kept_for_its_time_and_then_fetched_anew() -> None:
    """Right up to `ttl` seconds after the fetch began it serves, and not a moment longer."""

    async def main() -> None:
        backend = Backend()
        load = shared(backend.fetch, ttl=300)
        assert await load() == "#1"
        await asyncio.sleep(299.9)
        assert await load() == "#1"
        await asyncio.sleep(0.1)
        assert await load() == "#2"

    run_virtual(main())


def test_a_stale_value_serves_while_one_fetches() -> None:
    """Nobody waits for a refresh that still has time, and there is one of them."""

    async def main() -> None:
        backend = Backend()
        load = shared(backend.fetch, ttl=300, stale=60)
        await load()
        backend.open.clear()
        await asyncio.sleep(330)
        assert await at_once(load, 50) == ["#1"] * 50
        assert backend.asked == 2
        backend.open.set()
        await turns()
        assert await load() == "#2"

    run_virtual(main())


def test_a_value_beyond_its_stale_time_serves_nobody() -> None:
    """Time that has passed while an instance was frozen counts: after an hour callers wait for a
    new value.
    """

    async def main() -> None:
        backend = Backend()
        load = shared(backend.fetch, ttl=300, stale=60)
        await load()
        await asyncio.sleep(3600)
        assert await at_once(load, 3) == ["#2"] * 3

    run_virtual(main())


def test_a_refresh_that_fails_leaves_the_stale_value(caplog: pytest.LogCaptureFixture) -> None:
    """It is told in one line, tried again a second later, and callers see nothing of it until the
    stale time is over.
    """

    async def main() -> None:
        backend = Backend()
        load = shared(backend.fetch, ttl=300, stale=60, name="rates")
        await load()
        backend.fails = ConnectionError("refused")
        await asyncio.sleep(310)
        for _ in range(5):
            assert await load() == "#1"
            await turns()
        assert backend.asked == 2
        assert [record.message for record in caplog.records] == [
            "rates failed: ConnectionError: refused; the value of 310 s ago serves 50 s more"
        ]
        await asyncio.sleep(1)
        assert await load() == "#1"
        await turns()
        assert backend.asked == 3
        await asyncio.sleep(49)
        with pytest.raises(ConnectionError):
            await load()

    run_virtual(main())


async def test_a_stale_value_serves_while_the_instance_stops() -> None:
    """No fetch begins any more; what closes the function's resources may still ask."""
    life = Lifecycle(drain_timeout=1, hurry=lambda: None)
    got = list[str]()
    backend = Backend()
    load = shared(backend.fetch, ttl=1e-9, stale=300)

    async def close(_seconds: float) -> None:
        got.append(await load())
        await turns()

    life.at_stop.append(close)
    life.start()
    assert await load() == "#1"
    await life.stop()
    assert got == ["#1"]
    assert backend.asked == 1


def test_all_who_wait_get_the_error_and_the_next_call_tries_again() -> None:
    """Each gets one of its own: what one adds to it no other one sees."""

    async def main() -> None:
        backend = Backend()
        load = shared(backend.fetch, ttl=300)
        backend.fails = LookupError("no such rate")
        errors = await at_once(load, 20)
        assert {str(error) for error in errors} == {"no such rate"}
        assert len(set(map(id, errors))) == 20
        assert all(error.__traceback__ is not None for error in errors)
        assert (backend.asked, load.counts.failures) == (1, 1)
        backend.fails = None
        assert await load() == "#2"

    run_virtual(main())


class Uncopied(Exception):
    """An error that cannot be made again of its arguments."""

    def __init__(self, what: str, where: str) -> None:
        super().__init__(f"{what} {where}")


@pytest.mark.parametrize(
    "failure",
    [Uncopied("a", "b"), SystemExit(3), KeyboardInterrupt(), StopIteration(1)],
    ids=lambda failure: type(failure).__name__,
)
def test_whatever_a_fetch_raises_is_its_callers(failure: BaseException) -> None:
    """One that cannot be copied, or that would end the loop, reaches those who wait."""

    async def main() -> None:
        async def fetch() -> str:
            raise failure

        load = shared(fetch, ttl=1)
        got = []
        for _ in range(3):
            try:
                await load()
            except BaseException as error:
                got.append(error)
        # Python itself makes a RuntimeError of a coroutine's StopIteration.
        assert [type(error) for error in got] == [
            RuntimeError if isinstance(failure, StopIteration) else type(failure)
        ] * 3

    run_virtual(main())


def test_a_caller_that_gives_up_leaves_the_fetch_to_the_others() -> None:
    """The one that has begun it is cancelled, another one times out, and the third gets it."""

    async def main() -> None:
        backend = Backend()
        backend.open.clear()
        load = shared(backend.fetch, ttl=300)
        first, third = asyncio.ensure_future(load()), asyncio.ensure_future(load())
        await turns()
        first.cancel()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(load(), 5)
        backend.open.set()
        assert await third == "#1"
        assert first.cancelled()

    run_virtual(main())


def test_a_fetch_that_everybody_has_left_is_kept_all_the_same() -> None:
    """Its only caller is cancelled; the next one gets what it brought."""

    async def main() -> None:
        backend = Backend()
        backend.open.clear()
        load = shared(backend.fetch, ttl=300)
        only = asyncio.ensure_future(load())
        await turns()
        only.cancel()
        backend.open.set()
        await turns()
        assert await load() == "#1"

    run_virtual(main())


def test_a_failure_that_nobody_waits_for_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Its callers have gone, so it is a line."""

    async def main() -> None:
        backend = Backend()
        backend.open.clear()
        load = shared(backend.fetch, ttl=300, name="rates")
        only = asyncio.ensure_future(load())
        await turns()
        only.cancel()
        backend.fails = OSError("gone")
        backend.open.set()
        await turns()

    run_virtual(main())
    assert [record.message for record in caplog.records] == [
        "rates failed: OSError: gone; nobody waits for it any more, and the next call tries again"
    ]


def test_a_fetch_ends_with_its_time() -> None:
    """Those who wait for it are told which number to change; the next call begins another one."""

    async def main() -> None:
        backend = Backend()
        backend.open.clear()
        load = shared(backend.fetch, ttl=300, timeout=30, name="rates")
        errors = await at_once(load, 2)
        assert [str(error) for error in errors] == [
            "rates was not done within 30 s: let what it waits for take less, or give it more with"
            " @shared(timeout=...)"
        ] * 2
        backend.open.set()
        assert await load() == "#2"

    run_virtual(main())


def test_a_fetch_that_stood_still_with_the_instance_is_not_waited_for() -> None:
    """An instance is frozen during a refresh. After it, a caller begins anew, though the old fetch
    neither ended nor can be ended.
    """

    async def main() -> None:
        asked = 0

        async def fetch() -> int:
            nonlocal asked
            asked += 1
            number = asked
            while number == 2:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    if asyncio.get_running_loop().time() > 90_000:
                        raise
            return number

        load = shared(fetch, ttl=300, stale=60, timeout=30)
        assert await load() == 1
        await asyncio.sleep(310)
        assert await load() == 1  # and begins a refresh
        waiter = asyncio.ensure_future(asyncio.wait_for(load(), 7200))
        await asyncio.sleep(3600)
        assert await load() == 3
        assert await waiter == 1
        await asyncio.sleep(100_000)

    run_virtual(main())


def test_values_are_kept_by_arguments() -> None:
    """By position or by name is the same; equal numbers of different types are not."""

    async def main() -> None:
        backend = Backend()

        @shared(ttl=300)
        async def rate(currency: object, day: int = 0) -> str:
            return await backend.fetch(currency, day)

        assert await rate("EUR", 1) == "EUR/1#1"
        assert await rate(currency="EUR", day=1) == "EUR/1#1"
        assert await rate("EUR", day=1) == "EUR/1#1"
        assert await rate("USD", 1) == "USD/1#2"
        assert await rate(1) == "1/0#3"
        assert await rate(True) == "True/0#4"
        assert await rate(1.0) == "1.0/0#5"

    run_virtual(main())


def test_values_are_kept_by_what_key_returns() -> None:
    """It is asked with the same arguments, which may be of any type then."""

    async def main() -> None:
        backend = Backend()

        @shared(ttl=300, key=lambda order: order["shop"])
        async def prices(order: dict[str, str]) -> str:
            return await backend.fetch(order["shop"])

        assert await prices({"shop": "north", "id": "1"}) == "north#1"
        assert await prices({"shop": "north", "id": "2"}) == "north#1"
        assert await prices({"shop": "south", "id": "3"}) == "south#2"
        with pytest.raises(KeyError):
            await prices({})

    run_virtual(main())


def test_long_keys_are_kept_as_digests() -> None:
    """A text of a megabyte tells results apart, and does not stay in memory."""

    async def main() -> None:
        backend = Backend()

        @shared(ttl=300)
        async def size(text: str | bytes) -> str:
            return await backend.fetch(len(text))

        long = "a" * 1_000_000
        assert await size(long) == "1000000#1"
        assert await size("a" * 1_000_000) == "1000000#1"
        assert await size(long.encode()) == "1000000#2"
        assert await size(long[:-1] + "b") == "1000000#3"
        kept = size._here()
        assert all(len(str(key)) < 500 for key in kept._values)

    run_virtual(main())


def test_what_was_used_least_goes_first() -> None:
    """There are never more than `max_entries`."""

    async def main() -> None:
        backend = Backend()
        load = shared(backend.fetch, ttl=300, max_entries=2)
        for key in ("a", "b", "a", "c"):
            await load(key)
        assert backend.asked == 3
        assert await load("a") == "a#1"
        assert await load("b") == "b#4"
        assert len(load._here()) == 2

    run_virtual(main())


def test_what_is_invalidated_is_fetched_anew() -> None:
    """One key, or all of them; a fetch that runs then is not kept, and those who wait for it get
    its value.
    """

    async def main() -> None:
        backend = Backend()
        load = shared(backend.fetch, ttl=300)
        await load("a")
        await load("b")
        load.invalidate("a")
        assert [await load("a"), await load("b")] == ["a#3", "b#2"]
        load.invalidate()
        assert [await load("a"), await load("b")] == ["a#4", "b#5"]
        load.invalidate("a")
        backend.open.clear()
        before = asyncio.ensure_future(load("a"))
        await turns()
        load.invalidate("a")
        after = asyncio.ensure_future(load("a"))
        await turns()
        backend.open.set()
        assert [await before, await after, await load("a")] == ["a#6", "a#7", "a#7"]

    run_virtual(main())


async def test_another_thread_invalidates() -> None:
    """A plain handler does, in its thread."""
    backend = Backend()
    load = shared(backend.fetch, ttl=300)
    await load("a")
    await asyncio.to_thread(load.invalidate, "a")
    await turns()
    assert await load("a") == "a#2"


def test_a_function_that_waits_for_itself_is_told_so() -> None:
    """By itself or over another one: it would wait until its time is over."""

    async def main() -> None:
        @shared(ttl=300, name="one")
        async def one(depth: int) -> int:
            return await two(depth)

        @shared(ttl=300, name="two")
        async def two(depth: int) -> int:
            return await one(depth - 1 if depth > 1 else depth)

        with pytest.raises(RuntimeError, match="one waits for itself: it calls itself as it was"):
            await one(3)

    run_virtual(main())


def test_a_plain_function_is_fetched_in_a_thread() -> None:
    """The loop goes on meanwhile; whatever it raises comes back."""

    async def main() -> None:
        go, threads = threading.Event(), set[int]()

        @shared(ttl=300)
        def load(what: str) -> str:
            threads.add(threading.get_ident())
            assert go.wait(20)
            if what == "bad":
                raise SystemExit(what)
            return what

        waiting = [asyncio.ensure_future(load("good")) for _ in range(5)]
        bad = asyncio.ensure_future(at_once(lambda: caught(load("bad")), 2))
        await turns()
        go.set()
        assert [await each for each in waiting] == ["good"] * 5
        assert [type(error) for error in await bad] == [SystemExit] * 2
        assert threading.get_ident() not in threads
        assert len(threads) == 2

    asyncio.run(main())


def test_whatever_can_be_called_is_shared() -> None:
    """An object with `__call__`, a partial, a function of C, a plain one around an async one."""

    class Rates:
        async def __call__(self, currency: str) -> str:
            return f"rates of {currency}"

    def around(currency: str) -> Any:
        return Rates()(currency)

    async def main() -> None:
        for function in (Rates(), functools.partial(Rates(), "EUR"), around):
            load: Any = shared(function, ttl=300)
            given = () if isinstance(function, functools.partial) else ("EUR",)
            assert [await load(*given) for _ in range(2)] == ["rates of EUR"] * 2
            assert load.counts.fetches == 1
            assert repr(load).startswith(
                "<shared tests.resources.test_sharing.test_whatever_can_be"
            )
        assert await shared(math.hypot, ttl=300)(3, 4) == 5
        assert await shared(dict.get, ttl=300, key=lambda *_: 1)({1: 2}, 1) == 2

    asyncio.run(main())


def test_a_fetch_is_no_calls_task() -> None:
    """It is not among the tasks that its first caller has started, its context is its own, with
    the credentials of that caller, and no deadline.
    """

    async def main() -> None:
        track_on(asyncio.get_running_loop())
        seen: list[Context] = []
        gate = asyncio.Event()

        async def fetch() -> None:
            await gate.wait()
            seen.append(current_context())

        load = shared(fetch, ttl=300, name="rates")

        async def call() -> set[asyncio.Task[Any]]:
            headers = {"x-fc-access-key-id": "key-1", "x-fc-access-key-secret": "s"}
            RUNNING.set(Context(headers, "call-1", 5.0))
            current_context().bind(order=1)
            tasks = track()
            waiting = asyncio.ensure_future(load())
            await turns()
            assert tasks == {waiting}
            waiting.cancel()
            await turns()
            return tasks

        assert not await asyncio.create_task(call())
        gate.set()
        await turns()
        (context,) = seen
        assert context.request_id.startswith("task-rates-")
        assert context.credentials.access_key_id == "key-1"
        assert context.remaining() is None
        assert record_of(context).bound is None

    asyncio.run(main())


def test_each_event_loop_has_its_own_values() -> None:
    """A value may belong to the loop that it was fetched on."""
    fetched: list[int] = []

    @shared(ttl=300)
    async def load() -> int:
        fetched.append(1)
        return len(fetched)

    async def main() -> int:
        return await load()

    assert [run_virtual(main()), run_virtual(main())] == [1, 2]


def test_a_method_is_shared_by_object() -> None:
    """`self` is an argument like others."""

    class Shop:
        def __init__(self, name: str) -> None:
            self.name = name
            self.asked = 0

        @shared(ttl=300)
        async def prices(self, day: int) -> str:
            self.asked += 1
            return f"{self.name} {day}"

    async def main() -> None:
        north, south = Shop("north"), Shop("south")
        assert [await north.prices(1), await south.prices(1)] == ["north 1", "south 1"]
        await north.prices(1)
        assert (north.asked, south.asked) == (1, 1)

    run_virtual(main())


async def test_the_result_is_for_threads_without_a_loop() -> None:
    """In async code it says to await; without a service, as in a test of a plain handler, the
    function runs on a loop of its own.
    """
    load = shared(Backend().fetch, ttl=300, name="rates")
    with pytest.raises(RuntimeError, match="await rates"):
        load.result()
    assert await asyncio.to_thread(load.result) == "#1"


async def test_a_plain_handler_waits_until_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then its thread is free again, and the fetch goes on for the others."""
    backend = Backend()
    backend.open.clear()
    load = shared(backend.fetch, ttl=300, name="rates")
    life = Lifecycle(drain_timeout=1, hurry=lambda: None)
    life.loop = asyncio.get_running_loop()
    monkeypatch.setattr(sharing, "lifecycle_here", lambda: life)

    def handler() -> None:
        with Context({}, "1", time.monotonic()):
            load.result()

    waiting = asyncio.ensure_future(load())
    with pytest.raises(TimeoutError, match=r"the call's deadline came before rates\(\)"):
        await asyncio.to_thread(handler)
    backend.open.set()
    assert await waiting == "#1"
    assert await asyncio.to_thread(load.result) == "#1"
    assert backend.asked == 1


def test_a_context_is_no_key() -> None:
    """Each call has its own: nothing would be shared."""

    async def main() -> None:
        @shared(ttl=300, name="load")
        async def load(context: Context) -> None: ...

        with pytest.raises(TypeError, match="use current_context"):
            await load(Context({}, "1"))
        unhashable: list[Any] = [[], {}]
        for argument in unhashable:
            with pytest.raises(TypeError, match=r"say with key= what tells results apart"):
                await load(argument)

    run_virtual(main())


def generated() -> Any:
    """A generator's items are one caller's."""
    yield 1


async def plain() -> None:
    """Nothing."""


@pytest.mark.parametrize(
    ("function", "options", "why"),
    [
        (generated, {"ttl": 1}, "generator"),
        (Backend, {"ttl": 1}, "is for a function"),
        (plain, {"ttl": 0}, "ttl"),
        (plain, {"ttl": math.nan}, "ttl"),
        (plain, {"ttl": 1, "stale": -1}, "stale"),
        (plain, {"ttl": 1, "stale": math.nan}, "stale"),
        (plain, {"ttl": 1, "timeout": math.inf}, "timeout"),
        (plain, {"ttl": 1, "timeout": 0}, "timeout"),
        (plain, {"ttl": 1, "max_entries": 0}, "max_entries"),
        (plain, {"ttl": 1, "key": "id"}, "key"),
        (plain, {}, "ttl"),
    ],
)
def test_what_cannot_be_shared_is_refused_at_once(
    function: Any, options: dict[str, Any], why: str
) -> None:
    """Where it is written, and not with the first call."""
    with pytest.raises((TypeError, ValueError), match=why):
        shared(function, **options)


def test_it_is_a_name_of_the_package() -> None:
    """`from fc_event_service import shared`."""
    assert service.shared is shared
    assert repr(shared(plain, ttl=1)) == "<shared tests.resources.test_sharing.plain>"


def test_metrics_tell_hits_fetches_and_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are added up when somebody looks."""
    monkeypatch.setattr(USER_PAGE, "page", None)

    async def main() -> None:
        backend = Backend()
        load = shared(backend.fetch, ttl=300, name="of this test")
        await at_once(load, 3)
        await load()
        backend.fails = OSError("gone")
        load.invalidate()
        with pytest.raises(OSError, match="gone"):
            await load()
        for _ in range(2):
            USER_PAGE.settle()

    run_virtual(main())
    told = {
        name: value
        for family in USER_PAGE.made().families()
        for (name, labels), value in family.samples.items()
        if labels == (("function", "of this test"),)
    }
    assert told == {
        "fc_shared_hits_total": 1.0,
        "fc_shared_fetches_total": 2.0,
        "fc_shared_failures_total": 1.0,
    }


class Watched:
    """A shared function whose fetches and callers check what they see."""

    def __init__(self, takes: float) -> None:
        self.takes = takes
        self.fails = False
        self.running = {"a": 0, "b": 0}
        self.invalid = {"a": 0.0, "b": 0.0}
        """When a key was invalidated the last time."""
        self.load: SharedFunction[[str], float] = shared(self.fetch, ttl=20, stale=10)

    async def fetch(self, key: str) -> float:
        """Return when it began."""
        began = asyncio.get_running_loop().time()
        self.running[key] += 1
        assert self.running[key] == 1 or self.invalid[key] > 0
        try:
            await asyncio.sleep(self.takes)
            if self.fails:
                raise OSError
            return began
        finally:
            self.running[key] -= 1

    async def ask(self, key: str) -> None:
        """Be a caller."""
        loop = asyncio.get_running_loop()
        asked, last = loop.time(), self.invalid[key]
        try:
            began = await self.load(key)
        except OSError:
            return
        assert began >= last
        assert loop.time() > asked or asked - began < 30

    def invalidate(self, key: str) -> None:
        """Have what was fetched for a key forgotten."""
        self.load.invalidate(key)
        self.invalid[key] = asyncio.get_running_loop().time()


STEP = st.tuples(
    st.sampled_from(["ask", "ask", "ask", "invalidate", "fail", "heal"]),
    st.sampled_from("ab"),
    st.floats(0, 40),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(STEP, max_size=25), st.floats(0, 15))
def test_no_value_is_too_old_and_no_fetch_runs_twice(
    steps: list[tuple[str, str, float]], takes: float
) -> None:
    """Whatever comes in whatever order: nobody who did not wait gets a value whose fetch began
    before `ttl` and `stale` seconds, or before it was invalidated; of one key one fetch runs at a
    time, unless it was invalidated meanwhile.
    """

    async def main() -> None:
        watched, tasks = Watched(takes), []
        for step, key, pause in steps:
            if step == "ask":
                tasks.append(asyncio.ensure_future(watched.ask(key)))
            elif step == "invalidate":
                watched.invalidate(key)
            else:
                watched.fails = step == "fail"
            await asyncio.sleep(pause)
        await asyncio.gather(*tasks)

    run_virtual(main())
