"""A handler that runs once for each key, over a store in memory."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from service import Drop, MemoryStore, Retry, each, once
from service.context.call import Context
from service.errors import (
    InvalidEvent,
    KeptFailure,
    OnceStoreFailed,
    PayloadDiffers,
    RecordsFailed,
    ResultNotKept,
    StartError,
)
from service.idempotency.stores import Claimed, OnceStore
from tests.virtual_clock import run_virtual


def context_of(request_id: str) -> Context:
    """The context of a call."""
    return Context({"x-fc-function-name": "orders"}, request_id)


class Gated:
    """A handler that runs when it is told to, and counts."""

    def __init__(self) -> None:
        self.ran = 0
        self.began = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self, event: dict[str, Any], context: Any) -> dict[str, int]:
        """Handle an event."""
        self.ran += 1
        self.began.set()
        await self.go.wait()
        return {"ran": self.ran}


async def test_concurrent_duplicates_wait_for_the_first_and_get_its_bytes() -> None:
    """One runs, and later ones are given the same from the store."""
    handle = Gated()
    decorated = once(key="$.id", store=MemoryStore())(handle)
    calls = [asyncio.create_task(decorated({"id": 1}, None)) for _ in range(20)]
    await handle.began.wait()
    handle.go.set()
    assert set(await asyncio.gather(*calls)) == {b'{"ran":1}'}
    assert await decorated({"id": 1}, None) == b'{"ran":1}'
    assert await decorated({"id": 2}, None) == b'{"ran":2}'


async def test_two_functions_and_two_keys_do_not_meet() -> None:
    """What is kept is of one function; `name` makes two of them one."""
    store = MemoryStore()

    async def one(event: Any, context: Any) -> str:
        return "one"

    async def two(event: Any, context: Any) -> str:
        return "two"

    kept = once(key="$.id", store=store)
    assert await kept(one)({"id": 1}, context_of("a")) == b"one"
    assert await kept(two)({"id": 1}, context_of("b")) == b"two"
    for function, answer in ((one, b"one"), (two, b"two")):
        partial = functools.partial(function)
        assert await kept(partial)({"id": 2}, context_of("c")) == answer
    shared = once(key="$.id", store=store, name="both")
    assert await shared(one)({"id": 1}, context_of("a")) == b"one"
    assert await shared(two)({"id": 1}, context_of("b")) == b"one"


async def test_plain_functions_run_in_threads_once() -> None:
    """Also those that return a coroutine; what they raise comes out."""
    threads = set[str]()

    def plain(event: Any, context: Any) -> str:
        threads.add(threading.current_thread().name)
        return "plain"

    def wrapping(event: Any, context: Any) -> Any:
        async def inner() -> str:
            return "inner"

        return inner()

    def failing(event: Any, context: Any) -> None:
        raise LookupError("no")

    kept = once(key="$.id", store=MemoryStore())
    results = await asyncio.gather(*(kept(plain)({"id": 1}, None) for _ in range(3)))
    assert set(results) == {b"plain"}
    assert threading.current_thread().name not in threads
    assert await kept(wrapping)({"id": 1}, None) == b"inner"
    with pytest.raises(LookupError):
        await kept(failing)({"id": 1}, None)


async def test_methods_partials_and_named_arguments_are_taken() -> None:
    """The event is the one before the context."""
    kept = once(key="$.id", store=MemoryStore())

    class Orders:
        @kept
        async def handle(self, record: Any, context: Any) -> int:
            return int(record["id"])

    def more(factor: int, event: Any, context: Any) -> int:
        return factor * int(event["id"])

    async def alone(event: Any) -> int:
        return int(event["id"])

    assert await Orders().handle({"id": 4}, None) == b"4"
    assert await kept(functools.partial(more, 3))({"id": 2}, None) == b"6"
    assert await kept(alone)({"id": 5}) == b"5"
    assert await kept(alone)(event={"id": 5}) == b"5"


async def test_a_failure_is_not_kept_and_the_next_call_runs() -> None:
    """Those that wait try in turn."""
    ran = 0

    @once(key="$.id", store=MemoryStore())
    async def handle(event: Any, context: Any) -> int:
        nonlocal ran
        ran += 1
        await asyncio.sleep(0)
        if ran < 3:
            raise OSError("not yet")
        return ran

    calls = (handle({"id": 1}, None) for _ in range(4))
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(each) for each in results] == [OSError, OSError, bytes, bytes]
    assert results[2:] == [b"3", b"3"]


async def test_records_of_a_batch_are_handled_once_each() -> None:
    """Beneath `@each`: a record that comes twice in a batch, or again in the next one, runs once;
    `Retry` and `Drop` are not kept, and what was changed is not tried again.
    """
    ran: list[str] = []

    @each(retry=3)
    @once(key="$.id", store=MemoryStore(), keep_failures=True)
    async def handler(record: dict[str, Any], context: Any) -> Any:
        ran.append(record["id"])
        await asyncio.sleep(0)
        if record["id"] == "slow" and ran.count("slow") == 1:
            return Retry(after=0)
        return Drop if record["id"] == "test" else {"shipped": record["id"]}

    batch = [{"id": name} for name in ("a", "b", "a", "slow", "a", "test")]
    told = await handler(batch, None)
    assert (told["ok"], told["dropped"], told["retries"]) == (5, 1, 1)
    told = await handler(batch, None)
    assert (told["ok"], told["dropped"]) == (5, 1)
    assert sorted(ran) == ["a", "b", "slow", "slow", "test", "test"]
    with pytest.raises(RecordsFailed, match=r"PayloadDiffers: another event with this key"):
        await handler([{"id": "b"}, {"id": "b", "more": 1}], None)


async def test_a_plain_record_handler_runs_once() -> None:
    """In a thread, beneath `@each`."""
    ran: list[str] = []

    @each
    @once(key="$.id", store=MemoryStore())
    def handler(record: dict[str, Any], context: Any) -> None:
        ran.append(record["id"])

    told = await handler([{"id": "a"}, {"id": "a"}, {"id": "b"}], None)
    assert told["ok"] == 3
    assert sorted(ran) == ["a", "b"]


async def test_a_failure_is_kept_if_that_is_asked_for() -> None:
    """A duplicate gets the same error type and message; other failures are not kept."""
    ran = 0

    @once(key="$.id", store=MemoryStore(), keep_failures=(ValueError, InvalidEvent))
    async def handle(event: Any, context: Any) -> None:
        nonlocal ran
        ran += 1
        await asyncio.sleep(0)
        raise {"v": ValueError, "o": OSError, "i": InvalidEvent}[event["id"]]("no stock")

    results = await asyncio.gather(
        *(handle({"id": "v"}, None) for _ in range(3)), return_exceptions=True
    )
    assert [type(each) for each in results] == [ValueError, KeptFailure, KeptFailure]
    with pytest.raises(KeptFailure, match="no stock") as caught:
        await handle({"id": "v"}, None)
    assert (caught.value.code, caught.value.status, ran) == ("ValueError", 404, 1)
    for kind in (InvalidEvent, KeptFailure):
        with pytest.raises(kind) as told:
            await handle({"id": "i"}, None)
        assert (told.value.code, told.value.status) == ("InvalidEvent", 400)
    for _ in range(2):
        with pytest.raises(OSError, match="no stock"):
            await handle({"id": "o"}, None)
    assert ran == 4


async def test_another_event_with_the_same_key_is_refused() -> None:
    """While the first runs, if it waits for it here, and from the store; `payload` says what is
    compared.
    """
    handle = Gated()
    store = MemoryStore()
    decorated = once(key="$.id", store=store, name="n")(handle)
    elsewhere = once(key="$.id", store=store, name="n")(handle)
    first = asyncio.create_task(decorated({"id": 1, "n": 1}, context_of("first")))
    await handle.began.wait()
    other = {"id": 1, "n": 2}
    with pytest.raises(PayloadDiffers, match="by request first: send a new event with a new key"):
        await elsewhere(other, None)
    waiting = asyncio.create_task(decorated(other, None))
    handle.go.set()
    assert await first == b'{"ran":1}'
    with pytest.raises(PayloadDiffers):
        await waiting
    with pytest.raises(PayloadDiffers):
        await decorated(other, None)
    for payload in (None, "$.id", lambda event: event["id"]):
        less = once(key="$.id", store=store, name=f"less {payload}", payload=payload)(handle)
        assert await less(other, None) == await less({"id": 1, "n": 1}, None)


async def test_an_event_without_the_key_is_invalid_and_reaches_neither_store_nor_handler() -> None:
    """And no other call is hurt."""

    @once(key="$.id", store=Broken(), on_store_error="run")
    async def handle(event: Any, context: Any) -> None:
        raise AssertionError

    with pytest.raises(InvalidEvent):
        await handle({"order": 1}, None)


async def test_a_result_that_is_too_large_is_returned_once() -> None:
    """Those that wait here get it; a later one learns that the event was handled."""
    ran = 0

    @once(key="$.id", store=MemoryStore(), max_result=10)
    async def handle(event: Any, context: Any) -> str:
        nonlocal ran
        ran += 1
        await asyncio.sleep(0)
        return "x" * 11

    calls = (handle({"id": 1}, context_of("first")) for _ in range(3))
    assert set(await asyncio.gather(*calls)) == {b"x" * 11}
    with pytest.raises(ResultNotKept, match="by request first, and its result of 11 bytes"):
        await handle({"id": 1}, context_of("later"))
    assert ran == 1


def test_a_result_expires() -> None:
    """Then the event is handled anew."""

    async def main() -> None:
        handle = Gated()
        handle.go.set()
        decorated = once(key="$.id", store=MemoryStore(), expires=60)(handle)
        for wait, result in ((0, 1), (59.9, 1), (0.2, 2), (1, 2)):
            await asyncio.sleep(wait)
            assert await decorated({"id": 1}, None) == b'{"ran":%d}' % result

    run_virtual(main())


def test_a_handler_that_runs_longer_than_its_lease_keeps_it() -> None:
    """A duplicate that asks the store, as another process does, waits until it is done."""

    async def main() -> None:
        store, ran = MemoryStore(), 0

        async def handle(event: Any, context: Any) -> int:
            nonlocal ran
            ran += 1
            await asyncio.sleep(100)
            return ran

        kept = once(key="$.id", store=store, lease=3, name="n")
        calls = [kept(handle)({"id": 1}, None) for _ in range(2)]
        assert set(await asyncio.gather(*calls)) == {b"1"}

    run_virtual(main())


def test_a_claim_whose_process_was_killed_is_taken_over_after_its_lease(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Who waits for it runs then; a line says whose it was."""

    async def main() -> None:
        store, loop = MemoryStore(), asyncio.get_running_loop()
        handle = Gated()
        decorated = once(key="$.id", store=store, lease=30, name="n")(handle)
        dead = b'{"once":1,"state":"running","by":"killed","token":"t"}\n'
        assert await store.claim("once:n:1", dead, 30) is None
        handle.go.set()
        began = loop.time()
        assert await decorated({"id": 1}, None) == b'{"ran":1}'
        assert 30 <= loop.time() - began < 31.5
        assert not await store.settle("once:n:1", dead, b"late", 30)

    run_virtual(main())
    assert "taken over from request killed, whose lease of 30 s was over" in caplog.text


async def test_a_waiter_that_is_cancelled_leaves_the_others_alone() -> None:
    """Both one that waits here and one that asks the store."""
    handle, store = Gated(), MemoryStore()
    kept = once(key="$.id", store=store, name="n")
    here, elsewhere = kept(handle), kept(handle)
    first = asyncio.create_task(here({"id": 1}, None))
    await handle.began.wait()
    waiters = [asyncio.create_task(each({"id": 1}, None)) for each in (here, elsewhere, elsewhere)]
    await asyncio.sleep(0)
    waiters[0].cancel()
    waiters[1].cancel()
    handle.go.set()
    assert await first == await waiters[2] == b'{"ran":1}'
    for waiter in waiters[:2]:
        with pytest.raises(asyncio.CancelledError):
            await waiter


async def test_a_call_that_is_cancelled_while_it_runs_gives_the_key_back() -> None:
    """The next one need not wait for the end of the lease."""
    handle = Gated()
    decorated = once(key="$.id", store=MemoryStore())(handle)
    first = asyncio.create_task(decorated({"id": 1}, None))
    second = asyncio.create_task(decorated({"id": 1}, None))
    await handle.began.wait()
    handle.go.set()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await second == b'{"ran":2}'


async def test_a_plain_function_that_is_cancelled_is_waited_for_and_its_result_kept() -> None:
    """Its thread goes on, so nobody else may run meanwhile."""
    began, go = threading.Event(), threading.Event()
    ran = 0

    def handle(event: Any, context: Any) -> int:
        nonlocal ran
        ran += 1
        began.set()
        assert go.wait(20)
        return ran

    decorated = once(key="$.id", store=MemoryStore())(handle)
    first = asyncio.create_task(decorated({"id": 1}, None))
    second = asyncio.create_task(decorated({"id": 1}, None))
    assert await asyncio.to_thread(began.wait, 20)
    for _ in range(2):
        first.cancel()
        await asyncio.sleep(0)
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await second == b"1"
    assert ran == 1


async def test_a_plain_function_that_has_not_begun_does_not_begin_after_its_call() -> None:
    """While it waits for a thread it can be cancelled, and gives the key back."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    go, ran = threading.Event(), list[int]()
    busy = asyncio.get_running_loop().run_in_executor(None, go.wait, 20)
    decorated = once(key="$.id", store=MemoryStore())(lambda event, context: ran.append(1))
    first = asyncio.create_task(decorated({"id": 1}, None))
    second = asyncio.create_task(decorated({"id": 1}, None))
    for _ in range(5):
        await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    go.set()
    assert await busy
    assert await second == b"null"
    assert ran == [1]


async def test_a_claim_stands_while_a_thread_runs_that_nobody_waits_for() -> None:
    """As at the end of the process: what cancels all tasks gives no key away."""
    began, go = threading.Event(), threading.Event()
    store = MemoryStore()

    def handle(event: Any, context: Any) -> None:
        began.set()
        assert go.wait(20)

    call = asyncio.create_task(once(key="$.id", store=store, name="n")(handle)({"id": 1}, None))
    assert await asyncio.to_thread(began.wait, 20)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    for _ in range(5):
        await asyncio.sleep(0)
    met = await store.claim("once:n:1", b"other", 30)
    go.set()
    assert met is not None
    assert b"running" in met.value


class Broken:
    """A store that fails; `works` are the methods that do not."""

    def __init__(self, works: OnceStore | None = None, *names: str) -> None:
        self._works = works
        self._names = names

    def __getattr__(self, name: str) -> Any:
        if name in self._names:
            return getattr(self._works, name)
        if name not in ("claim", "renew", "settle", "release"):
            raise AttributeError(name)

        async def fail(*_arguments: Any) -> Any:
            raise ConnectionError("no route")

        return fail

    def __repr__(self) -> str:
        return "Broken()"

    claim: Any
    renew: Any
    settle: Any
    release: Any


async def test_a_store_that_cannot_be_reached_fails_the_call_or_not_as_asked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """By default nothing runs unguarded; with "run" calls at one time still share."""
    handle = Gated()
    failing = once(key="$.id", store=Broken())(handle)
    with pytest.raises(OnceStoreFailed, match=r"Broken\(\) cannot be used: ConnectionError: no"):
        await failing({"id": 1}, None)
    assert handle.ran == 0
    running = once(key="$.id", store=Broken(), on_store_error="run")(handle)
    calls = [asyncio.create_task(running({"id": 1}, None)) for _ in range(2)]
    await handle.began.wait()
    handle.go.set()
    assert await asyncio.gather(*calls) == [b'{"ran":1}', b'{"ran":1}']
    assert "the handler runs all the same: on_store_error" in caplog.text


async def test_a_result_that_cannot_be_kept_is_returned_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The handler has run: to fail its call would make it run again."""
    handle = Gated()
    handle.go.set()
    store = Broken(MemoryStore(), "claim")
    assert await once(key="$.id", store=store)(handle)({"id": 1}, None) == b'{"ran":1}'
    (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert "the handler has run, and its answer is not kept" in record.getMessage()


async def test_a_claim_that_cannot_be_released_ends_with_its_lease(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The failure of the handler is told, and not that of the store."""

    @once(key="$.id", store=Broken(MemoryStore(), "claim"))
    async def handle(event: Any, context: Any) -> None:
        raise LookupError("its own")

    with pytest.raises(LookupError, match="its own"):
        await handle({"id": 1}, None)
    assert "a claim is not released, and ends with its lease" in caplog.text


def test_a_store_that_does_not_answer_fails_the_call_after_its_time_out() -> None:
    """And what hangs hurts no other call."""

    async def main() -> None:
        class Hanging(MemoryStore):
            async def claim(self, key: str, claim: bytes, lease: float) -> Claimed | None:
                if key.endswith(":1"):
                    await asyncio.get_running_loop().create_future()
                return await super().claim(key, claim, lease)

        handle = Gated()
        handle.go.set()
        decorated = once(key="$.id", store=Hanging(), store_timeout=2)(handle)
        stuck = asyncio.create_task(decorated({"id": 1}, None))
        assert await decorated({"id": 2}, None) == b'{"ran":1}'
        with pytest.raises(OnceStoreFailed, match="has not answered within 2 seconds"):
            await stuck

    run_virtual(main())


async def test_what_others_have_put_under_a_key_is_told() -> None:
    """Garbage is a failure of the store, and stays."""
    store = MemoryStore()
    await store.claim("once:n:1", b"garbage", 30)
    handle = Gated()
    handle.go.set()
    with pytest.raises(OnceStoreFailed, match="was not written by @once"):
        await once(key="$.id", store=store, name="n")(handle)({"id": 1}, None)
    running = once(key="$.id", store=store, name="n", on_store_error="run")(handle)
    assert await running({"id": 1}, None) == b'{"ran":1}'
    assert (await store.claim("once:n:1", b"x", 30)) == Claimed(b"garbage", False)


class Stolen(MemoryStore):
    """A store in which, while a handler runs, another process takes the key and is done."""

    async def steal(self, value: bytes) -> None:
        """Put another one's result, or nothing, in the place of what is kept."""
        (key,) = self._kept
        self._drop(key)
        if value:
            await self.claim(key, b"other", 30)
            await self.settle(key, b"other", value, 300)


@pytest.mark.parametrize(
    ("theirs", "answer"),
    [
        (b'{"once":1,"state":"done"}\ntheirs', b"theirs"),
        (b"", b"ours"),
        (b"garbage", b"ours"),
    ],
    ids=["another result", "nothing", "garbage"],
)
async def test_a_late_holder_overwrites_no_newer_result(
    caplog: pytest.LogCaptureFixture, theirs: bytes, answer: bytes
) -> None:
    """It answers with what is kept: its own result if the key is free again."""
    store = Stolen()

    async def handle(event: Any, context: Any) -> str:
        await store.steal(theirs)
        return "ours"

    assert await once(key="$.id", store=store)(handle)({"id": 1}, None) == answer
    assert "the lease of 30 s was over before the handler was done" in caplog.text
    (kept,) = [each.value for each in store._kept.values()]
    assert kept.endswith(answer) or kept == b"garbage"


async def test_a_store_that_loses_each_claim_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    """The call gets its result, and does not claim its key for ever."""

    class Forgetful(MemoryStore):
        async def settle(self, key: str, claim: bytes, value: bytes, seconds: float) -> bool:
            await self.release(key, claim)
            return await super().settle(key, claim, value, seconds)

    async def handle(event: Any, context: Any) -> str:
        return "done"

    assert await once(key="$.id", store=Forgetful())(handle)({"id": 1}, None) == b"done"
    assert "the result is not kept: MemoryStore() loses its claim each time" in caplog.text


async def test_a_result_that_the_memory_has_no_room_for_is_returned_and_not_kept(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its claim stands until its lease is over, as with any store that fails then."""
    store = MemoryStore(max_bytes=500)

    async def handle(event: Any, context: Any) -> str:
        return "x" * 1000

    assert await once(key="$.id", store=store, name="n")(handle)({"id": 1}, None) == b"x" * 1000
    (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert "its answer is not kept: MemoryStore is full" in record.getMessage()
    met = await store.claim("once:n:1", b"other", 30)
    assert met is not None
    assert b"running" in met.value


def test_a_holder_learns_while_it_runs_that_its_key_was_taken(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And claims it again if the store has lost it, or could not be reached."""

    async def main() -> None:
        store = Stolen()

        async def handle(event: Any, context: Any) -> str:
            await store.steal(b"")
            await asyncio.sleep(15)
            assert store._kept
            await store.steal(b'{"once":1,"state":"done"}\ntheirs')
            await asyncio.sleep(50)
            return "ours"

        assert await once(key="$.id", store=store)(handle)({"id": 1}, None) == b"theirs"

        async def slow(event: Any, context: Any) -> str:
            await asyncio.sleep(15)
            return "slow"

        deaf = once(key="$.id", store=Broken(MemoryStore(), "claim", "settle"))(slow)
        assert await deaf({"id": 1}, None) == b"slow"

    run_virtual(main())
    assert "another call has taken over the key of this one" in caplog.text
    assert "a lease is not made longer: Broken() cannot be used" in caplog.text


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"store": None}, "store is what keeps results"),
        ({"store": MemoryStore}, "store is what keeps results"),
        ({"expires": 0}, "expires is a number of seconds above 0, not 0"),
        ({"lease": float("inf")}, "lease is a number of seconds"),
        ({"store_timeout": -1}, "store_timeout is a number of seconds"),
        ({"on_store_error": "ignore"}, "on_store_error is 'fail' or 'run', not 'ignore'"),
        ({"name": "ü"}, "name has up to 200 ASCII characters"),
        ({"name": "n" * 201}, "name has up to 200 ASCII characters"),
        ({"key": "id"}, r"key: .* \$.order.id"),
        ({"payload": "id"}, r"payload: .* \$.order.id"),
    ],
)
def test_a_wrong_option_is_told_when_the_function_is_decorated(
    options: dict[str, Any], told: str
) -> None:
    """And not at the first event."""
    with pytest.raises(ValueError, match=told):
        once(**{"key": "$.id", "store": MemoryStore(), **options})


def test_what_cannot_run_once_is_refused_when_it_is_decorated() -> None:
    """A generator's parts, and what is no function."""
    kept: Callable[[Any], Any] = once(key="$.id", store=MemoryStore())

    async def parts(event: Any, context: Any) -> Any:
        yield b"part"

    with pytest.raises(TypeError, match="return the result whole"):
        kept(parts)
    with pytest.raises(StartError, match="@once is int, not a function"):
        kept(7)
