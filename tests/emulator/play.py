"""What the tests of instances are made of: functions, and a pool that leaves nothing behind."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from service.emulator.calls import Invocation, Outcome
from service.emulator.instances.conditions import Options
from service.emulator.instances.faults import Faults
from service.emulator.instances.instance import Instance
from service.emulator.instances.pool import InstancePool
from service.emulator.instances.ports import LOWEST, ClaimedPort
from service.emulator.instances.proc import process_table
from service.emulator.log import Log
from service.emulator.spec.model import DeployedFunction
from service.protocol import new_request_id

FUNCTIONS = Path(__file__).parent / "functions"
WITHIN = 60.0
"""Seconds for what comes at once, on a machine on which nothing does."""


OWN_PORTS = 1_000
"""So many ports below those of instances are each worker's of pytest."""

_turn = itertools.count(secrets.randbelow(OWN_PORTS))


def free_port() -> int:
    """A port on which nothing listens now, and that neither the system nor an emulator nor a test
    beside this one gives to anybody.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = LOWEST - (worker % 10 + 1) * OWN_PORTS
    for turn in itertools.islice(_turn, 100):
        with suppress(OSError):
            ClaimedPort(number := first + turn % OWN_PORTS).release()
            return number
    raise AssertionError("no port is free")


def function(program: str = "bare.py", *arguments: str, **changes: Any) -> DeployedFunction:
    """A function whose start command runs a program of the folder `functions`."""
    fields: dict[str, Any] = {
        "name": "played",
        "region": "cn-hangzhou",
        "runtime": "custom.debian12",
        "code": FUNCTIONS,
        "command": ("python", program, *arguments),
        "port": free_port(),
        "timeout": 30.0,
    }
    return DeployedFunction(**fields | changes)


def our_function(**changes: Any) -> DeployedFunction:
    """A function on this service."""
    return function(code=FUNCTIONS / "service", command=("python", "-m", "service"), **changes)


@dataclass
class Wanted:
    """A text that so many further lines are to contain."""

    part: str
    count: int
    event: asyncio.Event = field(default_factory=asyncio.Event)


class Entries:
    """The log's lines, each as a mapping, and who waits for one."""

    def __init__(self) -> None:
        self.all: list[dict[str, str]] = []
        self._wanted: list[Wanted] = []

    def write(self, lines: bytes) -> None:
        for line in lines.splitlines():
            self.all.append(json.loads(line))
            for wanted in self._wanted:
                wanted.count -= wanted.part in self.all[-1]["text"]
                if wanted.count <= 0:
                    wanted.event.set()

    @property
    def texts(self) -> list[str]:
        return [entry["text"] for entry in self.all]

    def of(self, request_id: str) -> list[str]:
        """The lines of one call."""
        return [entry["text"] for entry in self.all if entry["requestId"] == request_id]

    async def wait_for(self, part: str, count: int = 1) -> None:
        """Wait until so many lines contain a text."""
        wanted = Wanted(part, count - sum(part in text for text in self.texts))
        if wanted.count > 0:
            self._wanted.append(wanted)
            async with asyncio.timeout(WITHIN):
                await wanted.event.wait()


class Play:
    """A pool that runs, and what its function and the emulator write."""

    def __init__(self, played: DeployedFunction, **options: Any) -> None:
        self.log = Entries()
        self.faults = Faults()
        self.pool = InstancePool(
            played, Options(**options), Log(self.log.write, as_json=True), self.faults
        )

    @property
    def instances(self) -> Sequence[Instance]:
        return self.pool.instances

    @property
    def instance(self) -> Instance:
        """The only instance there is."""
        (only,) = self.pool.instances
        return only

    def begin(self, event: str | bytes = b"{}", **fields: Any) -> asyncio.Task[Outcome]:
        """Begin a call."""
        body = event.encode() if isinstance(event, str) else event
        call = Invocation(
            self.pool.function.name, body, fields.pop("request_id", new_request_id()), **fields
        )
        return asyncio.create_task(self.pool.invoke(call))

    async def call(self, event: str | bytes = b"{}", **fields: Any) -> Outcome:
        """Make a call."""
        async with asyncio.timeout(WITHIN):
            return await self.begin(event, **fields)


@asynccontextmanager
async def playing(played: DeployedFunction | None = None, **options: Any) -> AsyncIterator[Play]:
    """A pool that has been started. It is stopped, and no process of it is left."""
    play = Play(played or function(), **{"stop_grace": 20.0, "private_tmp": False} | options)
    async with asyncio.timeout(WITHIN):
        await play.pool.start()
    try:
        yield play
    finally:
        async with asyncio.timeout(WITHIN):
            await play.pool.stop()
        assert left_of(play.pool) == []


def limit(instance: Instance, seconds: float) -> None:
    """Give the calls that an instance gets from now on so much time."""
    calls = instance.calls
    calls._function = replace(calls._function, timeout=seconds)


def left_of(pool: InstancePool) -> list[int]:
    """The processes that have an instance id of this pool in their environment."""
    mark = f"FC_INSTANCE_ID={pool.prefix}".encode()
    found = []
    for pid in process_table():
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        if mark in environment:
            found.append(pid)
    return found


def state(pid: int) -> str:
    """A process's state as the kernel has it: "T" is stopped; "" when it is gone."""
    entry = process_table().get(pid)
    return entry.state if entry else ""


async def is_frozen(*pids: int) -> None:
    """Wait until processes are stopped where they are. A parent whose child is stopped between
    vfork and exec, as a shell's may be, is stopped in its wait for it ("D").
    """
    await _until(lambda: all(state(pid) in ("T", "D") for pid in pids))


async def runs(*pids: int) -> None:
    """Wait until processes are there, and are not stopped."""
    await _until(lambda: all(state(pid) in ("S", "R", "D") for pid in pids))


async def _until(holds: Callable[[], bool]) -> None:
    # Of a signal's effect on a process that is nobody's child nothing tells.
    async with asyncio.timeout(WITHIN):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
