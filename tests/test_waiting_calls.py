"""What a call holds while its handler waits, counted: objects, and their bytes, ours beside those
of plain aiohttp. What waits has gone cold in the processor's caches when it goes on.
"""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import Context
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
from aiohttp import web

from service.calls.left_behind import task_factory
from service.http.backend import Limits
from service.http.server import Server
from service.instance.assembly import SERVICE
from service.logs.gathering import GatheringPipe
from service.logs.log import Logs
from service.process.loop import new_loop
from service.settings.table import Settings
from tests.assembly import assembled
from tests.test_cost import EVENT, Wire

CALLS = 100
"""Calls that wait together, each on a connection of its own."""

OBJECTS, BYTES = 0.5, 0.6
"""What one of ours may hold, of what one of aiohttp's does, on Python 3.13 and newer."""

Wait = Callable[[Any], Awaitable[Any]]
Connect = Callable[[Wait], AbstractAsyncContextManager[Callable[[], Any]]]
"""Has what makes connections to a server whose handler waits."""


class Held(NamedTuple):
    """What a waiting call holds, on average."""

    objects: float
    bytes: float


async def held(connect: Connect) -> Held:
    """Let calls wait, and count what there is then that was not there before."""
    go, waiting = asyncio.Event(), 0

    async def wait(event: Any) -> Any:
        nonlocal waiting
        waiting += 1
        await go.wait()
        return len(event["items"])

    wires = [Wire() for _ in range(CALLS)]
    connections: list[Any] = []

    async def call() -> Held:
        nonlocal waiting
        go.clear()
        waiting = 0
        gc.collect()
        there = gc.get_objects()
        known = set(map(id, there)) | set(map(id, plain_of(there)))
        for connection in connections:
            connection.data_received(EVENT)
        while waiting < CALLS:  # noqa: ASYNC110 - a task that waited would be counted
            await asyncio.sleep(0)
        known |= {id(there), id(known)}
        now = [each for each in gc.get_objects() if id(each) not in known]
        new = {id(each): each for each in [*now, *plain_of(now)] if id(each) not in known}
        found = Held(len(new) / CALLS, sum(map(sys.getsizeof, new.values())) / CALLS)
        go.set()
        while not all(wire.answers for wire in wires):  # noqa: ASYNC110 - the loop has no event
            await asyncio.sleep(0)
        for wire in wires:
            wire.answers.clear()
        return found

    async with connect(wait) as make:
        for wire in wires:
            connections.append(make())
            connections[-1].connection_made(wire)
        await call()  # fills every cache there is
        return await call()


def plain_of(objects: list[Any]) -> list[Any]:
    """Return what the objects refer to that the collector does not know: numbers, texts, bytes."""
    return [each for each in gc.get_referents(*objects) if not gc.is_tracked(each)]


@asynccontextmanager
async def ours(wait: Wait) -> AsyncIterator[Callable[[], Any]]:
    """The service as it is shipped."""

    async def handler(event: bytes, _context: Any) -> Any:
        return await wait(orjson.loads(event))

    nowhere = os.open(os.devnull, os.O_WRONLY)
    pipe = GatheringPipe(nowhere)
    app = assembled(Logs(pipe), handler, Settings(stall_after=0.0))
    server = Server(app, app[SERVICE].lifecycle, Limits(60, 60, 2 * CALLS), pipe.when_out)
    await server.setup()
    await app[SERVICE].lifecycle.initialized()
    yield server
    await server.cleanup()
    os.close(nowhere)


@asynccontextmanager
async def plain_aiohttp(wait: Wait) -> AsyncIterator[Callable[[], Any]]:
    """The smallest application that does the same work."""

    async def handler(request: web.Request) -> web.Response:
        number = await wait(orjson.loads(await request.read()))
        return web.json_response(number, headers={"x-fc-request-id": "1"})

    app = web.Application()
    app.router.add_post("/invoke", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    assert runner.server is not None
    yield runner.server
    await runner.cleanup()


def on_a_loop(connect: Connect) -> Held:
    """What a waiting call holds on an event loop as the service makes it."""
    loop = new_loop("asyncio")
    loop.set_task_factory(task_factory)
    gc.disable()
    try:
        return Context().run(loop.run_until_complete, held(connect))
    finally:
        gc.enable()
        loop.close()


@pytest.mark.skipif(
    sys.version_info < (3, 13),
    reason="no eager tasks before 3.12, whose own collector crashes when it lists what is running",
)
def test_a_call_that_waits_holds_less_than_one_of_plain_aiohttp() -> None:
    """Its objects and their bytes, the context and all that is counted of it included.

    They are counted in a process of their own: this one has many more, each of which is looked at.
    """
    command = [sys.executable, "-m", __name__]
    counted = subprocess.check_output(command, cwd=Path(__file__).parents[1])
    ours_, aiohttps = (Held(*each) for each in orjson.loads(counted))
    assert ours_.objects <= OBJECTS * aiohttps.objects, (ours_, aiohttps)
    assert ours_.bytes <= BYTES * aiohttps.bytes, (ours_, aiohttps)


if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps([[*on_a_loop(ours)], [*on_a_loop(plain_aiohttp)]]))
