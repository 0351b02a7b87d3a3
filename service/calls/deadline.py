"""The calls that run: each is cut at its deadline, whatever its handler does then."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Coroutine
from typing import Any

import msgspec

from ..errors import FunctionTimeout, HandlerFailed, forget
from ..protocol import SERVICE_LOGGER
from . import tracebacks
from .tasks import T, eager_task

CANCELLED = "the handler cancelled its own task"
"""What is said of a cancellation that says nothing itself."""

UNWINDING = 1.0
"""Seconds in which a handler that is cancelled ends."""

_log = logging.getLogger(SERVICE_LOGGER)


class Call(msgspec.Struct, eq=False):
    """One call's work.

    `deadline` is a time of the monotonic clock, None for no limit. `stage` says what it does now;
    `thread` is set while a plain `def` handler runs; `over` is true once the call was answered as a
    time-out; `cpu` is for how many seconds that thread has worked, 0.0 if that is not measured.
    """

    deadline: float | None
    began: float = msgspec.field(default_factory=time.monotonic)
    stage: str = "starting"
    thread: int | None = None
    over: bool = False
    cpu: float = 0.0
    ended: asyncio.Future[None] | None = None  # what waits for it

    def cut(self) -> None:
        """End the call now, as its deadline does."""
        self.end()

    def end(self, _: object = None) -> None:
        """Wake up who waits for the call."""
        if self.ended is not None and not self.ended.done():
            self.ended.set_result(None)


class Calls:
    """Runs each call's work in a task of its own, so that nobody waits for it beyond its deadline.

    `lost` counts the work that went on after its answer: a handler that swallows its cancellation,
    or a thread that has not come back.
    """

    def __init__(self) -> None:
        self.lost = 0
        self._running: set[Call] = set()
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = math.inf
        self._left: set[asyncio.Task[Any]] = set()

    async def run(self, call: Call, work: Coroutine[Any, Any, T]) -> T:
        """Return what `work` returns or raise what it raises.

        Work that calls `call.end` as the last thing it does is answered a turn of the loop earlier.
        Raises FunctionTimeout at the deadline, or when `cut_all` is called.
        """
        loop = asyncio.get_running_loop()
        task = eager_task(work, loop)
        if task.done():
            return _result(task)
        call.ended = loop.create_future()
        task.add_done_callback(call.end)
        self.watch(call)
        try:
            await call.ended
        except asyncio.CancelledError:
            self.drop(task)
            raise
        finally:
            self.forget(call)
        if task.done():
            return _result(task)
        raise self.give_up(call, task)

    def watch(self, call: Call) -> None:
        """Cut a call at its deadline, from now on."""
        self._running.add(call)
        if call.deadline is not None and call.deadline < self._alarm_at:
            self._set_alarm(call.deadline)

    def forget(self, call: Call) -> None:
        """Cut a call no more."""
        self._running.discard(call)

    def drop(self, task: asyncio.Task[Any]) -> None:
        """End work that nobody waits for any more."""
        task.cancel()
        task.add_done_callback(_ask)

    def _set_alarm(self, deadline: float) -> None:
        """Look for calls that are over at `deadline`. One timer serves all: to set one for each
        call and to cancel it, as nearly all are, costs more than to look through those that run.
        """
        if self._alarm is not None:
            self._alarm.cancel()
        loop = asyncio.get_running_loop()
        self._alarm_at = deadline
        self._alarm = loop.call_later(max(0.0, deadline - time.monotonic()), self._ring)

    def _ring(self) -> None:
        now = time.monotonic()
        nearest = math.inf
        for call in tuple(self._running):
            if call.deadline is not None and call.deadline > now:
                nearest = min(nearest, call.deadline)
            elif call.deadline is not None:
                call.cut()
        self._alarm_at = math.inf
        if nearest < math.inf:
            self._set_alarm(nearest)

    def give_up(self, call: Call, task: asyncio.Task[Any]) -> FunctionTimeout:
        """Log that a call is over and its work is not, and return the error; the work counts as
        lost until it comes back.
        """
        in_thread = call.thread is not None
        where = (
            tracebacks.running_in(call.thread)
            if call.thread
            else tracebacks.awaited_by(task.get_coro())
        )
        _log.error("FunctionTimeout while %s%s", call.stage, f", at {where}" if where else "")
        call.over = True
        self.lost += 1
        self._left.add(task)
        task.add_done_callback(self._came_back)
        if not in_thread:
            task.cancel()
        return FunctionTimeout(_explain(call))

    def _came_back(self, task: asyncio.Task[Any]) -> None:
        self.lost -= 1
        self._left.discard(task)
        _ask(task)

    def cut_all(self) -> None:
        """End every call now, as if its deadline had come."""
        for call in tuple(self._running):
            call.deadline = None
            call.cut()

    async def unwound(self) -> None:
        """Wait until the handlers that were cut have ended, UNWINDING seconds at most: threads, and
        who meets a cancellation with work, take longer.
        """
        if self._left:
            await asyncio.wait(tuple(self._left), timeout=UNWINDING)


def _result(task: asyncio.Task[T]) -> T:
    if task.cancelled():  # by its handler, or by one beside it
        raise HandlerFailed(asyncio.CancelledError(CANCELLED))
    return task.result()


def _ask(task: asyncio.Task[Any]) -> None:
    """Ask for the failure of work that nobody waits for, which asyncio would log as never asked."""
    if not task.cancelled():
        forget(task.exception())


def _explain(call: Call) -> str:
    if call.deadline is None:
        return f"the service stops and the call was not done in time (it was {call.stage})"
    limit = call.deadline - call.began
    return f"the call was not done within {limit:.3g} seconds (it was {call.stage})"
