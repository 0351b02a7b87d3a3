"""The instances of one function: when one is started, and what it is called with
(docs/platform.md sections 6 and 7).

Where the platform's documents are silent, or would not do on a desk, this is what is done:

- There may be `max_instances` of a function, or as many as its `reservedConcurrency` says, if that
  is less; provisioned ones count.
- A new instance is started beside one that is being stopped only if both together are no more than
  there may be; until then its calls wait. So a server with a port of its own can be replaced.
- A call that waited for an instance which then does not start goes to another one if there is
  one with room, unless it is the call for which that instance was started.
- If the code has changed, further calls go to new instances; a start that is under way goes on
  for the calls that wait for it.
- An instance that has had no call for long, and has no session, is stopped by the watch.
- A provisioned instance that ends is replaced at once; one that does not start is tried again after
  1 s, 2 s, 4 s and so on up to a minute.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from msgspec import structs

from .. import failures
from ..account import Account
from ..calls import Invocation, Outcome
from ..failures import InitializerFailed
from ..log import Log
from ..spec.model import DeployedFunction
from .conditions import Conditions, Options
from .debugging import NO_LIMIT, Debugging, unlimited
from .faults import Faults
from .instance import Instance
from .instance_call import InstanceCall
from .placement import Placement
from .private import base, may_mount
from .reaper import Reaper
from .sessions import Sessions
from .watch import InstanceWatch

FIRST_RESTART_DELAY, LAST_DELAY = 1.0, 60.0
"""Seconds until a provisioned instance that did not start is tried again, at first and at last."""


class InstancePool:
    """The instances of one function. Used on one event loop, between `start` and `stop`."""

    def __init__(
        self,
        function: DeployedFunction,
        options: Options,
        log: Log,
        faults: Faults,
        account: Account | None = None,
        debugging: Debugging | None = None,
        changed: Callable[[Instance], None] | None = None,
    ) -> None:
        """If the instances are debugged, there are no limits of time. `changed` is called with an
        instance that is new, has processes, takes no further call, or is gone.
        """
        if debugging is not None:
            function = unlimited(function)
            options = replace(options, start_timeout=NO_LIMIT, idle_timeout=NO_LIMIT)
        self._debugging = debugging
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
        self._changed = changed
        self._conditions: Conditions | None = None
        self._instances: list[Instance] = []  # the oldest first
        self._starts: dict[Instance, asyncio.Task[None]] = {}
        self.prefix = f"c-{int(time.time()):08x}-{secrets.token_hex(4)}"
        self.numbers = itertools.count(1)
        """Of its instances: a pool that takes the place of another one goes on with that one's."""
        self._reaper: Reaper | None = None
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._sessions = Sessions(function.sessions, time.monotonic)
        self._placement = Placement(function, self.cap, self._instances, self._sessions)
        self._watch = InstanceWatch(
            self._instances,
            idle_timeout=options.idle_timeout,
            memory=function.memory if options.enforce_memory else None,
            held_until=self._sessions.held_until,
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
        return 0 if self._stopping else self._placement.room

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
            variables=options.variables,
            debugging=self._debugging,
        )

    async def stop(self) -> None:
        """Take no further call, and stop every instance by the book, all at once."""
        self._stopping = True
        for task in self._starts.values():
            task.cancel()
        await asyncio.gather(self._watch.stop(), *self._starts.values(), return_exceptions=True)
        ends = [each.close("the emulator stops") for each in self._instances]
        for each in self._instances:
            each.hurry()
        await asyncio.gather(*ends, return_exceptions=True)
        await self.idle()
        if self._reaper is not None:
            self._reaper.close()
            self._reaper = None
        if self._conditions is not None:
            shutil.rmtree(self._conditions.folder, ignore_errors=True)

    def renew(self, reason: str) -> int:
        """Send further calls to new instances: those that are there end once their calls have.
        Return how many these are.
        """
        old = [each for each in self._instances if each.takes_calls or each.state == "unhealthy"]
        for each in old:
            each.retire(reason)
        self._provision()
        return len(old)

    async def retire(self, reason: str) -> None:
        """Take no further call, and stop once those have ended that are there."""
        self._stopping = True
        self.renew(reason)
        await self.idle()
        await self.stop()

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
                    self._leave(call)
                    return instance.calls.not_initialized(call.request_id, reason)
        except BaseException:
            self._leave(call)
            raise
        began = time.monotonic()
        running = InstanceCall(instance.calls, call, partial(self._leave, call), cold=cold)
        running.start(asyncio.get_running_loop())
        outcome = running.outcome
        try:
            return await outcome
        except asyncio.CancelledError:
            if outcome.cancelled():  # before the call had one
                instance.calls.note_cancelled(call.request_id, time.monotonic() - began)
                self._replace_abandoned(instance)
            raise

    def _in_session(self, call: Invocation) -> Invocation:
        """Return the call with its session's id, if it is of one. Raises PlatformError."""
        session = self._sessions.named(call.session)
        return call if session == call.session else structs.replace(call, session=session)

    def _arrive(self, call: Invocation) -> None:
        self._in_flight += 1
        self._idle.clear()
        if call.session:
            self._sessions.begin(call.session)

    def _leave(self, call: Invocation) -> None:
        self._in_flight -= 1
        if not self._in_flight:
            self._idle.set()
        if call.session:
            self._sessions.end(call.session)

    def _place(self, session: str | None) -> tuple[Instance, bool]:
        """Return an instance with a slot that is taken for the call, and whether it was started for
        it.

        Raises PlatformError.
        """
        if self._stopping:
            raise failures.stopping()
        instance = self._placement.find(session)
        cold = instance is None
        instance = instance or self._add()
        self._placement.take(instance, session)
        return instance, cold

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
            other = None if cold or self._stopping else self._placement.with_room(session)
            if other is None:
                raise failures.anew(reason)
            instance = other
            self._placement.take(instance, session)
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
        there = sum(each.provisioned for each in self._placement.holders())
        for _ in range(self.function.provisioned - there):
            self._add(provisioned=True)

    def _add(self, *, provisioned: bool = False) -> Instance:
        assert self._conditions is not None
        instance = Instance(
            self._conditions,
            f"{self.prefix}-{next(self.numbers):012x}",
            self._on_change,
            self._watch.wake,
            provisioned=provisioned,
        )
        self.started += 1
        self._instances.append(instance)
        if self._changed is not None:
            self._changed(instance)
        task = asyncio.create_task(self._start(instance))
        self._starts[instance] = task
        task.add_done_callback(lambda done: self._on_start(instance, done))
        return instance

    async def _start(self, instance: Instance) -> None:
        while self._instances.index(instance) >= self.cap:  # older ones are ending, or will
            older = self._instances[: self._instances.index(instance)]
            ends = [each.closing or self._starts.get(each) for each in older]
            waits = [end for end in ends if end is not None and not end.done()]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        await instance.start()

    def _on_start(self, instance: Instance, task: asyncio.Task[None]) -> None:
        del self._starts[instance]
        if not task.cancelled() and task.exception() is None:
            self._delay = FIRST_RESTART_DELAY
        elif instance.provisioned and not self._stopping:
            asyncio.get_running_loop().call_later(self._delay, self._provision)
            self._delay = min(2 * self._delay, LAST_DELAY)

    def _on_change(self, instance: Instance) -> None:
        if self._changed is not None:
            self._changed(instance)
        if instance.state == "stopped":
            self._instances.remove(instance)
        elif instance.closing is not None and instance not in self._starts:
            self._provision()
        if self._reaper is not None:
            self._reaper.watch(each.processes.pid for each in self._instances if each.processes)
