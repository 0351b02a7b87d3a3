"""One instance of a function: started, called, frozen, thawed and stopped as the platform does it
(docs/platform.md sections 1, 3, 6 and 7).

Where the platform's documents are silent, this is what is done:

- A process has 128 and the signal's number for its exit code where a signal ended it.
- A hook has succeeded with a status of 2xx, unless its answer's x-fc-status says otherwise.
- The first health check is one request; where it fails, the start has failed. An unhealthy instance
  gets no calls. It may recover while it has calls; once it has none, it is stopped.
- A call that runs over its time has the error type UnhandledInvocationError. Its instance gets
  SIGTERM and no further call; what it has besides may end within its own time; then comes SIGKILL,
  `stop_grace` after SIGTERM at the earliest.
- A process that closes the connection of a call is asked for nothing again; the instance stays.
- /pre-stop is called before an end that is by the book: not after a crash, a time-out, or a start
  that failed. Calls may be in the instance then: where the emulator stops, it waits for none.
- SIGTERM goes to the first process alone, as to a container's; SIGKILL and the freeze to all.
- A frozen instance is not asked for its health, and a health check thaws none.
"""

from __future__ import annotations

import asyncio
import math
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from ...protocol import INITIALIZE, INVOKE, PRE_STOP, Operation, new_request_id
from .. import failures
from ..calls import Invocation, Outcome, PlatformError
from ..failures import INITIALIZATION, UNHANDLED, InitializationError
from ..log import Log
from ..spec.model import Function
from .client import Connections, InstanceAnswer, Lost, Unreadable
from .contract import Requests, environment
from .faults import Faults
from .health import Health
from .output import Output
from .ports import HOST, Port, claim
from .processes import ProcessEntry, Processes, process_table
from .start import launch, wait_for_port

State = Literal["starting", "running", "unhealthy", "stopping", "stopped"]

SUCCESS = ("", "200")
"""Values of x-fc-status that say success; an answer without one is a success, too (docs/platform.md
section 3)."""

FRESH = 0.1
"""Seconds for which what was seen of an instance's memory holds: looking costs more than a call."""

LAST_WORDS = 0.25
"""Seconds in which a process that has dropped a connection may turn out to have ended."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What holds for all instances of a function. Times in seconds."""

    function: Function
    start_timeout: float
    stop_grace: float
    log: Log
    faults: Faults


class Instance:
    """One instance. `on_change` is called with it when it has processes, when it takes no further
    call, and when it is gone; `on_run` when its processes begin to run, or are stopped.

    `state` says whether it takes calls ("running") or not; `in_flight` counts its calls from
    `reserve` on, `peak` the most there were, `served` those that have ended; `memory` is the most
    that was seen, in MB.
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
        self.state: State = "starting"
        self.in_flight = self.peak = self.served = 0
        self.memory = 0.0
        self.idle_since = time.monotonic()
        self.frozen = False
        self.looked = True
        """Whether all processes were looked for since the last freeze."""
        self.processes: Processes | None = None
        self.closing: asyncio.Task[None] | None = None
        self._conditions = conditions
        self._function = function
        self._on_change = on_change
        self._on_run = on_run
        self._freezes = not provisioned or function.provisioned_freeze
        self._port: Port | None = None
        self._requests = Requests(function)
        self._connections = Connections(HOST)
        self._output = Output(self._write)
        self._vacant = asyncio.Event()
        self._vacant.set()
        self._sampled = 0.0
        self._health: Health | None = None
        self._checks: asyncio.Task[None] | None = None
        if function.health is not None:
            look = self._requests.look(function.health.path)
            self._health = Health(
                function.health,
                lambda seconds: self._connections.ask(look, b"", seconds),
                self._on_health,
            )

    def _write(self, text: str, request_id: str = "") -> None:
        self._conditions.log.line(
            text, function=self._function.name, instance=self.name, request_id=request_id
        )

    # --- its start

    async def start(self) -> None:
        """Start the command; return once the instance may be called.

        Raises PlatformError when it does not start, InitializationError when its initializer fails;
        the instance ends then.
        """
        began = time.monotonic()
        try:
            await self._start()
        except BaseException as reason:
            self.close(f"its start failed: {str(reason) or type(reason).__name__}", _nothing)
            raise
        self.state = "running"
        self.idle_since = time.monotonic()
        self._write(f"runs: it took {(self.idle_since - began) * 1000:.0f} ms to start")
        if self._health is not None:
            self._checks = asyncio.create_task(self._health.watch())
        self._settle()

    async def _start(self) -> None:
        function = self._function
        self._port = claim(function.port)
        self._connections.port = port = self._port.number
        variables = environment(function, self.id, port) | self._conditions.faults.environment()
        self.processes = launch(function, variables, port, self._output)
        self.processes.ended.add_done_callback(self._on_end)
        self._on_change(self)
        self._on_run()
        self._write(f"starts on port {port}: {' '.join(function.command)}")
        await wait_for_port(
            function, self.processes, port, self._output, self._conditions.start_timeout
        )
        if function.initializer_timeout is not None:
            await self._initialize(function.initializer_timeout)
        if self._health is not None:
            await asyncio.sleep(self._health.check.initial_delay)
            fault = await self._health.fault()
            if fault:
                raise failures.unhealthy(self._health.check.path, fault, self._output.recent)

    async def _initialize(self, limit: float) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(limit):
                await asyncio.sleep(self._conditions.faults.initializer_delay)
                reason = await self._hook(INITIALIZE, limit)
        except TimeoutError:
            reason = failures.initializer_timed_out(limit)
        except (Lost, Unreadable) as fault:
            reason = str(self._failure(fault, time.monotonic() - began))
        if reason:
            raise InitializationError(reason)

    async def _hook(self, operation: Operation, seconds: float) -> str:
        """Call a hook; return why it failed, "" where it succeeded.

        Raises what `Connections.ask` raises.
        """
        request_id = new_request_id()
        self._output.begin(request_id)
        try:
            head = self._requests.head(operation, request_id)
            answer = await self._connections.ask(head, b"", seconds)
        finally:
            self._output.end(request_id)
        if 200 <= answer.status < 300 and answer.verdict in SUCCESS:
            return ""
        return _reason(answer) or f"{operation.name} failed with status {answer.status}"

    # --- calls

    def reserve(self) -> None:
        """Take a slot for a call."""
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        self._vacant.clear()

    def give_back(self) -> None:
        """Let go of a slot."""
        self.in_flight -= 1
        self.idle_since = time.monotonic()
        if not self.in_flight:
            self._vacant.set()
        self._settle()

    async def invoke(self, call: Invocation, *, cold: bool) -> Outcome:
        """Make a call that has a slot, and let go of the slot.

        Raises PlatformError where the instance gives no answer. Until the first wait the instance
        is thawed and, where it has a warm connection, the event is sent.
        """
        limit = self._function.timeout
        head = self._requests.head(INVOKE, call.request_id, len(call.event), call.retry_count)
        self._output.begin(call.request_id, keep=call.tail and self._function.concurrency == 1)
        self.thaw()
        failure: PlatformError | None = None
        began = time.perf_counter()
        try:
            answer = await self._connections.ask(head, call.event, limit)
            duration = time.perf_counter() - began
            body, error = answer.body, "" if answer.verdict in SUCCESS else UNHANDLED
        except TimeoutError:
            duration = time.perf_counter() - began
            body, error = failures.body(failures.timed_out(limit)), UNHANDLED
            self._write(failures.timed_out(limit), call.request_id)
            self.close("a call ran over its time", self._outlast)
        except (Lost, Unreadable) as fault:
            duration = time.perf_counter() - began
            await self._have_last_words(fault)
            failure = self._failure(fault, duration)
            self._write(str(failure), call.request_id)
        log = self._end(call.request_id, duration)
        if failure is not None:
            raise failure
        return Outcome(
            call.request_id, body, error, self.id, duration, self.memory, cold=cold, log=log
        )

    def _end(self, request_id: str, duration: float) -> bytes | None:
        """Do what is due after a call, the freeze included; return its log where it was kept."""
        log = self._output.end(request_id)
        if time.monotonic() - self._sampled > FRESH:
            self.sample()
        self._write(
            f"RequestId: {request_id} Duration: {duration * 1000:.2f} ms,"
            f" Billed Duration: {math.ceil(duration * 1000)} ms,"
            f" Memory Size: {self._function.memory} MB, Max Memory Used: {self.memory:.2f} MB",
            request_id,
        )
        self.served += 1
        self.give_back()
        return log

    async def _have_last_words(self, fault: Exception) -> None:
        if self.processes is not None and isinstance(fault, Lost):
            # A connection ends a moment before the process that had it. Whoever calls next is to
            # find an instance that lives.
            await asyncio.wait([self.processes.ended], timeout=LAST_WORDS)

    def _failure(self, fault: Exception, duration: float) -> PlatformError:
        if isinstance(fault, Unreadable):
            return failures.unreadable(str(fault))
        self.sample()
        return failures.broken_off(duration, self.memory)

    def note_cancelled(self, request_id: str, duration: float) -> None:
        """Say in the log that a call's client has left; the call goes on."""
        self.sample()
        self._write(failures.cancelled(request_id, duration, self.memory), request_id)

    def not_initialized(self, request_id: str, reason: InitializationError) -> Outcome:
        """Return what a call gets whose instance could not be initialised."""
        body = failures.body(str(reason), INITIALIZATION)
        return Outcome(request_id, body, INITIALIZATION, self.id, memory=self.memory, cold=True)

    # --- freeze and thaw

    def _settle(self) -> None:
        """Freeze the instance where it has nothing to do; an unhealthy one is stopped then."""
        if self.in_flight:
            return
        if self.state == "unhealthy":
            self.close("it is unhealthy")
        elif self.state == "running" and self._freezes:
            self.freeze()

    def freeze(self) -> None:
        """Stop all processes where they are; the next event thaws them."""
        if self.processes is None or self.frozen:
            return
        self.processes.signal_all(signal.SIGSTOP)
        self.frozen, self.looked = True, False
        self._on_run()
        if self._health is not None:
            self._health.pause()

    def thaw(self) -> None:
        """Let the processes go on."""
        if self.processes is None or not self.frozen:
            return
        self.processes.signal_all(signal.SIGCONT)
        self.frozen, self.looked = False, True
        self._on_run()
        if self._health is not None:
            self._health.go_on()

    @property
    def is_unseen(self) -> bool:
        """Say whether the instance has been frozen for a while, and was not looked at since."""
        return self.frozen and not self.looked and time.monotonic() - self.idle_since > FRESH

    def look(self, entries: Mapping[int, ProcessEntry]) -> None:
        """Find all processes in a table of now; freeze those that the freeze has missed."""
        if self.processes is None:
            return
        self.processes.look(entries)
        if self.frozen:
            self.processes.signal_strays(signal.SIGSTOP)
            self.looked = not self.processes.unsure
        self.sample()

    def sample(self) -> float:
        """Return how much memory the instance has now, in MB."""
        self._sampled = time.monotonic()
        if self.processes is None:
            return 0.0
        now = self.processes.memory()
        self.memory = max(self.memory, now)
        return now

    # --- faults

    def kill(self, reason: str = "it is killed") -> None:
        """End all processes at once, as a crash does."""
        if self.processes is not None:
            self._write(reason)
            self.processes.look(process_table())
            self.processes.signal_all(signal.SIGKILL)

    def drop_connections(self) -> None:
        """End all connections to the instance, with the calls on them."""
        self._connections.drop()

    def _on_health(self, fault: str) -> None:
        self.state = "unhealthy" if fault else "running"
        self._write(f"is unhealthy: {fault}" if fault else "is healthy again")
        self._settle()

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
        self.thaw()
        await how()
        code = ""
        if self.processes is not None:
            await self.processes.kill()
            code = f" with code {self.processes.ended.result()}"
        self._output.close()
        self._connections.drop()
        if self._port is not None:
            self._port.release()
        self.state = "stopped"
        self._write(f"has ended{code}")
        self._on_change(self)

    async def _stop(self) -> None:
        """/pre-stop, SIGTERM, and a while in which the instance may end by itself."""
        assert self.processes is not None
        limit = self._function.pre_stop_timeout
        if limit is not None:
            try:
                fault = await self._hook(PRE_STOP, limit)
            except (TimeoutError, Lost, Unreadable):
                fault = f"PreStop had no answer within {limit:g} seconds"
            if fault:
                self._write(fault)
        self.processes.signal_first(signal.SIGTERM)
        await self._wait_for_end(self._conditions.stop_grace)

    async def _outlast(self) -> None:
        """SIGTERM, then wait for the other calls, and for a while at least."""
        assert self.processes is not None
        self.processes.signal_first(signal.SIGTERM)
        sent = time.monotonic()
        await self._vacant.wait()
        await self._wait_for_end(sent + self._conditions.stop_grace - time.monotonic())

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


def _reason(answer: InstanceAnswer) -> str:
    """Return what a hook's answer says of its failure."""
    try:
        value: Any = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return answer.body.decode("utf-8", "replace").strip()
    return str(value.get("errorMessage") or "") if isinstance(value, dict) else ""
