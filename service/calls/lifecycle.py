"""The instance's life: initialise once, count what is in flight, drain, stop once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any
from weakref import ref

from ..context.call import RUNNING, Platform, platform_of
from ..errors import InitializationError, ServiceError, Stopping
from ..protocol import SERVICE_LOGGER

Hook = Callable[[], Awaitable[None]]
TimedHook = Callable[[float], Awaitable[None]]
"""Has so many seconds."""

_log = logging.getLogger(SERVICE_LOGGER)


async def nothing() -> None:
    """Stand in for a hook that the user's module does not have."""


class Lifecycle:
    """What the instance is doing. The initializer's task is the state: pending, done or failed.
    Whoever sets `ending` makes the process drain and exit.

    `arriving` says whether the head of a request has arrived in part. `hurry` is called when the
    drain has taken `drain_timeout` seconds: it must make every running call answer.
    """

    def __init__(self, *, drain_timeout: float, hurry: Callable[[], None]) -> None:
        self.initialize: Hook = nothing
        self.pre_stop: Hook = nothing
        self.arrived: Callable[[], None] = lambda: None  # called when something is in flight
        self.rested: Callable[[], None] = lambda: None  # and when nothing is any more
        self.arriving: Callable[[], bool] = lambda: False
        self._drain_timeout = drain_timeout
        self._hurry = hurry
        self._started: asyncio.Task[None] | None = None
        self._stopped: asyncio.Task[None] | None = None
        self._idle: list[asyncio.Future[None]] = []  # who waits until nothing is in flight
        self.ready = False  # the initializer has succeeded
        self.initializer_seconds = 0.0  # how long it ran, the last time
        # Connections count it: it stays 0 on aiohttp's own server, and in `invoke`.
        self.in_flight = 0
        self.ending = asyncio.Event()
        self.draining = asyncio.Event()
        self.refusing = False
        # What lives as long as the instance, if the function has something of that kind.
        self.platform: Platform | None = None  # that of the contexts of its calls
        self.loop: asyncio.AbstractEventLoop | None = None  # once it has begun
        self.tasks: Any = None  # those that the function has spawned
        self.enter_variables: Callable[[], None] = lambda: None  # sets what calls begin with
        self.unwound: Hook = nothing  # waits for handlers that were cut
        self.at_freeze: list[TimedHook] = []  # behind the user's pre_freeze
        self.at_stop: list[TimedHook] = []  # behind pre_stop, the last one first

    # --- start

    def start(self) -> None:
        """Run the initializer, unless it runs or has succeeded."""
        if self.loop is None:
            self.loop = asyncio.get_running_loop()
            _begun.add(self)
        if self._started is None or _failed(self._started):
            self._started = asyncio.ensure_future(self._run_initializer())
            self._started.add_done_callback(
                _failed
            )  # a failure nobody asks about is no "never retrieved"

    async def initialized(self) -> None:
        """Wait for the initializer; after a failure, try it again.

        Raises InitializationError when it fails, Stopping if it has not succeeded before the stop.
        Cancelling the wait does not cancel the initializer.
        """
        if self.ready:
            return
        self.check_open()
        self.start()
        assert self._started is not None
        await asyncio.shield(self._started)

    async def _run_initializer(self) -> None:
        began = time.monotonic()
        try:
            await self.initialize()
        except InitializationError:
            raise
        except ServiceError as reason:
            raise InitializationError(
                f"the initializer failed: {reason.code}: {reason}"
            ) from reason
        finally:
            self.initializer_seconds = time.monotonic() - began
        self.ready = True

    def begin_anew(self) -> None:
        """Run the initializer once more, when the next call comes. While it runs it goes on: two
        at once would each open what the other one uses.
        """
        if self.ready:
            self.ready, self._started = False, None

    # --- in flight

    def enter(self) -> None:
        """Count a request whose head has arrived."""
        if not self.in_flight:
            self.arrived()
        self.in_flight += 1

    def leave(self) -> None:
        """Count a request whose answer is written, or whose connection is gone."""
        self.in_flight -= 1
        if not self.in_flight:
            self.rested()
            for waiter in self._idle:
                if not waiter.done():
                    waiter.set_result(None)
            self._idle.clear()

    async def idle(self) -> None:
        """Wait until nothing is in flight."""
        if self.in_flight:
            waiter = asyncio.get_running_loop().create_future()
            self._idle.append(waiter)
            await waiter

    # --- stop

    async def stop(self) -> None:
        """Drain, then run `pre_stop`: once, for any number of callers. Raises what `pre_stop`
        raised.
        """
        if self._stopped is None:
            self._stopped = asyncio.ensure_future(self._stop())
            self._stopped.add_done_callback(_failed)
        await asyncio.shield(self._stopped)

    async def stop_for_request(self) -> None:
        """Stop on behalf of a request, which is in flight itself: it does not wait for its
        own end.
        """
        counted = self.in_flight > 0
        if counted:
            self.leave()
        try:
            await self.stop()
        finally:
            if counted:
                self.enter()

    async def _stop(self) -> None:
        self.draining.set()
        try:
            async with asyncio.timeout(self._drain_timeout):
                await self._heads()
                await self.idle()
        except TimeoutError:
            _log.warning("%d calls were not done in %g s", self.in_flight, self._drain_timeout)
            self._hurry()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ANSWERED):
                    await self.idle()
        self.refusing = True
        until = time.monotonic() + max(self._drain_timeout, SHORTEST_HOOK)
        try:
            await self.pre_stop()
        finally:
            await self.close(until)

    async def close(self, until: float = 0.0) -> None:
        """End what lives as long as the instance, in the time that is left of `pre_stop`'s. Raises
        the last failure.
        """
        if not self.at_stop:
            _begun.remove(self)
            return
        try:
            await self.unwound()
            await self.at_stop.pop()(until - time.monotonic())
        finally:
            await self.close(until)

    async def tell_freeze(self, seconds: float) -> None:
        """Tell what lives as long as the instance that it freezes."""
        until = time.monotonic() + seconds
        for tell in tuple(self.at_freeze):
            await tell(until - time.monotonic())

    async def _heads(self) -> None:
        """Let heads arrive that have begun to: nobody sends their events again. What drips or has
        stopped is not waited for.
        """
        end = time.monotonic() + HEADS
        while self.arriving() and time.monotonic() < end:  # noqa: ASYNC110 - many connections
            await asyncio.sleep(0.01)

    def check_open(self) -> None:
        """Raise Stopping once `pre_stop` has begun."""
        if self.refusing:
            raise Stopping("the instance stops: its pre_stop hook has begun")


HEADS = 1.0
"""Seconds in which a head that has begun to arrive is complete."""

ANSWERED = 2.0
"""Seconds in which calls that were cut short get their answers out."""

SHORTEST_HOOK = 5.0
"""Seconds that `pre_stop` has at least, if the drain was told to wait for no call."""


class _Begun:
    """The lives that have begun in this process and have not ended: one, but in tests."""

    def __init__(self) -> None:
        self._all: tuple[ref[Lifecycle], ...] = ()  # replaced, never changed: threads read it

    def add(self, life: Lifecycle) -> None:
        self._all = (*(each for each in self._all if each() is not None), ref(life))

    def remove(self, life: Lifecycle) -> None:
        self._all = tuple(each for each in self._all if each() not in (None, life))

    def lives(self) -> list[Lifecycle]:
        """Return those whose loop is open."""
        alive = [life for each in self._all if (life := each()) is not None]
        return [life for life in alive if life.loop is not None and not life.loop.is_closed()]


_begun = _Begun()

HERE: ContextVar[Lifecycle] = ContextVar("fc_life")
"""Whose a task is that belongs to no call."""


def lifecycle_here() -> Lifecycle | None:
    """Return the life of the instance that the caller is of, None if none is known: by the call or
    the task that runs here, by the loop, or since there is only one.
    """
    if (life := HERE.get(None)) is not None:
        return life
    lives = _begun.lives()
    context = RUNNING.get(None)
    if context is not None:
        platform = platform_of(context)
        if found := [each for each in lives if each.platform is platform]:
            return found[-1]
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # a thread
        return lives[0] if len(lives) == 1 else None
    return next((each for each in lives if each.loop is loop), None)


def _failed(task: asyncio.Task[None]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)
