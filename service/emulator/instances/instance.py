"""One instance of a function: started, frozen, thawed and stopped as the platform does it
(docs/platform.md sections 1, 6 and 7).

Where the platform's documents are silent, this is what is done:

- A process has 128 and the signal's number for its exit code if a signal ended it.
- The first health check is one request; if it fails, the start has failed. An unhealthy instance
  gets no calls. It may recover while it has calls; once it has none, it is stopped.
- An instance of which a call ran over its time gets SIGTERM and no further call; what it has
  besides may end within its own time; then comes SIGKILL, `stop_grace` after SIGTERM at the
  earliest.
- /pre-stop is called before an end that is by the book: not after a crash, a time-out, or a start
  that failed. Calls may be in the instance then: if the emulator stops, it waits for none.
- SIGTERM goes to the first process alone, as to a container's; SIGKILL and the freeze to all.
- A frozen instance is not asked for its health, and a health check thaws none.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ...protocol import INITIALIZE, PRE_STOP
from .. import failures
from ..account import Account
from ..failures import InitializerFailed
from ..log import Log
from ..spec.model import DeployedFunction
from .calling import InstanceCalls
from .client import Lost, Unreadable
from .contract import environment
from .faults import Faults
from .freezer import Freezer
from .health import InstanceHealth
from .output import Output
from .ports import claim
from .private import PrivateFolder
from .proc import process_table
from .processes import Processes
from .start import InstanceStart, start_process, wait_for_port

InstanceState = Literal["starting", "running", "unhealthy", "stopping", "stopped"]

FRESH = 0.1
"""Seconds for which what was seen of an instance's memory holds: looking costs more than a call."""

DROPPED = 0.25
"""Seconds in which a process that has dropped a connection may turn out to have ended."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What holds for all instances of a function. Times in seconds.

    `cap` is how many there may be, `folder` the one in which each has its own, `mounted` whether
    each has a /tmp of its own.
    """

    function: DeployedFunction
    start_timeout: float
    stop_grace: float
    log: Log
    faults: Faults
    account: Account
    cap: int
    folder: Path
    mounted: bool


class Instance:
    """One instance. `on_change` is called with it when it has processes, when it takes no further
    call, and when it is gone; `on_run` when its processes begin to run, or are stopped.

    `state` says whether it takes calls ("running") or not; `calls` has those that are in it;
    `memory` is the most that was seen, in MB.
    """

    def __init__(
        self,
        conditions: Conditions,
        instance_id: str,
        on_change: Callable[[Instance], None],
        on_run: Callable[[], None],
        *,
        provisioned: bool = False,
    ) -> None:
        function = conditions.function
        self.id = instance_id
        self.name = f"c-{int(instance_id.rpartition('-')[2], 16)}"
        self.provisioned = provisioned
        self.state: InstanceState = "starting"
        self.created = time.time()
        self.memory = 0.0
        self.idle_since = time.monotonic()
        self.processes: Processes | None = None
        self.closing: asyncio.Task[None] | None = None
        self.calls = InstanceCalls(function, conditions.account, self, self._write)
        self._conditions = conditions
        self._function = function
        self._on_change = on_change
        self._freezes = not provisioned or function.provisioned_freeze
        self._releases: list[Callable[[], None]] = [self.calls.connections.drop]
        self._sampled = 0.0
        self._health = self._new_health()
        self._checks: asyncio.Task[None] | None = None
        self.freezer = Freezer(on_run, self._health)

    def _new_health(self) -> InstanceHealth | None:
        check = self._function.health
        if check is None:
            return None
        return InstanceHealth(
            check, lambda limit: self.calls.check(check.path, limit), self._on_health
        )

    def _write(self, text: str, request_id: str = "") -> None:
        self._conditions.log.line(
            text, function=self._function.name, instance=self.name, request_id=request_id
        )

    # --- its calls, as those see them who ask for an instance

    @property
    def in_flight(self) -> int:
        """The calls that it has."""
        return self.calls.in_flight

    @property
    def peak(self) -> int:
        """The most calls that it had at once."""
        return self.calls.peak

    @property
    def served(self) -> int:
        """The calls that have ended in it."""
        return self.calls.served

    # --- its start

    async def start(self) -> None:
        """Start the command; return once the instance may be called.

        Raises PlatformError when it does not start, InitializerFailed when its initializer fails;
        the instance ends then.
        """
        began = time.monotonic()
        try:
            await self._start()
        except BaseException as reason:
            fault = failures.out_of_means(reason) if isinstance(reason, OSError) else reason
            if isinstance(fault, asyncio.CancelledError):
                self.close("nobody waits for its start any more", _nothing)
            else:
                self.close(f"its start failed: {str(fault) or type(fault).__name__}", _nothing)
            if fault is reason:
                raise
            raise fault from None
        self.state = "running"
        self.idle_since = time.monotonic()
        self._write(f"runs: it took {(self.idle_since - began) * 1000:.0f} ms to start")
        if self._health is not None:
            self._checks = asyncio.create_task(self._health.watch())
        self.settle()

    async def _start(self) -> None:
        function, conditions = self._function, self._conditions
        opened = self._prepare()
        self.processes = start_process(opened)
        self.processes.ended.add_done_callback(self._on_end)
        self._on_change(self)
        self.freezer.watch(self.processes)
        self._write(f"starts on port {opened.port}: {' '.join(function.command)}")
        await wait_for_port(opened, self.processes, conditions.start_timeout, self._write)
        if function.initializer_timeout is not None:
            await self._initialize(function.initializer_timeout)
        if self._health is not None:
            await asyncio.sleep(self._health.check.initial_delay)
            fault = await self._health.fault()
            if fault:
                path, output = self._health.check.path, opened.output.recent
                raise failures.unhealthy(path, fault, output)

    def _prepare(self) -> InstanceStart:
        """Take what the instance needs: a port, a folder, a pipe. Raises OSError."""
        function, conditions = self._function, self._conditions
        port = claim(function.port)
        self._releases.append(port.release)
        self.calls.connections.port = port.number
        private = PrivateFolder(conditions.folder / self.name, mounted=conditions.mounted)
        self._releases.append(private.remove)
        output = Output(self._write)
        self._releases.append(output.close)
        self.calls.output = output
        variables = environment(
            function,
            self.id,
            port.number,
            conditions.account,
            home=str(private.home),
            temporary=private.temporary,
        )
        variables |= conditions.faults.environment()
        return InstanceStart(function, variables, port.number, output, private, conditions.cap)

    async def _initialize(self, limit: float) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(limit):
                await asyncio.sleep(self._conditions.faults.initializer_delay)
                reason = await self.calls.hook(INITIALIZE, limit)
        except TimeoutError:
            reason = failures.initializer_timed_out(limit)
        except (Lost, Unreadable) as fault:
            reason = str(self.calls.failure(fault, time.monotonic() - began))
        if reason:
            raise InitializerFailed(reason)

    # --- freeze and thaw

    def settle(self) -> None:
        """Freeze the instance if it has nothing to do; an unhealthy one is stopped then."""
        if self.calls.in_flight:
            return
        self.idle_since = time.monotonic()
        if self.state == "unhealthy":
            self.close("it is unhealthy")
        elif self.state == "running" and self._freezes:
            self.freeze()

    @property
    def frozen(self) -> bool:
        """Whether its processes are stopped where they are."""
        return self.freezer.frozen

    def freeze(self) -> None:
        """Stop all processes where they are; the next event thaws them."""
        self.freezer.freeze()

    def thaw(self) -> None:
        """Let the processes go on."""
        self.freezer.thaw()

    # --- memory

    def sample(self) -> float:
        """Return how much memory the instance has now, in MB."""
        self._sampled = time.monotonic()
        if self.processes is None:
            return 0.0
        now = self.processes.memory()
        self.memory = max(self.memory, now)
        return now

    def sample_if_due(self) -> None:
        """Look at the memory, unless that was just done."""
        if time.monotonic() - self._sampled > FRESH:
            self.sample()

    # --- faults

    def kill(self, reason: str = "it is killed") -> None:
        """End all processes at once, as a crash does."""
        if self.processes is not None:
            self._write(reason)
            self.processes.look(process_table())
            self.processes.signal_all(signal.SIGKILL)

    def drop_connections(self) -> None:
        """End all connections to the instance, with the calls on them."""
        self.calls.connections.drop()

    def _on_health(self, fault: str) -> None:
        self.state = "unhealthy" if fault else "running"
        self._write(f"is unhealthy: {fault}" if fault else "is healthy again")
        self.settle()

    # --- its end

    def close(
        self, reason: str, how: Callable[[], Awaitable[None]] | None = None
    ) -> asyncio.Task[None]:
        """Take no further call and end, by the book unless told how; return what ends with it."""
        if self.closing is None:
            self._write(f"stops: {reason}")
            how = how or (self._stop if self.state != "starting" else _nothing)
            self.state = "stopping"
            if self._checks is not None:
                self._checks.cancel()
            self.closing = asyncio.create_task(self._close(how))
            self._on_change(self)
        return self.closing

    async def _close(self, how: Callable[[], Awaitable[None]]) -> None:
        """End it. Its place is free afterwards, whatever goes wrong meanwhile."""
        code = ""
        try:
            self.thaw()
            await self._tried(how)
            if self.processes is not None:
                await self._tried(self.processes.kill)
                if self.processes.ended.done():
                    code = f" with code {self.processes.ended.result()}"
        finally:
            for release in reversed(self._releases):
                try:
                    release()
                except Exception as reason:
                    self._write(f"could not be tidied up: {type(reason).__name__}: {reason}")
            self.state = "stopped"
            self._write(f"has ended{code}")
            self._on_change(self)

    async def _tried(self, step: Callable[[], Awaitable[None]]) -> None:
        """Do a step of the end; what goes wrong in it is told, and keeps nothing else from it."""
        try:
            await step()
        except Exception as reason:
            self._write(f"could not be ended as it should: {type(reason).__name__}: {reason}")

    async def _stop(self) -> None:
        """/pre-stop, SIGTERM, and a while in which the instance may end by itself."""
        assert self.processes is not None
        limit = self._function.pre_stop_timeout
        if limit is not None:
            try:
                fault = await self.calls.hook(PRE_STOP, limit)
            except (TimeoutError, Lost, Unreadable):
                fault = f"PreStop had no answer within {limit:g} seconds"
            if fault:
                self._write(fault)
        self.processes.signal_first(signal.SIGTERM)
        await self._wait_for_end(self._conditions.stop_grace)

    def end_overdue(self) -> None:
        """End, since a call ran over its time."""
        self.close("a call ran over its time", self._outlast)

    async def _outlast(self) -> None:
        """SIGTERM, then wait for the other calls, and for a while at least."""
        assert self.processes is not None
        self.processes.signal_first(signal.SIGTERM)
        sent = time.monotonic()
        await self.calls.vacancy()
        await self._wait_for_end(sent + self._conditions.stop_grace - time.monotonic())

    async def await_end(self) -> None:
        """Give a process that has dropped a connection a moment, in which it may end."""
        if self.processes is not None:
            await asyncio.wait([self.processes.ended], timeout=DROPPED)

    async def _wait_for_end(self, seconds: float) -> None:
        assert self.processes is not None
        await asyncio.wait([self.processes.ended], timeout=max(seconds, 0))
        if not self.processes.ended.done():
            self._write("did not end after SIGTERM, and is killed")

    def _on_end(self, ended: asyncio.Future[int]) -> None:
        if self.state in ("running", "unhealthy"):
            self.close(f"its process exited unexpectedly (code {ended.result()})", _nothing)


async def _nothing() -> None:
    """Leave an instance no time."""
