"""One call in an instance, from its event to its outcome."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from .. import failures
from ..calls import Invocation, Outcome
from .calling import SUCCESS, Answered, CallEnd, InstanceCalls
from .plain_answer import InstanceAnswer


class InstanceCall:
    """A call that has a slot, and lets go of it, whatever comes of it. Over a warm connection no
    task waits for it: what comes back is dealt with where it arrives.

    `outcome` fails with PlatformError if the instance gives no answer. If it is cancelled, the call
    goes on. `over` is called at the call's end.
    """

    __slots__ = ("_answered", "_began", "_call", "_calls", "_cold", "_over", "_work", "outcome")
    outcome: asyncio.Future[Outcome]

    def __init__(
        self, calls: InstanceCalls, call: Invocation, over: Callable[[], None], *, cold: bool
    ) -> None:
        self._calls = calls
        self._call = call
        self._cold = cold
        self._over = over
        self._answered: Answered | None = None
        self._began = time.perf_counter()
        self._work: asyncio.Task[None] | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Thaw the instance, and send the event: now, or once there is a connection."""
        self.outcome = loop.create_future()
        calls = self._calls
        try:
            calls.opened(self._call)
            connection = calls.connections.take()
            if connection is None:
                self._work = loop.create_task(self._connect())
            else:
                calls.send(connection, self._call, loop.time() + calls.limit, self._take)
        except Exception as reason:
            self._miss(reason)

    async def _connect(self) -> None:
        end = asyncio.get_running_loop().time() + self._calls.limit
        try:
            connection = await self._calls.connections.open(self._calls.limit)
            self._calls.send(connection, self._call, end, self._take)
        except Exception as fault:
            await self._conclude_missed(fault)

    def _take(self, answer: InstanceAnswer | Exception) -> None:
        if isinstance(answer, InstanceAnswer):
            error = "" if answer.verdict in SUCCESS else failures.UNHANDLED
            self._end(Answered(self._duration, answer.body, error), self._calls.end_soon)
        else:
            self._miss(answer)

    def _miss(self, fault: Exception) -> None:
        self._work = self.outcome.get_loop().create_task(self._conclude_missed(fault))

    async def _conclude_missed(self, fault: Exception) -> None:
        duration = self._duration
        try:
            answered = await self._calls.missed(fault, self._call, duration)
        except Exception as reason:
            answered = Answered(duration, failure=reason)
        self._end(answered, lambda end: self._calls.end([end]))

    @property
    def _duration(self) -> float:
        return time.perf_counter() - self._began

    def _end(self, answered: Answered, end: Callable[[CallEnd], None]) -> None:
        if self._answered is None:
            self._answered = answered
            end((self._call.request_id, answered.duration, self._conclude))

    def _conclude(self) -> None:
        outcome = self.outcome
        assert self._answered is not None
        try:
            ended = self._calls.ended(self._call, self._answered, cold=self._cold)
        except Exception as reason:
            if not outcome.done():
                outcome.set_exception(reason)
                outcome.exception()  # if the client has left, nobody else asks
        else:
            if not outcome.done():
                outcome.set_result(ended)
        finally:
            self._over()
