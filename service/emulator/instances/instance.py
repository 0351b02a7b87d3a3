"""One instance of a function: started, frozen, thawed and stopped as the platform does it
(docs/platform.md sections 1, 6 and 7).

Where the platform's documents are silent, this is what is done:

- A process has 128 and the signal's number for its exit code if a signal ended it.
- The first health check is one request; if it fails, the start has failed. An unhealthy instance
  gets no calls. It may recover while it has calls; once it has none, it is stopped.
- A freeze stops all processes.
- A frozen instance is not asked for its health, and a health check thaws none.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Literal

from ...protocol import INITIALIZE
from .. import failures
from ..failures import InitializerFailed
from ..log import CallLine
from .calling import InstanceCalls
from .client import Lost, Unreadable
from .conditions import Conditions
from .contract import environment
from .ending import InstanceEnd, WayToEnd, leave_no_time
from .freezer import Freezer
from .health import InstanceHealth
from .output import Output
from .ports import claim, is_open
from .private import PrivateFolder
from .proc import process_table
from .processes import Processes
from .start import InstanceStart, StartTimes, start_process, wait_for_port

InstanceState = Literal["starting", "running", "unhealthy", "stopping", "stopped"]

FRESH = 0.1
"""Seconds for which what was seen of an instance's memory holds: looking costs more than a call."""

DROPPED = 0.25
"""Seconds in which a process that has dropped a connection may turn out to have ended."""

DEAF = 10.0
"""The same if it listens no longer: nobody can call it again."""


class Instance:
    """One instance. `on_change` is called with it when it has processes, when it takes no further
    call, and when it is gone; `on_run` when its processes begin to run, or are stopped.

    `state` says whether it takes calls ("running") or not; `calls` has those that are in it;
    `memory` is the most that was seen, in MB, and `resident` the last; `times` says how far its
    start came, `end_reason` why it ends.
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
        self.function, self.concurrency = function.name, function.concurrency
        self.name = f"c-{int(instance_id.rpartition('-')[2], 16)}"
        self.provisioned = provisioned
        self.retired = ""
        """Why it takes no further call, though it starts or runs; "" if it does."""
        self.state: InstanceState = "starting"
        self.created = time.time()
        self.memory = self.resident = 0.0
        self.times = StartTimes(time.monotonic())
        self.end_reason = ""
        self.idle_since = time.monotonic()
        self.processes: Processes | None = None
        self.closing: asyncio.Task[None] | None = None
        self.calls = InstanceCalls(function, conditions.account, self, self._write_lines)
        self._conditions = conditions
        self._function = function
        self._on_change = on_change
        freezes = not provisioned or function.provisioned_freeze
        self._freezes = freezes and conditions.debugging is None
        self._sampled = 0.0
        self._health = self._new_health()
        self._checks: asyncio.Task[None] | None = None
        self.freezer = Freezer(on_run, self._health)
        self._end = InstanceEnd(conditions, self.calls, self.freezer, self._write)
        self._end.then(self.calls.connections.drop)

    def _new_health(self) -> InstanceHealth | None:
        check = self._function.health
        if check is None:
            return None
        return InstanceHealth(
            check, lambda limit: self.calls.check(check.path, limit), self._on_health
        )

    def _write(self, text: str) -> None:
        self._write_lines([(text, "")])

    def _write_lines(self, lines: Sequence[CallLine]) -> None:
        self._conditions.log.lines(lines, function=self.function, instance=self.name)

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

    @property
    def takes_calls(self) -> bool:
        """Whether further calls may be sent to it, or wait for its start."""
        return self.state in ("running", "starting") and not self.retired

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
                self.close("nobody waits for its start any more", leave_no_time)
            else:
                told = str(fault) or type(fault).__name__
                self.close(f"its start failed: {told}", leave_no_time)
            if fault is reason:
                raise
            raise fault from None
        self.state = "running"
        self.idle_since = self.times.ready = time.monotonic()
        self._write(f"runs: it took {(self.idle_since - began) * 1000:.0f} ms to start")
        if self._health is not None:
            self._checks = asyncio.create_task(self._health.watch())
        if self.retired:
            self.retire(self.retired)
        self.settle()

    async def _start(self) -> None:
        function, conditions = self._function, self._conditions
        opened = self._prepare()
        self.processes = start_process(opened)
        self.processes.ended.add_done_callback(self._on_end)
        self._on_change(self)
        self.freezer.watch(self.processes)
        self._write(f"starts on port {opened.port}: {' '.join(function.command)}")
        tell = self._write if conditions.debugging is None else _leave_untold
        await wait_for_port(opened, self.processes, conditions.start_timeout, tell)
        self.times.opened = time.monotonic()
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
        self._end.then(port.release)
        self.calls.connections.port = port.number
        private = PrivateFolder(conditions.folder / self.name, mounted=conditions.mounted)
        self._end.then(private.remove)
        output = Output(self._write_lines)
        self._end.then(output.close)
        self.calls.output = output
        variables = environment(
            function,
            self.id,
            port.number,
            conditions.account,
            home=str(private.home),
            temporary=private.temporary,
        )
        variables |= conditions.variables
        variables |= conditions.faults.environment()
        if conditions.debugging is not None:
            variables |= conditions.debugging.environment(conditions.folder, variables)
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
        now = self.resident = self.processes.memory()
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

    def close(self, reason: str, way: WayToEnd | None = None) -> asyncio.Task[None]:
        """Take no further call and end, by the book unless told how; return what ends with it."""
        if self.closing is None:
            self._write(f"stops: {reason}")
            self.end_reason = reason
            way = way or (self._end.by_the_book if self.state != "starting" else leave_no_time)
            self.state = "stopping"
            if self._checks is not None:
                self._checks.cancel()
            self.closing = asyncio.create_task(self._close(way))
            self._on_change(self)
        return self.closing

    async def _close(self, way: WayToEnd) -> None:
        """End it. Its place is free afterwards, whatever goes wrong meanwhile."""
        code = ""
        try:
            code = await self._end.run(self.processes, way)
        finally:
            self.state = "stopped"
            self._write(f"has ended{code}")
            self._on_change(self)

    def retire(self, reason: str) -> None:
        """Take no further call, and end once those have ended that it has: one that starts has
        them when it runs.
        """
        self.retired = reason
        if self.state != "starting":
            self.close(reason, self._end.once_vacant)

    def hurry(self) -> None:
        """If it ends once it has no call: end it now."""
        self._end.hurry()

    def end_overdue(self) -> None:
        """End, since a call ran over its time."""
        self.close("a call ran over its time", self._end.outlast)

    async def await_end(self) -> None:
        """Give a process that has dropped a connection a moment, in which it may end."""
        if self.processes is None:
            return
        ended = self.processes.ended
        await asyncio.wait([ended], timeout=DROPPED)
        with suppress(OSError):  # no file is left to look with
            if not ended.done() and not await is_open(self.calls.connections.port):
                await asyncio.wait([ended], timeout=DEAF)

    def _on_end(self, ended: asyncio.Future[int]) -> None:
        if self.state in ("running", "unhealthy"):
            self.close(f"its process exited unexpectedly (code {ended.result()})", leave_no_time)


def _leave_untold(_text: str) -> None:
    """Say nothing of a port that is not open: the instance waits for a debugger."""
