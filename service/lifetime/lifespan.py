"""The function's `lifespan`: opened before the first call, closed after the last one."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

from msgspec.structs import replace

from ..calls.deadline import UNWINDING
from ..calls.function import HOOKS, Function, Handlers
from ..calls.left_behind import track_hook
from ..calls.lifecycle import HERE
from ..context.call import RUNNING, Context, give_state
from ..errors import FunctionTimeout, HandlerFailed, InitializationError, Stopping
from ..http.middleware import report
from ..instance.assembly import Service
from ..instance.hooks import hook
from ..protocol import SERVICE_LOGGER, new_request_id
from .managers import manager_of, place_in

CLOSES_WITHIN = 1.0
"""Seconds that a lifespan has to close even if the time for it is up."""

_log = logging.getLogger(SERVICE_LOGGER)


class Lifespan:
    """A function's lifespan. It runs in one task, of the instance's, from its first line to its
    last: what it enters before its `yield` it leaves behind it.
    """

    def __init__(self, function: Function) -> None:
        self._function = function
        self._run: LifespanRun | None = None

    def given_to(self, handlers: Handlers) -> Handlers:
        """Return the handlers with `context.state` in each call, each hook and `around`."""
        hooks = {name: getattr(handlers, name) for name in HOOKS}
        found: dict[str, Any] = {n: self._with_state(each) for n, each in hooks.items() if each}
        if handlers.around is not None:
            found["around"] = replace(handlers.around, call=self._giving(handlers.around.call))
        return replace(handlers, handler=self._with_state(handlers.handler), **found)

    def _with_state(self, function: Function) -> Function:
        if function.routes:
            return replace(function, routes=tuple(map(self._with_state, function.routes)))
        return replace(function, call=self._giving(function.call))

    def _giving(self, call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def begin(*arguments: Any) -> Any:
            last = arguments[-1]
            self.give_to(last if isinstance(last, Context) else last.context)
            return call(*arguments)

        return begin

    def give_to(self, context: Context) -> None:
        """Let `context.state` be what was yielded, as long as the lifespan is open."""
        run = self._run
        if run is not None and run.is_open:
            give_state(context, run.value)

    def join(self, service: Service) -> None:
        """Open with the start of a service, before `initialize`, and close behind `pre_stop`."""
        lifecycle, settings = service.lifecycle, service.settings

        async def initialize() -> None:
            until = time.monotonic() + settings.initialize_timeout
            await self._open(service, settings.initialize_timeout)
            left = max(0.0, until - time.monotonic())
            own = service.handlers.initializer
            await hook(own, service.calls, service.platform, left, service.threads)()
            if self._run is None or not self._run.is_open:
                raise InitializationError("the lifespan has ended while the initializer ran")

        lifecycle.initialize = initialize
        lifecycle.at_stop.append(self._close)

    async def _open(self, service: Service, seconds: float) -> None:
        """Open it, unless it is. Raises InitializationError if it fails or takes too long."""
        if self._run is not None and self._run.is_open:
            return
        self._run = LifespanRun(self._function, service)
        await self._run.opened(seconds)

    async def _close(self, seconds: float) -> None:
        run, self._run = self._run, None
        if run is not None:
            await run.close(max(seconds, CLOSES_WITHIN))


class LifespanRun:
    """A lifespan from its beginning to its end."""

    def __init__(self, function: Function, service: Service) -> None:
        self.value: Any = None
        self.is_open = False
        self._service = service
        self._function = function
        self._made: Any = None
        self._raised: BaseException | None = None
        self._closing = asyncio.Event()
        self._reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._context = Context({}, new_request_id(), None, service.platform)
        # In a context of its own: it is no call's, not even if a call has begun it.
        self.task = self._own(self._live())

    def _own(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        loop = asyncio.get_running_loop()
        return contextvars.Context().run(loop.create_task, work, name="lifespan")

    def _enter(self) -> None:
        self._service.lifecycle.enter_variables()
        RUNNING.set(self._context)
        HERE.set(self._service.lifecycle)
        track_hook()

    async def _live(self) -> None:
        """Open, wait until the end begins, close."""
        self._enter()
        before = contextvars.copy_context()
        try:
            self._made = self._function.call(self._context)
            async with manager_of(self._made, self._function.name) as value:
                self._service.inherited.take(before)
                self.value, self.is_open = value, True
                if not self._reached.done():
                    self._reached.set_result(None)
                await self._closing.wait()
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as failure:  # SystemExit, too: raised here it would end the loop
            self._raised = failure
        finally:
            self.is_open = False

    async def opened(self, seconds: float) -> None:
        """Wait until it is open. Raises InitializationError if that fails or takes too long."""
        await asyncio.wait(
            {self.task, self._reached}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        if self._closing.is_set():
            raise Stopping("the instance stops while its lifespan is opened")
        if self._reached.done():
            self.task.add_done_callback(self._ended)
            return
        if self.task.done():
            failure = self._failure()
            raise InitializationError(f"the lifespan failed: {failure.code}: {failure}")
        place = place_in(self._made)
        await self._cancel()
        said = f"{self._function.name} was not open within {seconds:g} s{place}"
        self._say("%s", said)
        raise InitializationError(
            f"{said}: do less before its yield, or set initialize_timeout to more"
        )

    async def close(self, seconds: float) -> None:
        """Have it close, and wait for that. Raises its failure, which is logged."""
        self._closing.set()
        if not self.is_open:  # it is being opened: nothing of it is used
            await self._cancel()
            return
        await asyncio.wait({self.task}, timeout=seconds)
        if not self.task.done():
            place = place_in(self._made)
            await self._cancel()
            error = FunctionTimeout(
                f"{self._function.name} has not closed within {seconds:g} s{place}: do less behind"
                " its yield, or set drain_timeout to more"
            )
            self._as_own(report, error)
            raise error
        if self.task.cancelled() or self._raised is not None:
            raise self._failure()

    async def _cancel(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task}, timeout=UNWINDING)

    def _ended(self, _task: asyncio.Task[None]) -> None:
        """Open once more with the next call, if it has ended while calls are served."""
        if self._closing.is_set() or self.task.cancelled():  # the process ends
            return
        failure = self._failure()
        self._say(
            "%s has ended while calls are served, by %s: it is opened again with the next call",
            self._function.name,
            failure.code,
        )
        self._service.lifecycle.begin_anew()

    def _failure(self) -> HandlerFailed:
        """Return how it has failed; it is logged."""
        cancelled = asyncio.CancelledError("the lifespan was cancelled")
        failure = HandlerFailed(self._raised or cancelled)
        self._as_own(report, failure)
        return failure

    def _say(self, message: str, *arguments: object) -> None:
        self._as_own(_log.error, message, *arguments)

    def _as_own(self, step: Callable[..., object], *arguments: Any) -> None:
        variables = contextvars.Context()
        variables.run(RUNNING.set, self._context)
        variables.run(step, *arguments)
