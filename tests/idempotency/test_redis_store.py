"""What goes wrong with Redis, and what its store says then."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from service import MemoryStore, once
from service.calls.lifecycle import HERE, Lifecycle
from service.errors import OnceStoreFailed, StartError
from service.idempotency.redis_store import RedisStore
from service.idempotency.stores import Claimed
from tests.idempotency.redis_server import RedisServer, needs_redis, served_redis


@asynccontextmanager
async def store_at(url: Any, **options: Any) -> AsyncIterator[RedisStore]:
    """A store that is closed."""
    store = RedisStore(url, **options)
    try:
        yield store
    finally:
        await store.aclose()


async def failure(url: Any, key: str = "key", **options: Any) -> str:
    """What the store says when a claim fails."""
    async with store_at(url, **options) as store:
        with pytest.raises(OnceStoreFailed) as caught:
            await store.claim(key, b"claim", 30)
    return str(caught.value)


async def test_a_server_that_is_not_there_is_told_with_its_place(tmp_path: Path) -> None:
    """The message names it, without its password, and says what to look at."""
    said = await failure(f"unix://me:secret@{tmp_path}/none.sock?db=1")
    assert f"Redis at unix://{tmp_path}/none.sock: it cannot be reached: is it running" in said
    assert "secret" not in said


@asynccontextmanager
async def fake(answer: bytes) -> AsyncIterator[str]:
    """A server that answers each command with the same bytes, or not at all."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


async def test_a_server_that_does_not_answer_is_told() -> None:
    """After the time-out, on two connections."""
    async with fake(b"") as url:
        assert "it cannot be reached" in await failure(url, timeout=0.05)


async def test_what_speaks_another_protocol_is_told() -> None:
    """An HTTP server at that port, for example."""
    async with fake(b"HTTP/1.1 400 Bad Request\r\n\r\n") as url:
        assert "it has refused a command (InvalidResponse" in await failure(url)


@pytest.mark.parametrize("kind", ["string", "list", "hash", "until"])
async def test_what_others_have_put_there_is_told_and_left(
    redis_server: RedisServer, kind: str
) -> None:
    """A key of another program is neither read nor overwritten."""
    key, plain = f"foreign-{kind}", redis_server.plain
    if kind == "string":
        plain.set(key, "x")
    elif kind == "list":
        plain.rpush(key, "x")
    else:
        plain.hset(key, *(("other", "x") if kind == "hash" else ("until", "x")))
        if kind == "until":
            plain.hset(key, "value", "x")
    before = plain.dump(key)
    said = await failure(redis_server.url, key)
    assert f"what is kept under '{key}'" in said
    assert "was not written by @once" in said
    async with store_at(redis_server.url) as store:
        if kind != "until":
            for work in (store.renew(key, b"c", 1), store.settle(key, b"c", b"v", 1)):
                with pytest.raises(OnceStoreFailed, match="was not written by @once"):
                    await work
    assert plain.dump(key) == before


@needs_redis
async def test_a_full_server_is_told_and_refuses_new_claims_alone() -> None:
    """It says what to do. Of a handler that runs the claim is renewed and the result is kept."""
    with served_redis("--maxmemory-policy", "noeviction") as server:
        server.plain.config_set("maxmemory", "1")
        said = await failure(server.url)
        assert "it is full: raise its maxmemory, or lower `expires`" in said
        server.plain.config_set("maxmemory", "0")
        async with store_at(server.url) as store:
            assert await store.claim("key", b"claim", 30) is None
            server.plain.config_set("maxmemory", "1")
            assert await store.renew("key", b"claim", 30)
            assert await store.settle("key", b"claim", bytes(1000), 30)
            assert await store.claim("key", b"other", 30) == Claimed(bytes(1000), False)


async def test_a_wrong_password_is_told_and_not_shown(redis_server: RedisServer) -> None:
    """The message says what to correct."""
    said = await failure(f"{redis_server.url}?username=me&password=secret")
    assert "correct the user and password of its URL" in said
    assert "secret" not in said


async def test_a_connection_that_was_lost_is_opened_again(redis_server: RedisServer) -> None:
    """As after a freeze: the call that finds it closed does not fail."""
    async with store_at(redis_server.url) as store:
        assert await store.claim("lost", b"claim", 30) is None
        redis_server.plain.client_kill_filter(_type="normal", skipme=True)
        assert await store.claim("lost", b"other", 30) == Claimed(b"claim", False)


async def test_scripts_that_the_server_has_forgotten_are_sent_again(
    redis_server: RedisServer,
) -> None:
    """As after its restart."""
    async with store_at(redis_server.url) as store:
        assert await store.claim("scripts", b"claim", 30) is None
        redis_server.plain.script_flush()
        assert await store.claim("scripts", b"other", 30) == Claimed(b"claim", False)


async def test_many_calls_at_once_share_few_connections(redis_server: RedisServer) -> None:
    """As many as were allowed, whatever the calls."""
    plain = redis_server.plain
    before = plain.info("clients")["connected_clients"]
    async with store_at(redis_server.url, connections=3) as store:
        await asyncio.gather(*(store.claim(f"many-{n}", b"c", 30) for n in range(100)))
        assert plain.info("clients")["connected_clients"] - before <= 3


async def test_nothing_is_kept_longer_than_it_should(redis_server: RedisServer) -> None:
    """Each key has a time to live: a result its own, a claim a day beyond its lease."""
    async with store_at(redis_server.url) as store:
        await store.claim("lives", b"claim", 30)
        assert 86_400_000 < redis_server.plain.pttl("lives") <= 86_430_000
        await store.renew("lives", b"claim", 60)
        assert 86_430_000 < redis_server.plain.pttl("lives") <= 86_460_000
        await store.settle("lives", b"claim", b"value", 5)
        assert 0 < redis_server.plain.pttl("lives") <= 5000


async def test_what_is_to_be_kept_for_ever_is_kept_for_long(redis_server: RedisServer) -> None:
    """Redis would refuse the number, after the handler has run."""
    async with store_at(redis_server.url) as store:
        assert await store.claim("ever", b"claim", 1e18) is None
        assert await store.renew("ever", b"claim", 1e18)
        assert await store.settle("ever", b"claim", b"value", sys.maxsize)
        assert await store.claim("ever", b"other", 1e18) == Claimed(b"value", False)


class Connected:
    """A store, its instance, and which clients of it were made and closed."""

    def __init__(self, url: str) -> None:
        self.made: list[Any] = []
        self.closed: list[Any] = []
        self.fails = False
        self.store = RedisStore(lambda: self._connect(url))
        self.life = Lifecycle(drain_timeout=1, hurry=lambda: None)
        HERE.set(self.life)
        self.life.start()

    def _connect(self, url: str) -> Any:
        connected = self

        class Client(redis.asyncio.Redis):
            async def aclose(self, close_connection_pool: bool | None = None) -> None:
                assert close_connection_pool
                await super().aclose(close_connection_pool)
                if connected.fails:
                    raise OSError("no")
                connected.closed.append(self)

        self.made.append(Client.from_url(url))
        return self.made[-1]


async def test_connections_are_closed_at_the_stop_of_the_instance(
    redis_server: RedisServer,
) -> None:
    """After `pre_stop`, which may still need them."""
    tried = Connected(redis_server.url)
    assert repr(tried.store) == "the Redis of RedisStore"
    for _ in range(2):
        await tried.store.claim("stop", b"claim", 30)
    assert len(tried.made) == len(tried.life.at_stop) == 1
    await tried.life.stop()
    await tried.store.aclose()
    assert tried.closed == tried.made


async def test_connections_of_a_loop_in_a_handlers_thread_are_closed_with_it(
    redis_server: RedisServer,
) -> None:
    """Each call may have one: neither sockets nor work for the stop add up."""
    tried = Connected(redis_server.url)
    for number in range(3):
        claimed = tried.store.claim(f"thread-{number}", b"claim", 30)
        assert await asyncio.to_thread(asyncio.run, claimed) is None
    assert len(tried.made) == 3
    assert tried.closed == tried.made
    assert not tried.life.at_stop
    assert await tried.store.claim("thread-0", b"other", 30) == Claimed(b"claim", False)
    await tried.life.stop()
    assert tried.closed == tried.made


async def test_a_store_that_cannot_be_closed_does_not_keep_the_stop(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A line tells of it."""
    tried = Connected(redis_server.url)
    tried.fails = True
    await tried.store.claim("stuck", b"claim", 30)
    await tried.life.stop()
    assert "the Redis of RedisStore is not closed: OSError: no" in caplog.text


@pytest.mark.parametrize("url", ["", "localhost:6379", "http://localhost"])
def test_a_url_that_is_none_is_refused_at_once(url: str) -> None:
    """And says what one is."""
    with pytest.raises(ValueError, match="begins with redis://, rediss:// or unix://"):
        RedisStore(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hunter2/x@host:6379/0",
        "redis://me:12/hunter2@host",
        "rediss://me:12#hunter2@host",
        "redis://me:12?hunter2@host?db=1",
        "redis://:hunter2?x@host",
        "redis://[hunter2@host",
        "unix://me:hunter2/x@/run/redis.sock",
    ],
)
def test_a_password_that_is_not_encoded_is_refused_and_not_shown(url: str) -> None:
    """A part of it would be taken for a host or a port, which messages tell."""
    with pytest.raises(ValueError, match=r"cannot be read: write /, .* as %2F") as caught:
        RedisStore(url)
    story = "".join(traceback.format_exception(caught.value))
    assert "hunter2" not in story
    assert "12" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://me:p%40s%2Fs@host:6379/0", "redis://host:6379/0"),
        ("rediss://host?password=s@cret&db=1", "rediss://host"),
        ("redis://[::1]:6379", "redis://[::1]:6379"),
        ("unix://me:secret@/run/a@b.sock?db=1", "unix:///run/a@b.sock"),
    ],
)
def test_a_store_is_shown_without_its_password(url: str, place: str) -> None:
    """In `repr`, and so in messages."""
    assert repr(RedisStore(url)) == f"Redis at {place}"


def test_the_extra_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line, when the function is loaded."""
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(StartError, match=r"install fc-event-service\[redis\]"):
        RedisStore("redis://localhost")


async def test_two_functions_in_redis_and_in_memory_are_kept_apart(
    redis_server: RedisServer,
) -> None:
    """Results are bytes as they were, in both."""

    async def handle(event: dict[str, int], context: Any) -> bytes:
        return bytes(range(256))

    async with store_at(redis_server.url) as store:
        for each in (store, MemoryStore()):
            kept = once(key="$.id", store=each)(handle)
            for _ in range(2):
                assert await kept({"id": 1}, None) == bytes(range(256))
