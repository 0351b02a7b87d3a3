"""Freezes under load, longer than any timer (section B of the catalogue)."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from tests.conftest import Serve
from tests.harness import request
from tests.system import figures
from tests.system.conftest import MATRIX
from tests.system.instance import STOCK, Instance, started
from tests.system.ledger import Caller

PATIENCE = 4.0
"""Seconds of each limit on what stands still on a connection."""


@asynccontextmanager
async def all_of(**case: Any) -> AsyncIterator[list[Instance]]:
    """Start an instance of each kind with this loop; they are frozen together, to save time."""
    cases = [each for each in MATRIX if each["loop"] == case["loop"]]
    async with AsyncExitStack() as stack:
        entering = [stack.enter_async_context(started(**{**each, **case})) for each in cases]
        yield [await each for each in entering]


async def test_a_freeze_under_load_loses_no_call(loop_kind: str) -> None:
    """B1, B5, B6: instances of one and of two workers, with async and with plain handlers, are
    frozen amid calls, for longer than the limits on heads and bodies. What is sent while they are
    frozen is answered at the thaw: whole requests, the rest of heads, the rest of bodies; so are
    the calls that ran.
    """
    async with all_of(loop=loop_kind, patience=PATIENCE) as instances:
        await asyncio.gather(*map(freeze_under_load, instances))
        for server in instances:
            assert await server.is_alive()
            assert set(server.ledger.fates().values()) == {"answered"}
            assert "RequestTimeout" not in server.log()
            assert "Traceback" not in server.log()
            assert len(server.workers()) == server.case.workers


async def freeze_under_load(server: Instance) -> None:
    """Freeze one instance under load."""
    thawed = asyncio.Event()
    workers = server.workers()

    async def load(caller: Caller) -> None:
        while not thawed.is_set():
            answer = await caller.ask(b"nap 0.01")
            assert answer
            assert answer.status == 200

    async with (
        server.callers(30) as busy,
        server.callers(40) as idle,
        server.callers(20) as half_heads,
        server.callers(20) as half_bodies,
    ):
        tasks = [asyncio.create_task(load(caller)) for caller in busy]
        for caller in idle:
            assert await caller.ask(b"echo warm")
        rest = {}
        for callers, kept in ((half_heads, 60), (half_bodies, 5)):
            for caller in callers:
                data = caller.data(b"echo 0123456789")
                await caller.client.send(data[:-kept])
                rest[caller] = data[-kept:]
        await server.good()
        server.freeze()
        for caller in idle:
            await caller.send(b"echo frozen")
        for caller, data in rest.items():
            await caller.client.send(data)
        await asyncio.sleep(PATIENCE + 0.2)
        server.thaw()
        for caller in [*idle, *rest]:
            answer = await caller.answer()
            assert answer
            assert answer.status == 200
            assert not answer.closes
        thawed.set()
        await asyncio.gather(*tasks)
    assert server.workers() == workers


async def test_200_warm_connections_outlive_each_freeze() -> None:
    """B1: of 200 calls sent during each of three freezes none is lost."""
    ours = await figures.frozen(freezes=3)
    assert (ours["answered"], ours["lost"], ours["alive"]) == (600, 0, True)


@pytest.mark.long  # whether stock aiohttp loses one at a time depends on how busy the machine is
async def test_a_time_limit_of_idle_connections_loses_calls_at_a_freeze() -> None:
    """B1: stock aiohttp, which has one, loses some of the same calls: the trial can fail."""
    for _ in range(10):
        stock = await figures.frozen(STOCK, freezes=3, connections=20)
        if stock["lost"]:
            break
    assert stock["lost"] > 0


async def test_each_call_has_its_own_credentials_after_a_freeze(
    serve: Serve, loop_kind: str
) -> None:
    """B8: on one connection, before and after a freeze, a call sees its own headers' credentials;
    one without any sees the instance's, never those of the call before it.
    """
    source = """
        async def handler(event, context):
            keys = context.credentials
            return [keys.access_key_id, keys.access_key_secret, keys.security_token]
    """
    environ = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "instance"}
    server = serve(source, "--loop", loop_kind, environ=environ)
    async with server.client() as client:

        async def keys(name: str) -> Any:
            headers = {f"x_fc_{word}": f"{name}-{word}" for word in WORDS} if name else {}
            return (await client.ask(request(b"", **headers))).json()

        for turn in ("before", "after"):
            for name in ("one", "two"):
                mine = [f"{turn}-{name}-{word}" for word in WORDS]
                assert await keys(f"{turn}-{name}") == mine
            assert await keys("") == ["instance", "", ""]
            server.signal(signal.SIGSTOP)
            await asyncio.sleep(0.3)
            server.signal(signal.SIGCONT)


WORDS = ("access_key_id", "access_key_secret", "security_token")


async def test_connections_that_end_in_a_freeze_leave_nothing_behind(loop_kind: str) -> None:
    """B4: 200 clients leave while the instance is frozen, idle, in a body, or with a call that
    waits to be read; at the thaw its descriptors are those of before, and nothing is in flight.
    """
    async with started(loop=loop_kind) as server:
        await server.at_rest()
        before = server.descriptors()
        async with server.callers(200) as callers:
            for number, caller in enumerate(callers):
                if number % 2:
                    assert await caller.ask(b"echo warm")
                else:
                    await caller.client.send(request(b"0123456789")[:-5])
            server.freeze()
            for caller in callers[1::4]:
                await caller.send(b"echo never read")
        server.thaw()
        await server.at_rest()
        await server.forgets(before)
        assert await server.is_alive()
        assert "Traceback" not in server.log()
        assert "[ERROR]" not in server.log()
