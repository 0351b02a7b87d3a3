"""The instance's life: initialise once, count what is in flight, drain, stop once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from weakref import WeakSet

from ..errors import InitializationError, ServiceError, Stopping
from ..protocol import SERVICE_LOGGER

Hook = Callable[[], Awaitable[None]]

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
        self.in_flight = 0
        self.ending = asyncio.Event()
        self.draining = asyncio.Event()
        self.refusing = False
        _ALL.add(self)

    # --- start

    def start(self) -> None:
        """Run the initializer, unless it runs or has succeeded."""
        if self._started is None or _failed(self._started):
            self._started = asyncio.ensure_future(self._run_initializer())
            self._started.add_done_callback(
                _failed
            )  # a failure nobody asks about is no "never retrieved"

    async def initialized(self) -> None:
        """Wait for the initializer; after a failure, try it again.

        Raises InitializationError when it fails. Cancelling the wait does not cancel the
        initializer.
        """
        if self.ready:
            return
        self.start()
        assert self._started is not None
        await asyncio.shield(self._started)

    async def _run_initializer(self) -> None:
        began = time.monotonic()
        try:
            await self.initialize()
        except ServiceError as reason:
            raise InitializationError(
                f"the initializer failed: {reason.code}: {reason}"
            ) from reason
        finally:
            self.initializer_seconds = time.monotonic() - began
        self.ready = True

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
        await self.pre_stop()

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


_ALL: WeakSet[Lifecycle] = WeakSet()


def in_flight_here() -> int:
    """Return how many requests are in flight in this process."""
    return sum(lifecycle.in_flight for lifecycle in _ALL)


HEADS = 1.0
"""Seconds in which a head that has begun to arrive is complete."""

ANSWERED = 2.0
"""Seconds in which calls that were cut short get their answers out."""


def _failed(task: asyncio.Task[None]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)
