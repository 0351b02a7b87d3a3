"""What the API's tests put in the place of instances, of time and of a whole emulator."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from service.emulator.api.platform import EmulatedPlatform
from service.emulator.api.serving import ApiServer
from service.emulator.api.signature import Verifier
from service.emulator.calls import InstanceView, Invocation, Invoker, Outcome
from service.emulator.queue.dispatcher import Dispatcher
from service.emulator.queue.store import Store
from service.emulator.queue.task import AsyncTask
from service.emulator.spec.model import AsyncConfig, DeployedFunction
from tests.harness import ANSWERS_WITHIN, Answer, Client, request

Play = Callable[[Invocation], Awaitable[Outcome]]
FUNCTIONS = "/2023-03-30/functions"


def function(name: str = "fn", **values: Any) -> DeployedFunction:
    """A function of a file, in task mode."""
    values = {"asynchronous": AsyncConfig(task=True)} | values
    return DeployedFunction(
        name=name,
        region="cn-hangzhou",
        runtime="custom.debian12",
        code=Path("."),
        command=("python3", "server.py"),
        **values,
    )


async def echo(call: Invocation) -> Outcome:
    """Answer with the event."""
    return Outcome(call.request_id, call.event, instance_id="c-1", duration=0.0042, memory=20.5)


def failing(call: Invocation) -> Outcome:
    """What a function that raised is answered with."""
    body = b'{"errorMessage":"no"}'
    return Outcome(call.request_id, body, error_type="UnhandledInvocationError")


class StandIn:
    """A pool whose calls are answered as a test says, at most `places` of them at once."""

    def __init__(self, play: Play = echo, places: int = 1000) -> None:
        self.play = play
        self.places = places
        self.calls: list[Invocation] = []
        self.running = 0
        self.most = 0

    async def invoke(self, call: Invocation) -> Outcome:
        """Note the call, and answer it."""
        self.calls.append(call)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            return await self.play(call)
        finally:
            self.running -= 1

    @property
    def room(self) -> int:
        """The places that are free."""
        return self.places - self.running


@dataclass
class Held:
    """Calls that wait until a test lets them go."""

    go: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    cut: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, call: Invocation) -> Outcome:
        """Answer with the event, once `go` is set."""
        self.begun.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cut.set()
            raise
        return await echo(call)


class Time:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def clock(self) -> float:
        """The Unix time."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Wait until so much time has been let pass."""
        self._count += 1
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, self._count, woken))
        await woken

    async def passes(self, seconds: float) -> None:
        """Let time pass: who waits for it is woken at its own moment."""
        end = self.now + seconds
        await settled()
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, woken = heapq.heappop(self._sleepers)
            self.now = max(self.now, due)
            if not woken.done():
                woken.set_result(None)
                await settled()
        self.now = end


async def settled() -> None:
    """Let everything that is ready run: no chain of turns in the dispatcher is nearly as long."""
    for _ in range(50):
        await asyncio.sleep(0)


@dataclass(frozen=True)
class Desk:
    """A running API with stand-ins behind it."""

    port: int
    functions: Mapping[str, DeployedFunction]
    store: Store
    tasks: Dispatcher
    log: list[str]
    api: ApiServer

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """An open connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield Client(reader, writer)
        finally:
            writer.close()

    async def ask(
        self, path: str, body: bytes = b"", method: str = "GET", **headers: str
    ) -> Answer:
        """Send a request on a connection of its own; return the answer."""
        async with self.client() as client:
            return await client.ask(request(body, path=path, method=method, **headers))

    async def invoke(self, body: bytes = b"{}", name: str = "fn", **headers: str) -> Answer:
        """InvokeFunction."""
        return await self.ask(f"{FUNCTIONS}/{name}/invocations", body, "POST", **headers)

    async def ended(self, name: str, task_id: str) -> AsyncTask:
        """Wait for the end of a task."""
        async with asyncio.timeout(ANSWERS_WITHIN):
            while not (task := self.tasks.find(name, task_id)) or not task.ended:  # noqa: ASYNC110
                await asyncio.sleep(0)
        return task


@asynccontextmanager
async def desk(
    path: Path,
    pools: Mapping[str, Invoker],
    functions: Mapping[str, DeployedFunction] | None = None,
    access_key: tuple[str, str] | None = None,
    instances: Callable[[str], Sequence[InstanceView]] | None = None,
) -> AsyncIterator[Desk]:
    """An API on a port of its own, for functions of the pools' names."""
    functions = functions or {name: function(name) for name in pools}
    store = Store(path / "async.db")
    log: list[str] = []
    tasks = Dispatcher(store, functions, pools, log.append)
    platform = EmulatedPlatform(
        functions,
        pools,
        tasks,
        instances or (lambda name: ()),
        Verifier(access_key) if access_key else None,
    )
    api = ApiServer(platform)
    await api.start()
    _, port = await api.open_port("127.0.0.1", 0)
    await tasks.start()
    try:
        yield Desk(port, functions, store, tasks, log, api)
    finally:
        api.close_port()
        await tasks.stop()
        await api.stop()
        store.close()
