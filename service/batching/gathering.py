"""Gathers the calls of a function, and says when they are handed over."""

from __future__ import annotations

import asyncio
import contextvars
import math
import time
from collections import deque
from functools import partial
from typing import Any

from ..calls.lifecycle import Lifecycle, lifecycle_here
from ..calls.threads import ThreadPool
from ..context.call import Context
from .batch import SHORTEST_TIMER, Batch, BatchedCall, BatchPlan
from .figures import note_begin
from .pace import ArrivalPace

MOST_LOST = 64
"""Threads that may hang, of batches that were given up, before further batches wait for them."""


class Gathering:
    """The calls of one function on one event loop: those that wait, in the order of their arrival,
    and the batches that run.
    """

    def __init__(self, plan: BatchPlan) -> None:
        self._plan = plan
        self._pace = ArrivalPace(plan.max_wait)
        self._pool = ThreadPool(plan.concurrency + MOST_LOST, "batch")
        self._life: Lifecycle | None = None
        self._waiting: deque[BatchedCall] = deque()
        self._running = 0  # batches
        self._under_way = 0  # calls that were handed over
        self._returning = 0  # callers that were answered, and most often call again
        self._free_at = -math.inf  # when a batch has ended, the last time
        self._next: asyncio.Handle | None = None  # the next look
        self._next_at = math.inf
        self._variables = contextvars.Context()  # no call's

    def add(self, event: Any, context: Context | None) -> BatchedCall:
        """Take a call, whose future gets its outcome. Called where it runs."""
        if not self._waiting:
            self._life = lifecycle_here()
        call = BatchedCall(event, context)
        self._pace.note(call.came)
        self._returning = max(0, self._returning - 1)
        self._waiting.append(call)
        if len(self._waiting) >= self._plan.max_size and self._running < self._plan.concurrency:
            self._start()
        self._plan_look(call.came)
        return call

    def leave(self, call: BatchedCall) -> None:
        """Let a call go that waits no longer."""
        if call.batch is not None:
            call.batch.left()
        elif call in self._waiting:
            self._waiting.remove(call)

    def close(self) -> None:
        """Let the idle threads end: the loop is closed."""
        self._pool.close()

    def _plan_look(self, now: float) -> None:
        """See to it that the calls that wait are looked at in time."""
        if not self._waiting or self._running >= self._plan.concurrency:
            return  # whatever ends looks again
        due = self._due(now)
        if self._next is not None:
            if self._next_at <= due:
                return
            self._next.cancel()
        loop = asyncio.get_running_loop()
        self._next_at = due
        if (
            due - now < SHORTEST_TIMER
        ):  # not before the turn's end: others may have come in the same one
            self._next = loop.call_soon(self._look, context=self._variables)
        else:
            self._next = loop.call_later(due - now, self._look, context=self._variables)

    def _look(self) -> None:
        self._next, self._next_at = None, math.inf
        now = time.monotonic()
        while self._waiting and self._running < self._plan.concurrency:
            if len(self._waiting) < self._plan.max_size and self._due(now) - now >= SHORTEST_TIMER:
                break
            self._start()
        self._plan_look(now)

    def _due(self, now: float) -> float:
        """Return when what waits is handed over if no other call comes.

        That is at once if they are as many as may be together, as they are if they have come while
        others ran, if no other request is in flight, or if none is expected soon; else once the
        usual time has passed without a call, and at the latest when the batch could have begun for
        `max_wait` seconds, or half of the time has passed that one of the calls had.
        """
        count = len(self._waiting)
        if count >= self._plan.max_size:
            return now
        in_flight = 0 if self._life is None else self._life.in_flight
        returning = self._returning if now < self._free_at + self._plan.max_wait else 0
        if in_flight <= count and not self._under_way and not returning:
            return now
        half_time = min((call.came + call.deadline) / 2 for call in self._waiting)
        could_begin = max(self._free_at, self._waiting[0].came)
        latest = min(could_begin + self._plan.max_wait, half_time)
        return min(latest, max(self._free_at, self._pace.last) + self._pace.wait())

    def _start(self) -> None:
        """Hand over as many calls as may be together, the first ones first."""
        calls = [
            self._waiting.popleft() for _ in range(min(self._plan.max_size, len(self._waiting)))
        ]
        now, count = time.monotonic(), len(calls)
        note_begin(self._plan.name, [(call.context, now - call.came) for call in calls])
        self._running += 1
        self._under_way += count
        batch = Batch(self._plan, calls, self._pool, self._life, partial(self._ended, count))
        for call in calls:
            call.batch = batch

    def _ended(self, count: int, answered: int) -> None:
        """Take note that a batch of so many calls has ended, and how many of them were answered."""
        now = time.monotonic()
        if now >= self._free_at + self._plan.max_wait:
            self._returning = 0
        self._returning += answered
        self._free_at = now
        self._running -= 1
        self._under_way -= count
        self._plan_look(now)
