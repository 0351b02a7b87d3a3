"""Events that come twice, to two processes: over a real Redis server."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack
from glob import glob
from pathlib import Path
from typing import Any

from service.emulator.instances.faults import LIBRARIES
from tests.conftest import Serve
from tests.harness import Client, ServerProcess, request
from tests.idempotency.redis_server import RedisServer, or_skip

FUNCTION = """
    import asyncio, os, pathlib
    from fc_event_service import RedisStore, once

    store = RedisStore(os.environ["REDIS_URL"])

    async def until_told(event, context):
        print("running", event["id"])
        while not pathlib.Path(os.environ["GATES"], event["id"]).exists():
            await asyncio.sleep(0.01)
        return {"by": context.request_id}

    firmly = once(key="$.id", store=store, name="firm")(until_told)
    briefly = once(key="$.id", store=store, name="brief", lease=0.3)(until_told)

    async def handler(event: dict, context):
        return await (briefly if event["id"].startswith("brief") else firmly)(event, context)
"""


class Traffic:
    """Two instances of a function over one Redis, and what is sent to them."""

    def __init__(self, serve: Serve, redis: RedisServer, gates: Path) -> None:
        self._gates = gates
        variables = {"REDIS_URL": redis.url, "GATES": str(gates)}
        library = next((path for pattern in LIBRARIES for path in glob(pattern)), "")
        ahead = {"FAKETIME": "+1h", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "LD_PRELOAD": library}
        self.one = serve(FUNCTION, environ={**variables, **(ahead if library else {})})
        self.two = serve(FUNCTION, "--workers", "2", environ=variables)

    def send(self, server: ServerProcess, key: str, request_id: str) -> asyncio.Task[bytes]:
        """Send an event on a connection of its own."""

        async def answer() -> bytes:
            async with server.client() as client:
                return await ask(client, key, request_id)

        return asyncio.create_task(answer())

    async def runs(self, server: ServerProcess, key: str) -> None:
        """Wait until the handler runs for a key."""
        await asyncio.to_thread(server.wait_for, rf"running {key}$")

    def let_go(self, key: str) -> None:
        """Let the handlers of a key return."""
        (self._gates / key).touch()

    def ran(self, key: str) -> int:
        """How often a handler has begun for a key."""
        lines = [*self.one.lines, *self.two.lines]
        return sum(line.endswith(f"running {key}") for line in lines)


async def ask(client: Client, key: str, request_id: str) -> bytes:
    """The answer to an event."""
    body = b'{"id": "%b"}' % key.encode()
    return (await client.ask(request(body, request_id=request_id))).body


async def test_an_event_is_handled_once_by_two_instances(serve: Serve, tmp_path: Path) -> None:
    """One of them has a clock that is an hour ahead, the other one two workers. Duplicates at one
    time, a holder that is frozen beyond its lease, one that is killed, and a SIGTERM.
    """
    with or_skip() as redis:
        traffic = Traffic(serve, redis, tmp_path)
        await duplicates_at_one_time(traffic)
        await a_frozen_holder(traffic, redis)
        await a_killed_holder(traffic)
        await a_stop(traffic, redis)


async def duplicates_at_one_time(traffic: Traffic) -> None:
    """One runs; all get its bytes, then and later."""
    servers = [traffic.one, traffic.two] * 5
    calls = [traffic.send(each, "first", f"r{n}") for n, each in enumerate(servers)]
    done = asyncio.gather(*calls)
    runs = [asyncio.create_task(traffic.runs(each, "first")) for each in servers[:2]]
    await asyncio.wait(runs, return_when=asyncio.FIRST_COMPLETED)
    traffic.let_go("first")
    answers = await done
    again = await asyncio.gather(*(traffic.send(each, "first", "again") for each in servers[:2]))
    assert len({*answers, *again}) == 1
    assert traffic.ran("first") == 1
    for task in runs:
        task.cancel()


async def a_frozen_holder(traffic: Traffic, redis: RedisServer) -> None:
    """It is thawed when another one is done, and answers as that did."""
    frozen = traffic.send(traffic.one, "brief-frozen", "frozen")
    await traffic.runs(traffic.one, "brief-frozen")
    traffic.one.signal(signal.SIGSTOP)
    other = traffic.send(traffic.two, "brief-frozen", "other")
    await traffic.runs(traffic.two, "brief-frozen")
    traffic.let_go("brief-frozen")
    assert await other == b'{"by":"other"}'
    traffic.one.signal(signal.SIGCONT)
    assert await frozen == b'{"by":"other"}'
    assert b'"by":"other"' in redis.plain.hget('once:brief:"brief-frozen"', "value")
    assert "taken over from request frozen, whose lease of 0.3 s was over" in traffic.two.log()


async def a_killed_holder(traffic: Traffic) -> None:
    """Killed between its claim and its result: the next one runs once the lease is over."""
    lost = traffic.send(traffic.one, "brief-killed", "killed")
    await traffic.runs(traffic.one, "brief-killed")
    traffic.one.signal(signal.SIGKILL)
    next_one = traffic.send(traffic.two, "brief-killed", "next")
    await traffic.runs(traffic.two, "brief-killed")
    traffic.let_go("brief-killed")
    assert await next_one == b'{"by":"next"}'
    (failed,) = await asyncio.gather(lost, return_exceptions=True)
    assert isinstance(failed, OSError | EOFError)


async def a_stop(traffic: Traffic, redis: RedisServer) -> None:
    """A SIGTERM lets those finish that run and that wait, and then closes the connections."""
    async with AsyncExitStack() as open_ones:
        clients = [await open_ones.enter_async_context(traffic.two.client()) for _ in range(6)]
        for client in clients:  # so that each is accepted
            assert await ask(client, "first", "warm")
        calls = [asyncio.create_task(ask(c, "stop", f"s{n}")) for n, c in enumerate(clients)]
        await traffic.runs(traffic.two, "stop")
        traffic.two.signal(signal.SIGTERM)
        await asyncio.to_thread(traffic.two.wait_for, "SIGTERM: stopping")
        traffic.let_go("stop")
        answers: list[Any] = await asyncio.gather(*calls)
    assert len(set(answers)) == 1
    assert b'"by":"s' in answers[0]
    assert traffic.ran("stop") == 1
    assert await traffic.two.ends() == 0
    assert b'"state":"done"' in redis.plain.hget('once:firm:"stop"', "value")
