"""The instances of one function: which one takes a call, and when another one is started
(docs/platform.md sections 6 and 7).

Where the platform's documents are silent, or would not do on a desk, this is what is done:

- There may be `max_instances` of a function, or as many as its `reservedConcurrency` says, if that
  is less; provisioned ones count.
- An instance that is being stopped takes no place of another one, but a new one is started beside
  it only if both together are no more than there may be; until then its calls wait. So a server
  with a port of its own can be replaced.
- A call that waited for an instance which then does not start goes to another one if there is
  one with room, unless it is the call for which that instance was started.
- An instance that has had no call for long is stopped by the watch (`watch.py`).
- Calls of a session go to its instance (`sessions.py`); an on-demand one is kept while it has any.
- A provisioned instance that ends is replaced at once; one that does not start is tried again after
  1 s, 2 s, 4 s and so on up to a minute.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from .. import failures
from ..account import Account
from ..calls import Invocation, Outcome, PlatformError
from ..failures import InitializerFailed
from ..log import Log
from ..spec.model import DeployedFunction
from .faults import Faults
from .instance import Conditions, Instance
from .private import base, may_mount
from .reaper import Reaper
from .sessions import Sessions
from .watch import InstanceWatch

_AT_ONCE: Any = {"eager_start": True} if sys.version_info >= (3, 12) else {}
"""The event is sent before the loop turns, where Python can start a task so."""

FIRST_RESTART_DELAY, LAST_DELAY = 1.0, 60.0
"""Seconds until a provisioned instance that did not start is tried again, at first and at last."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line sets, for all functions. Times in seconds.

    `idle_timeout` is how long an on-demand instance is kept without a call (the platform's is 3 to
    5 minutes), `start_timeout` how long a port may take to open, `stop_grace` how long a process
    may live on after SIGTERM. With `enforce_memory` an instance above its `memorySize` is killed.
    With `private_tmp` each instance has a /tmp that nobody else sees, if the system allows it.
    """

    max_instances: int = 10
    idle_timeout: float = 180.0
    start_timeout: float = 120.0
    stop_grace: float = 10.0
    enforce_memory: bool = False
    private_tmp: bool = True


class InstancePool:
    """The instances of one function. Used on one event loop, between `start` and `stop`."""

    def __init__(
        self,
        function: DeployedFunction,
        options: Options,
        log: Log,
        faults: Faults,
        account: Account | None = None,
    ) -> None:
        self.function = function
        limits = [options.max_instances, function.max_instances]
        least = min(limit for limit in limits if limit is not None)
        self.cap = max(least, function.provisioned)
        self.started = 0
        """Instances that were started by now."""
        self._options = options
        self._log = log
        self._faults = faults
        self._account = account or Account()
        self._conditions: Conditions | None = None
        self._instances: list[Instance] = []  # the oldest first
        self._starts: dict[Instance, asyncio.Task[None]] = {}
        self.prefix = f"c-{int(time.time()):08x}-{secrets.token_hex(4)}"
        self._numbers = itertools.count(1)
        self._reaper: Reaper | None = None
        self._calls: set[asyncio.Task[Outcome]] = set()
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._sessions = Sessions(function.sessions, time.monotonic) if function.sessions else None
        self._watch = InstanceWatch(
            self._instances,
            idle_timeout=options.idle_timeout,
            memory=function.memory if options.enforce_memory else None,
            held_until=self._sessions.held_until if self._sessions else lambda _instance: 0.0,
        )
        self._stopping = False
        self._delay = FIRST_RESTART_DELAY

    @property
    def instances(self) -> Sequence[Instance]:
        """All instances that are not gone, the oldest first."""
        return tuple(self._instances)

    @property
    def room(self) -> int:
        """How many calls would be taken now: further ones get 429."""
        if self._stopping:
            return 0
        slots = [self.function.concurrency - each.in_flight for each in self._open()]
        return sum(slots) + (self.cap - len(slots)) * self.function.concurrency

    def _open(self) -> list[Instance]:
        """Return the instances that hold one of the places there are: all but those that are
        ending.
        """
        return [each for each in self._instances if each.closing is None]

    async def start(self) -> None:
        """Start the provisioned instances; return once each runs, or has failed to: the log says
        why.
        """
        self._conditions = conditions = self._new_conditions()
        self._reaper = Reaper(self.prefix, str(conditions.folder))
        self._watch.start()
        self._provision()
        if self._starts:
            await asyncio.wait(self._starts.values())

    def _new_conditions(self) -> Conditions:
        options = self._options
        return Conditions(
            function=self.function,
            start_timeout=options.start_timeout,
            stop_grace=options.stop_grace,
            log=self._log,
            faults=self._faults,
            account=self._account,
            cap=self.cap,
            folder=Path(tempfile.mkdtemp(prefix=f"fc-{self.function.name}-", dir=base())),
            mounted=options.private_tmp and may_mount(),
        )

    async def stop(self) -> None:
        """Take no further call, and stop every instance by the book, all at once."""
        self._stopping = True
        for task in self._starts.values():
            task.cancel()
        await asyncio.gather(self._watch.stop(), *self._starts.values(), return_exceptions=True)
        ends = [each.close("the emulator stops") for each in self._instances]
        await asyncio.gather(*ends, return_exceptions=True)
        if self._calls:
            await asyncio.wait(self._calls)
        if self._reaper is not None:
            self._reaper.close()
        if self._conditions is not None:
            shutil.rmtree(self._conditions.folder, ignore_errors=True)

    async def idle(self) -> None:
        """Return once no call is in flight, whether its client still waits or not."""
        await self._idle.wait()

    # --- calls

    async def invoke(self, call: Invocation) -> Outcome:
        """Make a call; return what the function answered, or what the platform says in its place.

        Raises PlatformError: 412 if no instance starts, 429 if all are full, 502 if the
        instance ends in the call. Cancelled, it leaves the call running in its instance.
        """
        call = self._in_session(call)
        self._arrive(call)
        try:
            instance, cold = self._place(call.session)
            if instance.state == "starting":
                try:
                    instance = await self._wait_for(instance, call.session, cold=cold)
                except InitializerFailed as reason:
                    return instance.calls.not_initialized(call.request_id, reason)
        except BaseException:
            self._leave(call)
            raise
        began = time.monotonic()
        task = asyncio.Task(
            instance.calls.invoke(call, cold=cold), loop=asyncio.get_running_loop(), **_AT_ONCE
        )
        self._calls.add(task)
        task.add_done_callback(partial(self._on_done, call))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.done():
                instance.calls.note_cancelled(call.request_id, time.monotonic() - began)
                self._replace_abandoned(instance)
            raise

    def _on_done(self, call: Invocation, task: asyncio.Task[Outcome]) -> None:
        self._calls.discard(task)
        if not task.cancelled():
            task.exception()  # if the client has left, nobody else asks
        self._leave(call)

    def _in_session(self, call: Invocation) -> Invocation:
        """Return the call with its session's id, if it is of one. Raises PlatformError."""
        if self._sessions is None or call.session is None:
            return replace(call, session=None) if call.session else call
        return replace(call, session=self._sessions.named(call.session))

    def _arrive(self, call: Invocation) -> None:
        self._in_flight += 1
        self._idle.clear()
        if self._sessions is not None and call.session:
            self._sessions.begin(call.session)

    def _leave(self, call: Invocation) -> None:
        self._in_flight -= 1
        if not self._in_flight:
            self._idle.set()
        if self._sessions is not None and call.session:
            self._sessions.end(call.session)

    def _place(self, session: str | None) -> tuple[Instance, bool]:
        """Return an instance with a slot that is taken for the call, and whether it was started for
        it.

        Raises PlatformError.
        """
        if self._stopping:
            raise failures.stopping()
        instance = self._bound(session) or self._with_room(session)
        cold = instance is None
        if instance is None:
            if len(self._open()) >= self.cap:
                raise failures.exhausted(self.cap, self.function.concurrency)
            instance = self._add()
        self._take(instance, session)
        return instance, cold

    def _bound(self, session: str | None) -> Instance | None:
        """Return the instance that has the session. Raises PlatformError 429 if it is full: no
        other one takes its calls.
        """
        found = self._sessions.instance_of(session) if self._sessions and session else None
        if session and found is not None and found.in_flight >= self.function.concurrency:
            raise failures.session_full(session, self.function.concurrency)
        return found

    def _take(self, instance: Instance, session: str | None) -> None:
        """Take a slot of an instance, and have the session's further calls sent there."""
        instance.calls.reserve()
        if self._sessions and session and self._sessions.instance_of(session) is not instance:
            self._sessions.bind(session, instance)

    def _with_room(self, session: str | None) -> Instance | None:
        """Return the least loaded instance that runs, else one that starts, else None; for a call
        of a session, of those that take one more.
        """
        best: Instance | None = None
        limit = self.function.concurrency
        for each in self._instances:
            if each.in_flight >= limit or each.state not in ("running", "starting"):
                continue
            if self._sessions and session and not self._sessions.has_place(each):
                continue
            better = best is None or (each.state, each.in_flight) < (best.state, best.in_flight)
            if better:  # "running" is less than "starting", and the oldest is the first
                best = each
        return best

    async def _wait_for(self, instance: Instance, session: str | None, *, cold: bool) -> Instance:
        """Wait for an instance's start; return it, or another one in its place.

        Raises what the start raised, and lets go of the slot.
        """
        while (start := self._starts.get(instance)) is not None:
            try:
                await asyncio.wait([start])
            except asyncio.CancelledError:
                instance.calls.give_back()
                raise
            reason = failures.stopping() if start.cancelled() else start.exception()
            if reason is None:
                break
            instance.calls.give_back()
            other = None if cold or self._stopping else self._with_room(session)
            if other is None:
                raise _anew(reason)
            instance = other
            self._take(instance, session)
        return instance

    def _replace_abandoned(self, instance: Instance) -> None:
        """Replace an instance whose only call has lost its client (docs/platform.md section 6)."""
        function = self.function
        if function.concurrency > 1 or function.health is not None or instance.closing is not None:
            return
        instance.close("the client of its call has left")
        if not self._stopping and not instance.provisioned:
            self._add()

    # --- instances

    def _provision(self) -> None:
        """Start the provisioned instances that are missing."""
        if self._stopping:
            return
        there = sum(each.provisioned for each in self._open())
        for _ in range(self.function.provisioned - there):
            self._add(provisioned=True)

    def _add(self, *, provisioned: bool = False) -> Instance:
        assert self._conditions is not None
        instance = Instance(
            self._conditions,
            f"{self.prefix}-{next(self._numbers):012x}",
            self._on_change,
            self._watch.wake,
            provisioned=provisioned,
        )
        self.started += 1
        self._instances.append(instance)
        task = asyncio.create_task(self._start(instance))
        self._starts[instance] = task
        task.add_done_callback(lambda done: self._on_start(instance, done))
        return instance

    async def _start(self, instance: Instance) -> None:
        while self._instances.index(instance) >= self.cap:  # older ones are ending
            ends = [each.closing for each in self._instances if each.closing is not None]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        await instance.start()

    def _on_start(self, instance: Instance, task: asyncio.Task[None]) -> None:
        del self._starts[instance]
        if not task.cancelled() and task.exception() is None:
            self._delay = FIRST_RESTART_DELAY
        elif instance.provisioned and not self._stopping:
            asyncio.get_running_loop().call_later(self._delay, self._provision)
            self._delay = min(2 * self._delay, LAST_DELAY)

    def _on_change(self, instance: Instance) -> None:
        if instance.state == "stopped":
            self._instances.remove(instance)
        elif instance.closing is not None and instance not in self._starts:
            self._provision()
        if self._reaper is not None:
            self._reaper.watch(each.processes.pid for each in self._instances if each.processes)


def _anew(reason: BaseException) -> Exception:
    """Return what a start failed with, for one of the calls that waited for it: each raises its
    own, or their tracebacks would grow together.
    """
    if isinstance(reason, PlatformError):
        return PlatformError(reason.status, reason.code, str(reason))
    if isinstance(reason, InitializerFailed):
        return InitializerFailed(str(reason))
    return failures.broke(reason)
