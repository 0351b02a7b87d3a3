"""The API's port: hostile bytes, and a stop while calls are in flight."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.emulator.standins import FUNCTIONS, Held, StandIn, desk
from tests.harness import ANSWERS_WITHIN, request

INVOCATIONS = f"{FUNCTIONS}/fn/invocations"
CALL = request(b"x", path=INVOCATIONS)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET / HTTP/1.1\nHost: localhost\n\n", 400),
        (CALL.replace(b"HTTP/1.1", b"HTTP/3.1"), 400),
        (CALL.replace(b"Content-Length: 1", b"Content-Length: 1\r\nContent-Length: 2"), 400),
        (CALL.replace(b"Host", b"Transfer-Encoding: chunked\r\nHost"), 400),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", 414),
        (CALL.replace(b"Host", b"x-large: " + b"x" * 33_000 + b"\r\nHost"), 431),
        (CALL.replace(b"Host", b"x: y\r\n" * 130 + b"Host"), 431),
    ],
    ids=[
        *("TLS", "bare line ends", "another version", "two lengths", "two framings"),
        *("a long target", "a large field", "many fields"),
    ],
)
async def test_what_is_no_request_is_refused_in_the_platforms_words(
    tmp_path: Path, sent: bytes, status: int
) -> None:
    """With a request id, on a connection that ends with it; callers beside notice nothing."""
    pool = StandIn()
    async with desk(tmp_path, {"fn": pool}) as api, api.client() as beside:
        await beside.ask(CALL)
        async with api.client() as client:
            answer = await client.ask(sent)
            assert await client.ended()
        assert (answer.status, answer.closes) == (status, True)
        assert answer.json()["Code"] == "InvalidArgument"
        assert answer.json()["RequestId"] == answer.headers["x-fc-request-id"]
        assert (await beside.ask(CALL)).status == 200
    assert len(pool.calls) == 2


async def test_what_comes_behind_a_call_and_is_no_request_is_refused(tmp_path: Path) -> None:
    """The call in front of it has its answer first."""
    async with desk(tmp_path, {"fn": StandIn()}) as api, api.client() as client:
        await client.ask(CALL)
        await client.send(CALL + b"\x00\x01\r\n\r\n")
        assert (await client.answer()).body == b"x"
        assert (await client.answer()).status == 400
        assert await client.ended()


async def in_flight(pool: StandIn, count: int) -> None:
    """Return once so many calls run."""
    async with asyncio.timeout(ANSWERS_WITHIN):
        while pool.running < count:  # noqa: ASYNC110 # a few turns of the loop
            await asyncio.sleep(0)


async def test_calls_in_flight_are_answered_at_the_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On both ways, with the word that the connection ends; idle connections just end."""
    monkeypatch.setattr("service.http.server.LAST_ANSWERS", ANSWERS_WITHIN)
    held = Held()
    held.go.set()
    pool = StandIn(held)
    async with desk(tmp_path, {"fn": pool}) as api, api.client() as idle:
        await idle.ask(CALL)
        async with api.client() as known, api.client() as read:
            held.go.clear()
            await known.send(CALL)
            await read.send(request(b"another", path=INVOCATIONS))
            await in_flight(pool, 2)
            api.api.close_port()
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", api.port)
            stopped = asyncio.create_task(api.api.stop())
            assert await idle.ended()
            held.go.set()
            for client, result in ((known, b"x"), (read, b"another")):
                answer = await client.answer()
                assert (answer.status, answer.body, answer.closes) == (200, result, True)
                assert await client.ended()
            await stopped


async def test_a_call_that_has_no_end_holds_no_stop_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its caller gets no answer, on both ways."""
    monkeypatch.setattr("service.http.server.LAST_ANSWERS", 0.0)
    held = Held()
    held.go.set()
    pool = StandIn(held)
    async with desk(tmp_path, {"fn": pool}) as api:
        await api.invoke(b"x")
        held.go.clear()
        async with api.client() as known, api.client() as read:
            await known.send(CALL)
            await read.send(request(b"another", path=INVOCATIONS))
            await in_flight(pool, 2)
            await api.api.stop()
            assert await known.ended()
            assert await read.ended()
        assert held.cut.is_set()
