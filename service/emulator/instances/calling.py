"""What is sent to one instance: events, hooks and health checks, and the slots that calls have.

Where the platform's documents are silent, this is what is done:

- A hook has succeeded with a status of 2xx, unless its answer's x-fc-status says otherwise.
- A call that runs over its time has the error type UnhandledInvocationError.
- A process that closes the connection of a call is asked for nothing again; the instance stays.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec
import orjson

from ...protocol import INVOKE, Operation, new_request_id
from .. import failures
from ..account import Account
from ..calls import Invocation, Outcome, PlatformError
from ..failures import INITIALIZATION, UNHANDLED, InitializerFailed
from ..log import CallLine
from ..spec.model import DeployedFunction
from .client import (
    ClientConnection,
    InstanceConnections,
    Lost,
    OutOfFiles,
    Then,
    Unreadable,
)
from .contract import Requests
from .output import Output
from .plain_answer import InstanceAnswer
from .ports import INSTANCE_HOST

SUCCESS = ("", "200")
"""Values of x-fc-status that say success; an answer without one is a success, too (docs/platform.md
section 3).
"""


class Life(Protocol):
    """The instance, as its calls see it."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def memory(self) -> float:
        """The most memory that was seen, in MB."""

    def sample(self) -> float:
        """Look at the memory."""

    def sample_if_due(self) -> None:
        """Look at the memory, unless that was just done."""

    def thaw(self) -> None:
        """Let the processes go on."""

    def settle(self) -> None:
        """Do what is due when a call has ended."""

    def end_overdue(self) -> None:
        """End, since a call ran over its time."""

    async def await_end(self) -> None:
        """Give a process that has dropped a connection a moment, in which it may end."""


class Answered(msgspec.Struct, frozen=True):
    """What came of a call after `duration` seconds: a body and its error type, or a failure."""

    duration: float
    body: bytes = b""
    error: str = ""
    failure: Exception | None = None


CallEnd = tuple[str, float, Callable[[], None]]
"""A call's request id, how many seconds it took, and what ends it once its lines are read."""


class InstanceCalls:
    """The calls of one instance: `in_flight` counts them from `reserve` on, `peak` is the most
    there were, `served` those that have ended.
    """

    def __init__(
        self,
        function: DeployedFunction,
        account: Account,
        life: Life,
        write: Callable[[Sequence[CallLine]], None],
    ) -> None:
        """`write` is given lines of the log."""
        self.in_flight = self.peak = self.served = 0
        self.connections = InstanceConnections(INSTANCE_HOST)
        self.output: Output | None = None
        self._function = function
        self._life = life
        self._write = write
        self._requests = Requests(function, account)
        self._answered: list[CallEnd] = []
        self._vacant = asyncio.Event()
        self._vacant.set()

    # --- slots

    def reserve(self) -> None:
        """Take a slot for a call."""
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        self._vacant.clear()

    def give_back(self) -> None:
        """Let go of a slot."""
        self.in_flight -= 1
        if not self.in_flight:
            self._vacant.set()
        self._life.settle()

    async def vacancy(self) -> None:
        """Return once no call is in the instance."""
        await self._vacant.wait()

    # --- events

    def opened(self, call: Invocation) -> None:
        """Do what is due before the event is sent."""
        self._begin(call.request_id, keep=call.tail and self._function.concurrency == 1)
        self._life.thaw()

    def send(self, connection: ClientConnection, call: Invocation, end: float, then: Then) -> None:
        """Send the event. `then` is called with what comes of that by `end`."""
        head = self._requests.head(
            INVOKE, call.request_id, len(call.event), call.retry_count, call.session or ""
        )
        connection.send(head, call.event, end, then)

    @property
    def limit(self) -> float:
        """Seconds that a call may take."""
        return self._function.timeout

    async def missed(self, fault: Exception, call: Invocation, duration: float) -> Answered:
        """Return what came of a call that the instance has not answered."""
        if isinstance(fault, TimeoutError):
            told = failures.timed_out(self.limit)
            self._write([(told, call.request_id)])
            self._life.end_overdue()
            return Answered(duration, failures.body(told), UNHANDLED)
        if not isinstance(fault, (Lost, Unreadable)):  # nobody has foreseen it
            return Answered(duration, failure=fault)
        if isinstance(fault, Lost):
            # A connection ends a moment before the process that had it. Whoever calls next is
            # to find an instance that lives.
            await self._life.await_end()
        failure = self.failure(fault, duration)
        self._write([(str(failure), call.request_id)])
        return Answered(duration, failure=failure)

    def end_soon(self, end: CallEnd) -> None:
        """End a call that was answered, with all others that are in this turn of the loop: what
        they have written is read at once then.
        """
        if not self._answered:
            asyncio.get_running_loop().call_soon(self._end_answered)
        self._answered.append(end)

    def _end_answered(self) -> None:
        ends, self._answered = self._answered, []
        self.end(ends)

    def end(self, ends: Sequence[CallEnd]) -> None:
        """Read what calls have written that are over, say what they took, and end them."""
        try:
            if self.output is not None:
                self.output.catch_up()
            self._life.sample_if_due()
            memory = (
                f"Memory Size: {self._function.memory} MB,"
                f" Max Memory Used: {self._life.memory:.2f} MB"
            )
            self._write([(_report(name, took, memory), name) for name, took, _ in ends])
        finally:
            for _, _, conclude in ends:
                conclude()

    def ended(self, call: Invocation, answered: Answered, *, cold: bool) -> Outcome:
        """Let go of a call, and return its outcome. Raises PlatformError."""
        try:
            log = None if self.output is None else self.output.end(call.request_id)
        finally:
            self.served += 1
            self.give_back()
        if answered.failure is not None:
            raise answered.failure
        life = self._life
        return Outcome(
            call.request_id,
            answered.body,
            answered.error,
            life.id,
            answered.duration,
            life.memory,
            cold=cold,
            log=log,
            session=call.session or "",
        )

    def _begin(self, request_id: str, *, keep: bool = False) -> None:
        if self.output is not None:
            self.output.begin(request_id, keep=keep)

    def failure(self, fault: Exception, duration: float) -> PlatformError:
        """Return what the platform says of a call whose connection had a fault."""
        if isinstance(fault, Unreadable):
            return failures.unreadable(str(fault))
        if isinstance(fault, OutOfFiles):
            return failures.out_of_means(fault.reason)
        self._life.sample()
        return failures.broken_off(duration, self._life.memory)

    def note_cancelled(self, request_id: str, duration: float) -> None:
        """Say in the log that a call's client has left; the call goes on."""
        self._life.sample()
        told = failures.cancelled(request_id, duration, self._life.memory)
        self._write([(told, request_id)])

    def not_initialized(self, request_id: str, reason: InitializerFailed) -> Outcome:
        """Return what a call gets whose instance could not be initialised."""
        body = failures.body(str(reason), INITIALIZATION)
        life = self._life
        return Outcome(request_id, body, INITIALIZATION, life.id, memory=life.memory, cold=True)

    # --- hooks and checks

    async def hook(self, operation: Operation, seconds: float) -> str:
        """Call a hook; return why it failed, "" if it succeeded.

        Raises what `InstanceConnections.ask` raises.
        """
        request_id = new_request_id()
        self._begin(request_id)
        try:
            head = self._requests.head(operation, request_id)
            answer = await self.connections.ask(head, b"", seconds)
        finally:
            if self.output is not None:
                self.output.catch_up()
                self.output.end(request_id)
        if 200 <= answer.status < 300 and answer.verdict in SUCCESS:
            return ""
        return _reason(answer) or f"{operation.name} failed with status {answer.status}"

    async def check(self, path: str, seconds: float) -> InstanceAnswer:
        """Send a health check. Raises what `InstanceConnections.ask` raises."""
        return await self.connections.ask(self._requests.look(path), b"", seconds)


def _report(request_id: str, duration: float, memory: str) -> str:
    shown = round(duration * 1000, 2)
    billed = math.ceil(shown)
    return (
        f"RequestId: {request_id} Duration: {shown:.2f} ms, Billed Duration: {billed} ms, {memory}"
    )


def _reason(answer: InstanceAnswer) -> str:
    """Return what a hook's answer says of its failure."""
    try:
        value: Any = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return answer.body.decode("utf-8", "replace").strip()
    return str(value.get("errorMessage") or "") if isinstance(value, dict) else ""
