"""One instance of the emulator that is measured: its calls, and what its processes use."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

from ...emulator.calls import Outcome, PlatformError
from ...emulator.instances.client import Lost, Unreadable
from ...emulator.instances.conditions import Options
from ...emulator.instances.instance import Instance
from ...emulator.instances.private import base
from ...emulator.instances.proc import ProcessUse
from ...emulator.local import FunctionCompute
from ...emulator.log import Log
from ...emulator.spec.model import DeployedFunction, Spec
from ...protocol import HEALTH_PATH
from .memory import MemoryLook

MEMORY_LOOKS = 0.1
"""Seconds between two looks at memory and threads: nothing tells when they change."""

HEALTH_WITHIN = 2.0
"""Seconds that the service has for its health."""

NO_END = 86_400.0
"""Seconds without a call after which an instance would be stopped: never, in a measurement."""


class MeasuredInstance:
    """The only instance of a function, which is called with one event again and again."""

    def __init__(self, played: FunctionCompute, name: str, event: bytes) -> None:
        self._played = played
        self._name = name
        self._event = event
        self.ended = 0
        self.threads = 0
        self.looks: list[MemoryLook] = []
        self.start = 0.0
        """Seconds from nothing to an instance that takes calls."""

    async def call(self) -> str:
        """Make a call; return why it failed, "" if it succeeded."""
        try:
            outcome = await self._played.invoke(self._name, self._event)
        except PlatformError as refused:
            return str(refused)
        finally:
            self.ended += 1
        return failure_in(outcome)

    async def first_call(self) -> str:
        """Make the call that starts the instance; return why it failed, "" if it succeeded."""
        began = time.monotonic()
        try:
            outcome = await self._played.invoke(self._name, self._event)
        except PlatformError as refused:
            return str(refused)
        self.start = max(0.0, time.monotonic() - began - outcome.duration)
        return failure_in(outcome)

    def use(self) -> ProcessUse:
        """Return what the instance has used by now."""
        for each in self._instances:
            if each.processes:
                return each.processes.use()
        return ProcessUse()

    @property
    def _instances(self) -> Sequence[Instance]:
        return self._played.instances(self._name)

    @property
    def memory(self) -> float:
        """The most memory that was seen, in MB."""
        return max((each.memory for each in self._instances), default=0.0)

    async def watch(self) -> None:
        """Look at memory and threads until this is cancelled."""
        while True:
            for each in self._instances:
                if each.processes:
                    self.threads = max(self.threads, each.processes.threads())
                    self.looks.append(MemoryLook(self.ended, each.sample()))
            await asyncio.sleep(MEMORY_LOOKS)

    async def stalls(self) -> int | None:
        """Return how often the loop was blocked, as the service says; None for another server."""
        for each in self._instances:
            each.thaw()
            with suppress(Lost, Unreadable, TimeoutError, ValueError, LookupError, TypeError):
                answer = await each.calls.check(HEALTH_PATH, HEALTH_WITHIN)
                return int(json.loads(answer.body)["stalls"])
        return None


def failure_in(outcome: Outcome) -> str:
    """Return why a call failed, as its caller is told; "" if it succeeded."""
    if not outcome.error_type:
        return ""
    try:
        said = json.loads(outcome.body)
        kind = f"{said['errorType']}: " if said.get("errorType") else ""
        return f"{kind}{said['errorMessage']}"
    except (ValueError, LookupError, TypeError):
        return outcome.body[:200].decode(errors="replace") or outcome.error_type


@asynccontextmanager
async def one_instance(
    function: DeployedFunction, at_once: int, event: bytes
) -> AsyncIterator[MeasuredInstance]:
    """Play the platform for one instance with up to so many calls. It is started by its first call,
    and ends with this; at once if calls are still in it.
    """
    folder = Path(tempfile.mkdtemp(prefix="fc-size-", dir=base()))
    played = FunctionCompute(
        Spec({function.name: at_concurrency(function, at_once)}),
        log=Log(lambda _lines: None),
        state=folder / "tasks.db",
        options=Options(max_instances=1, idle_timeout=NO_END),
    )
    try:
        await played.start()
        instance = MeasuredInstance(played, function.name, event)
        watching = asyncio.create_task(instance.watch())
        try:
            yield instance
        finally:
            watching.cancel()
    finally:
        if any(each.in_flight for each in played.instances(function.name)):
            played.kill()
        await played.stop()
        shutil.rmtree(folder, ignore_errors=True)


def at_concurrency(function: DeployedFunction, at_once: int) -> DeployedFunction:
    """Return the function as it would be deployed with another concurrency, started by calls
    alone.
    """
    return replace(
        function,
        concurrency=at_once,
        environment={**function.environment, "SERVICE_CONCURRENCY": str(at_once)},
        provisioned=0,
        max_instances=None,
        timers=(),
        sessions=None,
    )
