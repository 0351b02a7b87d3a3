"""Contenders inside one process: each serves a small event from its bytes to its answer's, on
transports to nowhere.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson

from benchmarks import loads

Handle = Callable[[bytes, Any], Awaitable[Any]]
Made = Callable[[Handle, int], Awaitable[list[Any]]]
"""Returns so many connections whose events a handler gets."""

EVENT = loads.head("/invoke", loads.request_id(1), len(loads.BODY)) + loads.BODY
"""The benchmark's request."""


class Nowhere(asyncio.Transport):
    """A transport that counts the answers."""

    answers = 0

    def write(self, data: Any) -> None:
        """Forget an answer, or the part of one."""
        if data[:5] == b"HTTP/":
            Nowhere.answers += 1

    def writelines(self, parts: Any) -> None:
        """Forget an answer in parts."""
        self.write(next(iter(parts)))

    def is_closing(self) -> bool:
        """Stay open."""
        return False

    def pause_reading(self) -> None:
        """Do nothing: nothing arrives by itself."""

    def resume_reading(self) -> None:
        """Do nothing."""

    def get_extra_info(self, _name: str, default: Any = None) -> Any:
        """Know nothing."""
        return default


async def at_once(event: bytes, context: Any) -> Any:
    """Answer without a wait, as the handlers of the benchmark do."""
    return {"count": len(orjson.loads(event)["items"]), "requestId": context.request_id}


async def next_turn(event: bytes, context: Any) -> Any:
    """Answer in the next turn of the event loop."""
    await asyncio.sleep(0)
    return {"count": len(orjson.loads(event)["items"]), "requestId": context.request_id}


SETTINGS: dict[str, Any] = {}
"""Settings of the service, if they are not the default ones."""

ALL_OFF = {"metrics": False, "log_calls": "off"}
"""Settings by which nothing is told of calls."""

WORKS: dict[str, Handle] = {"small event": at_once, "event that waits a turn": next_turn}


async def ours(handle: Handle, number: int) -> list[Any]:
    """Return the service's own connections."""
    return await _ours(handle, number, **SETTINGS)


async def all_off(handle: Handle, number: int) -> list[Any]:
    """Return connections of the service when it tells nothing of its calls."""
    return await _ours(handle, number, **SETTINGS, **ALL_OFF)


async def _ours(handle: Handle, number: int, **settings: Any) -> list[Any]:
    from service.app import assemble_app
    from service.calls.function import Function, Handlers
    from service.calls.left_behind import task_factory
    from service.context.call import Platform
    from service.http.backend import Limits
    from service.http.server import Server
    from service.instance.assembly import SERVICE
    from service.logs.gathering import GatheringPipe
    from service.logs.log import Logs
    from service.settings.table import Settings

    asyncio.get_running_loop().set_task_factory(task_factory)
    pipe = GatheringPipe(os.open(os.devnull, os.O_WRONLY))
    handlers = Handlers(Function("inside.handle", handle, "async", bytes))
    app = assemble_app(Settings(**settings), Platform(), handlers, Logs(pipe))
    lifecycle = app[SERVICE].lifecycle
    server = Server(app, lifecycle, Limits(60, 60, 2 * number), pipe.when_out)
    await server.setup()
    await lifecycle.initialized()
    return [server() for _ in range(number)]


async def plain_aiohttp(handle: Handle, number: int) -> list[Any]:
    """Return aiohttp's connections, of the application that the benchmark runs."""
    from aiohttp import web

    module = _contender("aiohttp_app")
    app = web.Application(middlewares=[module.marked])
    app.router.add_post("/invoke", module.invoke if handle is at_once else _waiting(module))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    assert runner.server is not None
    return [runner.server() for _ in range(number)]


def _waiting(module: Any) -> Any:
    async def invoke(request: Any) -> Any:
        event = orjson.loads(await request.read())
        await asyncio.sleep(0)
        number = len(event["items"])
        return module.answer({"count": number, "requestId": request[module.REQUEST_ID]})

    return invoke


async def limit(handle: Handle, number: int) -> list[Any]:
    """Return connections of the limit: what the work costs with nothing around it."""
    module = _contender("limit")
    if handle is at_once:
        return [module.Connection() for _ in range(number)]

    class Waiting(module.Connection):  # type: ignore[misc, name-defined]
        """It answers in a task, after a turn."""

        def on_message_complete(self) -> None:
            self.task = asyncio.ensure_future(self.wait())

        async def wait(self) -> None:
            await asyncio.sleep(0)
            module.Connection.on_message_complete(self)

    return [Waiting() for _ in range(number)]


CONTENDERS: dict[str, Made] = {
    "limit": limit,
    "ours": ours,
    "all off": all_off,
    "aiohttp": plain_aiohttp,
}


def _contender(name: str) -> Any:
    folder = str(Path(__file__).with_name("contenders"))
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return __import__(name)


async def serve(made: Made, handle: Handle, count: int, at_a_time: int) -> None:
    """Serve so many events, some of them at a time."""
    connections = await made(handle, at_a_time)
    for connection in connections:
        connection.connection_made(Nowhere())
    gc.collect()
    gc.freeze()  # what is there by now is looked at no more, in short runs and in long ones
    served = Nowhere.answers
    for _ in range(count // at_a_time):
        for connection in connections:
            connection.data_received(EVENT)
        served += at_a_time
        while Nowhere.answers < served:  # noqa: ASYNC110 - an event would be part of the count
            await asyncio.sleep(0)


async def timed(made: Made, handle: Handle, seconds: float) -> float:
    """Return the microseconds of CPU time an event, 100 at once, after a quarter of a second."""
    connections = await made(handle, 100)
    for connection in connections:
        connection.connection_made(Nowhere())

    async def serve_until(end: float) -> int:
        served = 0
        while time.process_time() < end:
            for connection in connections:
                connection.data_received(EVENT)
            served += len(connections)
            while Nowhere.answers < served + before:  # noqa: ASYNC110 - the loop has nothing else
                await asyncio.sleep(0)
        return served

    before = Nowhere.answers
    await serve_until(time.process_time() + 0.25)
    before, began = Nowhere.answers, time.process_time()
    served = await serve_until(began + seconds)
    return (time.process_time() - began) / served * 1e6


def main(contender: str, work: str, seconds: str) -> None:
    """Print the microseconds an event as JSON."""
    from service.process.loop import new_loop

    asyncio.set_event_loop(loop := new_loop("auto"))
    found = loop.run_until_complete(timed(CONTENDERS[contender], WORKS[work], float(seconds)))
    print(json.dumps({"us": found}))


if __name__ == "__main__":
    main(*sys.argv[1:])
