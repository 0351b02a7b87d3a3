"""`fc_invoke`: one call in this process, in a plain test or an async one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

from ..context.call import Context
from ..instance.assembly import Service
from .call_logs import CallLogs
from .contexts import GivenContext
from .instances import NamedHandler, TestedInstance, run_alone
from .samples import event_body


def run_or_return(work: Callable[[], Coroutine[Any, Any, Any]], *, is_async: bool) -> Any:
    """Return what the work returns; where an event loop runs, something to await.

    Raises RuntimeError in an async test on a loop that is not asyncio's, as trio's is.
    """
    __tracebackhide__ = True
    if _runs_here():
        return work()
    if is_async:
        raise RuntimeError(
            "the service runs on asyncio, and this async test does not: run it with"
            ' anyio_backend "asyncio", not trio'
        )
    return run_alone(work())


def _runs_here() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def value_of(answer: bytes) -> Any:
    """Return an answer as its caller reads it: the JSON's value, else text, else bytes."""
    try:
        return json.loads(answer)
    except ValueError:
        pass
    try:
        return answer.decode()
    except UnicodeDecodeError:
        return answer


class CallHandler:
    """Calls handlers in this process, each as an instance of its own: initializer and lifespan, the
    call, `pre_stop`. Calls of one handler that overlap are calls of one instance.
    """

    def __init__(self, log: CallLogs, values: dict[str, Any], *, is_async: bool) -> None:
        self._log = log
        self._values = values
        self._is_async = is_async
        self._shared: dict[object, SharedInstance] = {}
        self.request_id = ""
        """That of the last call that was begun: `fc_logs.of(fc_invoke.request_id)`."""
        self.answer = b""
        """The bytes of the last answer."""

    def __call__(
        self,
        handler: NamedHandler,
        event: object = b"{}",
        context: Context | None = None,
        /,
        **settings: Any,
    ) -> Any:
        """Return the handler's result as its caller reads it, or in an async test an awaitable of
        it. `event` is bytes or text, anything else is sent as JSON; settings go by their names.

        Raises what the handler raises; FunctionTimeout, InvalidEvent and the like as the service
        answers them; StartError for a handler that cannot be served.
        """
        __tracebackhide__ = True
        values = dict(self._values)
        if isinstance(context, GivenContext):
            values = context.given() | {"request_id": context.request_id}
        elif context is not None:
            values |= {"headers": dict(context.headers), "request_id": context.request_id}
        body = event_body(event)

        async def work() -> Any:
            return await self._call(handler, body, values, settings)

        return run_or_return(work, is_async=self._is_async)

    async def _call(
        self, handler: NamedHandler, event: bytes, values: dict[str, Any], settings: dict[str, Any]
    ) -> Any:
        key = (handler, asyncio.get_running_loop(), repr(sorted(settings.items())))
        shared = self._shared.get(key)
        if shared is None:
            shared = self._shared[key] = SharedInstance(
                TestedInstance(handler, self._log, settings), lambda: self._shared.pop(key)
            )
        async with shared as service:
            self.answer = await shared.instance.call(service, event, values)
            self.request_id = self._log.last_id
        return value_of(self.answer)


class SharedInstance:
    """An instance that calls share: started by the first of them, stopped by the last."""

    def __init__(self, instance: TestedInstance, over: Callable[[], object]) -> None:
        self.instance = instance
        self._over = over
        self._users = 0
        self._starting = asyncio.Lock()
        self._running = AsyncExitStack()
        self._service: Service | None = None

    async def __aenter__(self) -> Service:
        """Start it, or wait until it has started."""
        self._users += 1
        try:
            async with self._starting:
                if self._service is None:
                    running = self.instance.running()
                    self._service = await self._running.enter_async_context(running)
        except BaseException:
            self._leave()
            raise
        return self._service

    async def __aexit__(self, *failure: object) -> None:
        """Stop it, if nobody else uses it."""
        if self._leave():
            await self._running.aclose()
            self.instance.warn()

    def _leave(self) -> bool:
        self._users -= 1
        if not self._users:
            self._over()
        return not self._users
