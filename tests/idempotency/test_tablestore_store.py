"""The store in a table of Tablestore: its own client, against a stub."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from service.context.call import RUNNING, Context
from service.errors import OnceStoreFailed, StartError

tablestore = pytest.importorskip(
    "tests.idempotency.tablestore_stub", reason="there is no tablestore for this Python"
)

from service.idempotency.stores import Claimed  # noqa: E402
from service.idempotency.tablestore_store import TablestoreStore  # noqa: E402

HEADERS = {
    "x-fc-access-key-id": "id",
    "x-fc-access-key-secret": "secret",
    "x-fc-security-token": "token",
}


class Tried:
    """The store, its stub, and a clock that is set by hand."""

    def __init__(self, stub: Any, url: str) -> None:
        self.stub = stub
        self.now = 0.0
        self.store = TablestoreStore("once", url, "instance", clock=lambda: self.now)


@pytest.fixture
async def tried() -> AsyncIterator[Tried]:
    """A store within a call, whose credentials it has."""
    RUNNING.set(Context(HEADERS, "request"))
    async with tablestore.served_tablestore() as (stub, url):
        tried = Tried(stub, url)
        yield tried
        await tried.store.aclose()


async def test_it_keeps_what_a_store_keeps(tried: Tried, caplog: pytest.LogCaptureFixture) -> None:
    """A claim stands, is renewed, and its result is given again; both may be asked for twice. Of
    conditions that do not hold there is no line.
    """
    store = tried.store
    for _ in range(2):
        assert await store.claim("key", b"mine", 30) is None
    assert await store.claim("key", b"other", 30) == Claimed(b"mine", False)
    assert await store.renew("key", b"mine", 30)
    assert not await store.renew("key", b"other", 30)
    assert not await store.settle("key", b"other", b"theirs", 30)
    for _ in range(2):
        assert await store.settle("key", b"mine", bytes(range(256)), 30)
    assert await store.claim("key", b"other", 30) == Claimed(bytes(range(256)), False)
    assert not await store.renew("missing", b"mine", 30)
    assert not await store.settle("missing", b"mine", b"value", 30)
    assert tried.stub.tokens == {"token"}
    assert not caplog.records


async def test_a_released_key_is_free(tried: Tried) -> None:
    """Only its holder can release it."""
    await tried.store.claim("key", b"mine", 30)
    await tried.store.release("key", b"other")
    assert await tried.store.claim("key", b"other", 30) == Claimed(b"mine", False)
    await tried.store.release("key", b"mine")
    assert await tried.store.claim("key", b"other", 30) is None


async def test_a_claim_that_stands_unchanged_for_its_lease_is_taken_over(tried: Tried) -> None:
    """By the clock of who waits; a claim that is renewed meanwhile begins anew."""
    store = tried.store
    await store.claim("key", b"dead", 30)
    for now, renewed in ((0, False), (29, True), (30, False), (58, False)):
        tried.now = now
        if renewed:
            assert await store.renew("key", b"dead", 30)
        assert await store.claim("key", b"next", 30) == Claimed(b"dead", False)
    tried.now = 60
    assert await store.claim("key", b"next", 30) == Claimed(b"dead", True)
    assert not await store.settle("key", b"dead", b"late", 30)
    assert await store.claim("key", b"other", 30) == Claimed(b"next", False)


async def test_a_clock_that_is_wrong_takes_nothing_over_early(tried: Tried) -> None:
    """A claim looks old to a clock that is ahead; only what is older than any clock is wrong is
    taken at once.
    """
    tried.stub.age = 30 + 890
    await tried.store.claim("young", b"mine", 30)
    assert await tried.store.claim("young", b"next", 30) == Claimed(b"mine", False)
    tried.stub.age = 30 + 910
    await tried.store.claim("old", b"dead", 30)
    assert await tried.store.claim("old", b"next", 30) == Claimed(b"dead", True)


async def test_a_result_that_has_expired_is_nothing(tried: Tried) -> None:
    """Then the event may be handled anew."""
    tried.stub.age = 31
    await tried.store.claim("key", b"mine", 30)
    await tried.store.settle("key", b"mine", b"result", 30)
    assert await tried.store.claim("key", b"next", 30) is None


async def test_a_row_of_another_program_is_told_and_left(tried: Tried) -> None:
    """It is neither read nor overwritten."""
    tried.stub.rows["key"] = [("other", 1, int(time.time() * 1000))]
    with pytest.raises(OnceStoreFailed, match=r"'key' in the table 'once' .* not written by @once"):
        await tried.store.claim("key", b"mine", 30)
    assert tried.stub.rows["key"][0][0] == "other"


async def test_an_error_of_the_service_is_told_by_its_code(tried: Tried) -> None:
    """And one of the connection by what it is."""
    tried.stub.fails = "OTSAuthFailed"
    with pytest.raises(OnceStoreFailed, match="the table 'once' of Tablestore: OTSAuthFailed: OTS"):
        await tried.store.claim("key", b"mine", 30)
    nowhere = TablestoreStore("once", "http://127.0.0.1:1", "instance")
    with pytest.raises(OnceStoreFailed, match="cannot be used: ClientConnectorError"):
        await nowhere.claim("key", b"mine", 30)
    await nowhere.aclose()


async def test_few_claims_are_watched(tried: Tried, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are forgotten, which costs them a lease at most."""
    monkeypatch.setattr("service.idempotency.tablestore_store.MOST_WATCHED", 1)
    for key in ("a", "b"):
        await tried.store.claim(key, b"dead", 30)
        assert await tried.store.claim(key, b"next", 30) == Claimed(b"dead", False)
    tried.now = 30
    assert await tried.store.claim("a", b"next", 30) == Claimed(b"dead", False)
    tried.now = 60
    assert await tried.store.claim("a", b"next", 30) == Claimed(b"dead", True)


def test_where_the_table_is_must_be_said() -> None:
    """At once."""
    with pytest.raises(ValueError, match="takes endpoint and instance, or connect"):
        TablestoreStore("once")


def test_the_extra_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line, when the function is loaded."""
    monkeypatch.setitem(sys.modules, "tablestore", None)
    with pytest.raises(StartError, match=r"install fc-event-service\[tablestore\]"):
        TablestoreStore("once", "http://127.0.0.1:1", "instance")
