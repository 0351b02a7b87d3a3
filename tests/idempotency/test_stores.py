"""What every store promises, tried on each of them; and what the one in memory forgets."""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
import sys
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from service.errors import OnceStoreFailed
from service.idempotency.redis_store import RedisStore
from service.idempotency.stores import Claimed, MemoryStore, OnceStore
from tests.idempotency.redis_server import RedisServer

PAGE = Path(__file__).parents[2] / "docs" / "once.md"
numbers = itertools.count()


class Tried:
    """A store, and a way to let time pass for what it keeps under a key."""

    def __init__(self, store: OnceStore, end_lease: Callable[[str], Any]) -> None:
        self.store = store
        self.end_lease = end_lease
        self.key = f"key-{next(numbers)}"


@asynccontextmanager
async def in_memory(_request: pytest.FixtureRequest) -> AsyncIterator[Tried]:
    """The store in memory, with a clock that moves when it is told to."""
    now = [0.0]

    def end_lease(_key: str) -> None:
        now[0] += 31

    yield Tried(MemoryStore(clock=lambda: now[0]), end_lease)


@asynccontextmanager
async def in_redis(request: pytest.FixtureRequest) -> AsyncIterator[Tried]:
    """Redis: a claim's end is put into the past."""
    server: RedisServer = request.getfixturevalue("redis_server")
    store = RedisStore(server.url)

    def end_lease(key: str) -> None:
        if server.plain.hexists(key, "until"):
            server.plain.hset(key, "until", 1)
        else:
            server.plain.delete(key)

    yield Tried(store, end_lease)
    await store.aclose()


@asynccontextmanager
async def of_the_docs(request: pytest.FixtureRequest) -> AsyncIterator[Tried]:
    """The store that docs/once.md shows, run as pasted."""
    (source,) = re.findall(r"```python\n(import sqlite3.*?)```", PAGE.read_text(), re.DOTALL)
    shown: dict[str, Any] = {}
    exec(source, shown)
    store = shown["SqliteStore"](request.getfixturevalue("tmp_path") / "once.db")

    def end_lease(key: str) -> None:
        store.rows.execute("update once set until = 0 where key = ?", [key])

    yield Tried(store, end_lease)
    store.rows.close()


@pytest.fixture(params=[in_memory, in_redis, of_the_docs], ids=["memory", "redis", "docs"])
async def tried(request: pytest.FixtureRequest) -> AsyncIterator[Tried]:
    """Each of the stores."""
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(request.param(request))


async def test_the_first_claim_is_kept_and_a_second_one_meets_it(tried: Tried) -> None:
    """Of any number at one time, one has the key, and the others see whose it is."""
    claims = [b"claim %d" % n for n in range(10)]
    met = await asyncio.gather(*(tried.store.claim(tried.key, c, 30) for c in claims))
    assert met.count(None) == 1
    first = claims[met.index(None)]
    assert [m for m in met if m is not None] == [Claimed(first, False)] * 9


async def test_a_claim_that_is_asked_for_twice_is_the_same_one(tried: Tried) -> None:
    """Who does not know what became of a command may repeat it."""
    for _ in range(2):
        assert await tried.store.claim(tried.key, b"mine", 30) is None
    for _ in range(2):
        assert await tried.store.settle(tried.key, b"mine", b"result", 30)
    assert await tried.store.claim(tried.key, b"other", 30) == Claimed(b"result", False)


async def test_a_claim_whose_lease_is_over_is_taken_over(tried: Tried) -> None:
    """The next one learns whose it was, and the late one can change nothing any more."""
    assert await tried.store.claim(tried.key, b"dead", 30) is None
    tried.end_lease(tried.key)
    assert await tried.store.claim(tried.key, b"next", 30) == Claimed(b"dead", True)
    assert not await tried.store.renew(tried.key, b"dead", 30)
    assert not await tried.store.settle(tried.key, b"dead", b"late", 30)
    await tried.store.release(tried.key, b"dead")
    assert await tried.store.claim(tried.key, b"other", 30) == Claimed(b"next", False)


async def test_a_lease_is_made_longer_if_nobody_has_taken_it(tried: Tried) -> None:
    """Even one that is over: then it stands again."""
    await tried.store.claim(tried.key, b"mine", 30)
    tried.end_lease(tried.key)
    assert await tried.store.renew(tried.key, b"mine", 30)
    assert await tried.store.claim(tried.key, b"other", 30) == Claimed(b"mine", False)


async def test_a_released_key_is_free(tried: Tried) -> None:
    """The next claim meets nothing."""
    await tried.store.claim(tried.key, b"mine", 30)
    await tried.store.release(tried.key, b"mine")
    assert await tried.store.claim(tried.key, b"next", 30) is None


async def test_a_result_that_has_expired_is_nothing(tried: Tried) -> None:
    """Then the event may be handled anew, and nothing was taken over."""
    await tried.store.claim(tried.key, b"mine", 30)
    await tried.store.settle(tried.key, b"mine", b"result", 30)
    assert await tried.store.claim(tried.key, b"other", 30) == Claimed(b"result", False)
    tried.end_lease(tried.key)
    assert await tried.store.claim(tried.key, b"next", 30) is None


async def test_any_bytes_are_kept_as_they_are(tried: Tried) -> None:
    """Values are no text."""
    value = bytes(range(256)) * 100
    await tried.store.claim(tried.key, b"mine\n\x00\xff", 30)
    await tried.store.settle(tried.key, b"mine\n\x00\xff", value, 30)
    assert await tried.store.claim(tried.key, b"other", 30) == Claimed(value, False)


async def test_memory_forgets_the_oldest_results_first_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Claims that stand are kept."""
    store = MemoryStore(max_bytes=350, clock=lambda: 0.0)
    await store.claim("running", b"claim", 30)
    for key in "abcd":
        await store.claim(key, b"claim", 30)
        await store.settle(key, b"claim", bytes(100), 30)
    assert await store.claim("d", b"x", 30) == Claimed(bytes(100), False)
    assert await store.claim("running", b"x", 30) == Claimed(b"claim", False)
    assert await store.claim("a", b"x", 30) is None
    assert caplog.record_tuples[0][1:] == (
        logging.WARNING,
        "MemoryStore has forgotten results before they expired: it is full",
    )
    with pytest.raises(OnceStoreFailed, match="raise max_bytes"):
        await store.claim("large", bytes(400), 30)


async def test_memory_that_is_full_is_not_looked_through_with_each_result() -> None:
    """Room is made for many at once: what it keeps may be hundreds of thousands of results."""
    looked = 0

    class Counted(MemoryStore):
        def _make_room(self, wanted: str, more: int) -> None:
            nonlocal looked
            looked += 1
            super()._make_room(wanted, more)

    store = Counted(max_bytes=100_000, clock=lambda: 0.0)
    for number in range(2000):
        await store.claim(str(number), b"claim", 30)
        await store.settle(str(number), b"claim", bytes(96), 30)
    assert 10 < looked < 40
    assert await store.claim("1999", b"x", 30) == Claimed(bytes(96), False)


def test_memory_gives_a_key_to_one_of_many_threads() -> None:
    """Plain handlers may run event loops of their own at one time."""
    store, threads = MemoryStore(clock=lambda: 0.0), 8
    start = threading.Barrier(threads)

    def claim(number: int) -> list[bool]:
        async def main() -> list[bool]:
            keys = range(300)
            return [await store.claim(str(n), b"%d" % number, 30) is None for n in keys]

        start.wait(30)
        return asyncio.run(main())

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(threads) as pool:
            had = list(pool.map(claim, range(threads)))
    finally:
        sys.setswitchinterval(interval)
    assert [sum(of_key) for of_key in zip(*had, strict=True)] == [1] * 300


async def test_memory_gives_the_room_of_what_has_expired(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is forgotten early, and nothing is told."""
    now = [0.0]
    store = MemoryStore(max_bytes=150, clock=lambda: now[0])
    await store.claim("a", b"claim", 30)
    await store.settle("a", b"claim", bytes(100), 30)
    now[0] = 31.0
    assert await store.claim("b", bytes(100), 30) is None
    assert not caplog.records
