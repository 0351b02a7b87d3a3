"""How an answer leaves: which is a block, what counts for the budget, and who does not get one."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from service.calls.admission import Budget
from service.http.answers import MAX_BLOCK, Answer
from service.instance.assembly import SERVICE
from tests.assembly import Logged
from tests.harness import request
from tests.http.transport import Client, served, until

EVENT = request(b"event")


async def echo(event: bytes, _context: Any) -> bytes:
    """Return the event."""
    return event


@pytest.mark.parametrize(
    ("sent", "is_block"),
    [
        (EVENT, True),
        (EVENT.replace(b"HTTP/1.1", b"HTTP/1.0"), False),
        (request(b"event", Connection="close"), False),
        (request(bytes(MAX_BLOCK + 1)), False),
        (b"HEAD /health HTTP/1.1\r\nHost: a\r\n\r\n", False),
    ],
    ids=["small", "http-1.0", "last", "large", "head"],
)
async def test_a_small_answer_on_a_connection_that_stays_is_a_block(
    log: Logged, monkeypatch: pytest.MonkeyPatch, sent: bytes, is_block: bool
) -> None:
    """All others are written field by field: their heads differ, or they take their time."""
    prepared = list[web.StreamResponse]()
    prepare = Answer.prepare

    async def noted(self: Answer, request: web.BaseRequest) -> Any:
        prepared.append(self)
        return await prepare(self, request)

    monkeypatch.setattr(Answer, "prepare", noted)
    async with served(log, echo) as server:
        client = Client(server)
        client.send(sent)
        await until(lambda: client.transport.written)
        assert (not prepared) is is_block
        await until(lambda: not server.app[SERVICE].lifecycle.in_flight)


@pytest.mark.parametrize("read", [True, False], ids=["read", "given-up"])
async def test_a_large_answer_counts_until_it_is_taken(log: Logged, read: bool) -> None:
    """An answer that its client does not read is in the budget, once, and not for ever."""
    budget = Budget(1 << 30)
    size = 4 * MAX_BLOCK

    async def large(_event: bytes, _context: Any) -> bytes:
        return bytes(size)

    async with served(log, large, budget=budget) as server:
        client = Client(server)
        client.connection.pause_writing()
        client.send(EVENT)
        await until(lambda: budget.used == size)
        if read:
            client.connection.resume_writing()
        else:
            client.leave()
        await until(lambda: not budget.used)
        assert not server.app[SERVICE].lifecycle.in_flight
