"""One batch: it hands its calls over together, and gives each of them what is its own."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

from ..calls import left_behind, tracebacks
from ..calls.callables import HandlerKind
from ..calls.lifecycle import HERE, Lifecycle
from ..calls.threads import ThreadOutcome, ThreadPool, end_with_forks
from ..context.call import RUNNING, Context
from ..context.derived import shared_context
from ..errors import BatchFailed, FunctionTimeout
from ..protocol import SERVICE_LOGGER
from . import figures
from .results import failed_outcomes, outcomes_of

MARGIN = 0.02
"""Seconds before its deadline at which a call is told that its batch is late, and at most a tenth
of what it had left. Without it the call would be answered with what is said of any call that is
late.
"""

SHORTEST_TIMER = 0.0005
"""Seconds that no timer is set for: event loops count in milliseconds."""

_log = logging.getLogger(SERVICE_LOGGER)


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """What is batched, and how. Times are in seconds."""

    function: Callable[..., Any]
    name: str
    kind: HandlerKind
    takes_contexts: bool
    max_size: int
    max_wait: float
    concurrency: int
    timeout: float | None


class BatchedCall:
    """A call that waits for its batch, and then for its result."""

    __slots__ = ("batch", "came", "context", "deadline", "event", "future")

    def __init__(self, event: Any, context: Context | None) -> None:
        self.event = event
        self.context = context
        self.came = time.monotonic()
        limit = None if context is None else context.deadline
        self.deadline = math.inf if limit is None else limit
        self.future: asyncio.Future[ThreadOutcome] = asyncio.get_running_loop().create_future()
        self.batch: Batch | None = None

    def give(self, outcome: ThreadOutcome) -> None:
        """Give it what it came to, unless nobody waits any more."""
        if not self.future.done():
            self.future.set_result(outcome)


class Batch:
    """Calls that are handed over together. `ended` is called once, with how many were answered:
    when the function is done, or when none of the calls waits for it any more.

    Its task is no call's: it has context variables of its own, and goes on when a call has left.
    """

    def __init__(
        self,
        plan: BatchPlan,
        calls: Sequence[BatchedCall],
        pool: ThreadPool,
        life: Lifecycle | None,
        ended: Callable[[int], None],
    ) -> None:
        self._plan = plan
        self._calls = calls
        self._pool = pool
        self._ended = ended
        self._began = time.monotonic()
        self._late_at = math.inf if plan.timeout is None else self._began + plan.timeout
        self._timer: asyncio.TimerHandle | None = None
        self._thread: int | None = None
        self._is_over = False
        self._variables = contextvars.Context()
        self._variables.run(self._set_variables, life)
        loop = asyncio.get_running_loop()
        # Made within: a task belongs to the call in whose variables it is made.
        self._task: asyncio.Task[None] = self._variables.run(
            lambda: loop.create_task(self._run(), context=self._variables)
        )
        self._watch(loop)

    def _set_variables(self, life: Lifecycle | None) -> None:
        contexts = [call.context for call in self._calls if call.context is not None]
        if life is not None:
            life.enter_variables()
            HERE.set(life)
        if contexts:
            earliest = min(call.deadline for call in self._calls)
            deadline = None if earliest == math.inf else earliest
            RUNNING.set(shared_context(contexts, deadline))
            if _log.isEnabledFor(logging.DEBUG):
                ids = ", ".join(context.request_id for context in contexts)
                _log.debug("%s gets a batch of %d: %s", self._plan.name, len(contexts), ids)

    @property
    def _open(self) -> Iterator[BatchedCall]:
        """The calls that wait for it."""
        return (call for call in self._calls if not call.future.done())

    # --- run

    async def _run(self) -> None:
        left_behind.track()  # who looks at all tasks here finds those that are made here
        count = len(self._calls)
        try:
            outcomes = outcomes_of(await self._returned(), count, self._plan.name)
        except asyncio.CancelledError:
            reason = f"the batch of {count} calls was cancelled from within: let it return"
            self._finish(failed_outcomes(BatchFailed(f"{self._plan.name}: {reason}"), count))
            raise
        except BaseException as failure:
            self._finish(failed_outcomes(failure, count))
        else:
            self._finish(outcomes, failed=False)

    async def _returned(self) -> Any:
        plan = self._plan
        events = [call.event for call in self._calls]
        contexts = [call.context for call in self._calls]
        arguments = (events, contexts) if plan.takes_contexts else (events,)
        if plan.kind != "sync":
            return await end_with_forks(plan.function(*arguments))
        outcome = await self._pool.run(self._in_thread, arguments)
        if outcome.failure is not None:
            raise outcome.failure
        # A plain function around an async one: what it has begun goes on here.
        returned = outcome.result
        return await end_with_forks(returned) if isawaitable(returned) else returned

    def _in_thread(self, arguments: tuple[Any, ...]) -> Any:
        self._thread = threading.get_ident()
        try:
            return self._plan.function(*arguments)
        finally:
            self._thread = None

    def _finish(self, outcomes: Sequence[ThreadOutcome], *, failed: bool = True) -> None:
        if self._is_over:
            return
        answered = len(list(self._open))
        for call, outcome in zip(self._calls, outcomes, strict=True):
            call.give(outcome)
        self._end(answered, failed=failed)

    def _end(self, answered: int, *, failed: bool) -> None:
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()
        figures.note_end(self._plan.name, time.monotonic() - self._began, failed=failed)
        self._ended(answered)

    # --- calls that leave it, and deadlines

    def left(self) -> None:
        """Take note that a call has gone; the function is cancelled if it was the last one."""
        if not self._is_over and not any(self._open):
            self._variables.run(self._give_up, "none of its calls waits any more")

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        earliest = min(map(self._late, self._open), default=math.inf)
        at = min(earliest, self._late_at)
        if at < math.inf:
            delay = max(0.0, at - time.monotonic())
            self._timer = loop.call_later(delay, self._look, context=self._variables)

    def _late(self, call: BatchedCall) -> float:
        """Return when a call is told that its batch is late."""
        left = max(0.0, call.deadline - self._began)
        return call.deadline - min(MARGIN, left / 10)

    def _look(self) -> None:
        """Fail the calls that cannot wait any longer."""
        now = time.monotonic()
        for call in tuple(self._open):  # a timer may ring a little early
            if min(self._late_at, self._late(call)) - now < SHORTEST_TIMER:
                call.give(ThreadOutcome(None, self._lateness(now)))
        if any(self._open):
            self._watch(asyncio.get_running_loop())
        else:
            self._give_up(f"it has not returned within {now - self._began:.3g} seconds")

    def _lateness(self, now: float) -> FunctionTimeout:
        return FunctionTimeout(
            f"{self._plan.name} has not returned within {now - self._began:.3g} seconds for the"
            f" {len(self._calls)} calls of its batch: make the batch smaller (max_size), or the"
            " function's timeout longer"
        )

    def _give_up(self, why: str) -> None:
        place = (
            tracebacks.running_in(self._thread)
            if self._thread
            else tracebacks.awaited_by(self._task.get_coro())
        )
        where = f", at {place}" if place else ""
        size = len(self._calls)
        _log.warning("a batch of %d calls was given up%s: %s", size, where, why)
        self._end(0, failed=True)
        self._task.cancel()
