"""The function's `around`: what it does before and behind each call, and what it sees of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from ..calls.deadline import Call
from ..calls.function import Function
from ..context.call import Context, record_of
from ..errors import FunctionTimeout, HandlerFailed, ServiceError
from ..http.middleware import report
from ..instance.assembly import Service
from ..instance.call_figures import OUTCOME_OF
from .managers import Manager, manager_of

Begin = Callable[[], Coroutine[Any, Any, bytes]]


class AroundCall:
    """One call, as `around(call)` sees it. What it has come to is known behind the `yield`."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.error: BaseException | None = None
        """What the call failed with: the exception that the function's code has raised, or the
        service's error; None if it succeeded, or still runs.
        """
        self.error_type = ""
        """The `errorType` of its answer, "" if it succeeded, or still runs."""
        self._ended_at = 0.0
        self.outcome = ""
        """As in `/metrics`: `success`, `function_error`, `timeout`, `refused`, `bad_request`,
        `client_gone` or `service_error`; "" while it runs.
        """

    @property
    def queue_seconds(self) -> float:
        """How long it has waited for a slot; 0.0 if it had one at once."""
        record = record_of(self.context)
        return (record.slot_at or self._ended_at or time.monotonic()) - record.arrived

    @property
    def handler_seconds(self) -> float:
        """How long its handler ran; 0.0 if it did not, or still runs."""
        record = record_of(self.context)
        return record.handled_at - record.handler_at if record.handled_at else 0.0

    @property
    def event_bytes(self) -> int:
        """The size of the event, as far as it was read."""
        return record_of(self.context).bytes_in

    @property
    def result_bytes(self) -> int:
        """The size of the result; 0 if there is none."""
        return record_of(self.context).bytes_out

    def end(self, failure: BaseException | None) -> None:
        """Note what it has come to."""
        self._ended_at = time.monotonic()
        if failure is None:
            self.outcome = "success"
            return
        self.error = failure.failure if isinstance(failure, HandlerFailed) else failure
        self.error_type = failure.code if isinstance(failure, ServiceError) else "ServiceError"
        self.outcome = OUTCOME_OF.get(self.error_type, "function_error")


class Around:
    """Runs calls with the function's `around` about them: its first half when a call has arrived,
    the other when it is known what the call has come to, before it is answered.
    """

    def __init__(self, function: Function, service: Service) -> None:
        self._function = function
        self._service = service

    async def __call__(self, context: Context, begin: Begin) -> bytes:
        """Return what the call that `begin` begins returns, or raise what it raises.

        What `around` itself raises is the call's failure, unless it has another one. It may take a
        half of `deadline_margin` longer than the call.
        """
        outer = Call(context.deadline)
        if outer.deadline is not None:
            outer.deadline += self._service.settings.deadline_margin / 2
        return await self._service.calls.run(outer, self._run(outer, context, begin))

    async def _run(self, outer: Call, context: Context, begin: Begin) -> bytes:
        lifecycle, inherited = self._service.lifecycle, self._service.inherited
        outer.stage = "waiting for the initializer"
        if not lifecycle.ready and not lifecycle.refusing:
            await lifecycle.initialized()
        outer.stage = self._function.stage
        if inherited.values:
            inherited.enter()
        seen = AroundCall(context)
        manager = await self._enter(seen)
        failure: BaseException | None = None
        try:
            result = await begin()
        except asyncio.CancelledError as cancelled:
            timed_out = FunctionTimeout("the call was not done in time")
            failure = timed_out if outer.over else cancelled
        except Exception as reason:
            failure = reason
        seen.end(failure)
        await self._leave(manager, failure)
        if failure is not None:
            raise failure
        return result

    async def _enter(self, seen: AroundCall) -> Manager:
        try:
            manager = manager_of(self._function.call(seen), self._function.name)
            await manager.__aenter__()
            return manager
        except ServiceError:
            raise
        except BaseException as reason:
            raise HandlerFailed(reason) from reason

    async def _leave(self, manager: Manager, failure: BaseException | None) -> None:
        try:
            await manager.__aexit__(None, None, None)
        except BaseException as reason:
            error = HandlerFailed(reason)
            if failure is None:
                raise error from reason
            report(error)
