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
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from benchmarks import loads

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


async def waits(pause: Pause, event: dict[str, Any], context: Any) -> Any:
    """Answer after a wait."""
    await pause()
    return {"count": len(event["items"]), "requestId": context.request_id}


async def next_turn() -> None:
    """Wait for the next turn of the event loop."""
    await asyncio.sleep(0)


class Timer:
    """What handlers wait for, as for a timer: they go on in the order in which they began to."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __call__(self) -> None:
        """Wait for it."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future

    @property
    def waiting(self) -> int:
        """How many wait for it."""
        return len(self._waiting)

    def ring(self) -> None:
        """Let the next one go on."""
        self._waiting.popleft().set_result(None)


TIMER = Timer()


class Work(NamedTuple):
    """What is served: what its handler waits for, and how many events are in flight. Of those that
    wait for TIMER a few end in each turn of the loop, and as many begin.

    There is none for a plain handler: how often threads take turns is another number each time.
    """

    pause: Pause | None = None
    in_flight: int = 100


Pause = Callable[[], Awaitable[None]]
Made = Callable[[Work], Awaitable[list[Any]]]
"""Returns connections that do some work."""

WORKS = {
    "small event": Work(),
    "event that waits a turn": Work(next_turn),
    "event that waits among 200": Work(TIMER, in_flight=200),
}

SETTINGS: dict[str, Any] = {}
"""Settings of the service, if they are not the default ones."""

ALL_OFF = {"metrics": False, "log_calls": "off"}
"""Settings by which nothing is told of calls."""


async def ours(work: Work) -> list[Any]:
    """Return the service's own connections."""
    return await _ours(work, **SETTINGS)


async def all_off(work: Work) -> list[Any]:
    """Return connections of the service when it tells nothing of its calls."""
    return await _ours(work, **SETTINGS, **ALL_OFF)


async def _ours(work: Work, **settings: Any) -> list[Any]:
    from service.app import assemble_app
    from service.calls.decode import decoder
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
    function = Function("inside.at_once", at_once, "async", bytes)
    if work.pause is not None:
        function = Function("inside.waits", partial(waits, work.pause), "async", decoder(dict))
    settings = {"concurrency": work.in_flight, **settings}
    app = assemble_app(Settings(**settings), Platform(), Handlers(function), Logs(pipe))
    lifecycle = app[SERVICE].lifecycle
    server = Server(app, lifecycle, Limits(60, 60, 2 * work.in_flight), pipe.when_out)
    await server.setup()
    await lifecycle.initialized()
    return [server() for _ in range(work.in_flight)]


async def plain_aiohttp(work: Work) -> list[Any]:
    """Return aiohttp's connections, of the application that the benchmark runs."""
    from aiohttp import web

    module, pause = _contender("aiohttp_app"), work.pause or next_turn

    async def invoke(request: Any) -> Any:
        event = orjson.loads(await request.read())
        await pause()
        number = len(event["items"])
        return module.answer({"count": number, "requestId": request[module.REQUEST_ID]})

    app = web.Application(middlewares=[module.marked])
    app.router.add_post("/invoke", module.invoke if work.pause is None else invoke)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    assert runner.server is not None
    return [runner.server() for _ in range(work.in_flight)]


async def limit(work: Work) -> list[Any]:
    """Return connections of the limit: what the work costs with nothing around it."""
    module, pause = _contender("limit"), work.pause or next_turn
    if work.pause is None:
        return [module.Connection() for _ in range(work.in_flight)]

    class Waiting(module.Connection):  # type: ignore[misc, name-defined]
        """It answers in a task."""

        def on_message_complete(self) -> None:
            self.task = asyncio.ensure_future(self.wait())

        async def wait(self) -> None:
            event = self.begin()
            await pause()
            self.answer(event)

    return [Waiting() for _ in range(work.in_flight)]


TOGETHER = 4
"""Calls that end in a turn of the loop, of those that wait for TIMER."""

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


async def serve(made: Made, work: Work, count: int) -> None:
    """Serve so many events."""
    connections = await made(work)
    for connection in connections:
        connection.connection_made(Nowhere())
    gc.collect()
    gc.freeze()  # what is there by now is looked at no more, in short runs and in long ones
    if work.pause is TIMER:
        await _serve_timed(connections, count)
        return
    for _ in range(count // len(connections)):
        _arrive(connections)
        await _answered(len(connections))


def _arrive(connections: Iterable[Any]) -> None:
    """Let an event arrive on each, in the loop's next turn: outside of any task."""

    def arrive() -> None:
        for connection in connections:
            connection.data_received(EVENT)

    asyncio.get_running_loop().call_soon(arrive)


async def _answered(count: int) -> None:
    """Wait for so many answers more."""
    due = Nowhere.answers + count
    while Nowhere.answers < due:  # noqa: ASYNC110 - an event would be part of the count
        await asyncio.sleep(0)


async def _serve_timed(connections: list[Any], count: int) -> None:
    """Let so many events end, TOGETHER in a turn of the loop, while all others wait."""
    await _end_first(connections[0])  # its head is the first one: it takes a longer way
    _arrive(connections)
    groups = [connections[at : at + TOGETHER] for at in range(0, len(connections), TOGETHER)]
    for group in islice(cycle(groups), count // TOGETHER):
        await _waiting(len(connections))
        for _ in group:
            TIMER.ring()
        await _answered(TOGETHER)
        _arrive(group)


async def _end_first(connection: Any) -> None:
    """Let an event arrive and end."""
    _arrive([connection])
    await _waiting(1)
    TIMER.ring()
    await _answered(1)


async def _waiting(count: int) -> None:
    """Wait until so many wait for TIMER."""
    while TIMER.waiting < count:  # noqa: ASYNC110 - as in `_answered`
        await asyncio.sleep(0)


async def timed(made: Made, work: Work, seconds: float) -> float:
    """Return the microseconds of CPU time an event, 100 at once, after a quarter of a second."""
    connections = await made(work)
    for connection in connections:
        connection.connection_made(Nowhere())

    async def serve_until(end: float) -> int:
        served = 0
        while time.process_time() < end:
            _arrive(connections)
            await _answered(len(connections))
            served += len(connections)
        return served

    await serve_until(time.process_time() + 0.25)
    began = time.process_time()
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
