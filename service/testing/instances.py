"""An instance of the function within a test: its hooks run, its calls are made as the service makes
them, and nothing of it is left.
"""

from __future__ import annotations

import asyncio
import time
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, TypeVar

from aiohttp import web
from msgspec.structs import replace

from .. import protocol
from ..app import assemble_app
from ..calls import tracebacks
from ..calls.function import Handlers
from ..calls.left_behind import every_task, task_factory, track_on
from ..calls.tasks import context_of
from ..context.call import Context, TaskContext
from ..context.record import CallRecord
from ..embed import loaded_for
from ..errors import HandlerFailed, ServiceError
from ..in_process import call_in_process
from ..instance.assembly import SERVICE, Service
from ..settings.load import Loaded
from .call_logs import CallLogs
from .contexts import headers_of

Returns = TypeVar("Returns")
NamedHandler = Callable[..., Any] | str
Served = Callable[[web.Application], AbstractAsyncContextManager[None]]
"""Has an application that runs."""

END_WITHIN = 1.0
"""Seconds in which tasks that a call has left running end, once they are cancelled."""


class LeftRunning(UserWarning):
    """A call has left tasks running. They were cancelled."""


class TestedInstance:
    """The function, loaded and not started, with the log that its calls write to."""

    __test__ = False  # no class of tests

    def __init__(self, handler: NamedHandler, log: CallLogs, settings: dict[str, Any]) -> None:
        loaded, self.handlers = loaded_for(handler, settings)
        self.loaded: Loaded = Loaded(
            replace(loaded.settings, log_format="json"), loaded.sources, loaded.platform
        )
        self.log = log
        self.is_shown = True
        """Whether pytest has its log records, too."""
        self._ids: set[str] = set()
        self.left: list[str] = []
        """Tasks that its calls have left running at the end."""

    def change(self, change: Callable[[Handlers], Handlers]) -> None:
        """Serve something else in the place of what was loaded."""
        self.handlers = change(self.handlers)

    @asynccontextmanager
    async def running(self, served: Served | None = None) -> AsyncIterator[Service]:
        """Start it on the running loop, its initializer and its lifespan; stop it at the end.
        `served` starts and ends its application, by default without a socket.

        Tasks that its calls have left running are cancelled, and `left` names them.
        """
        settings, loop = self.loaded.settings, asyncio.get_running_loop()
        app = assemble_app(settings, self.loaded.platform, self.handlers, self.log.logs)
        app.on_cleanup.insert(0, _stop)
        factory = loop.get_task_factory()
        with self.log.taking(settings.log_level, is_shown=self.is_shown):
            track_on(loop)
            try:
                async with (served or _set_up)(app):
                    yield app[SERVICE]
            finally:
                await self._end_tasks(loop)
                loop.set_task_factory(factory)

    async def _end_tasks(self, loop: asyncio.AbstractEventLoop) -> None:
        left = [task for task in every_task(loop) if self._is_ours(task)]
        self.left += [_named(task) for task in left]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=END_WITHIN)

    def _is_ours(self, task: asyncio.Task[Any]) -> bool:
        context = context_of(task)
        if context is None or task is asyncio.current_task() or isinstance(context, TaskContext):
            return False
        return context.request_id in self._ids

    async def call(self, service: Service, event: bytes, values: dict[str, Any]) -> bytes:
        """Return the answer to one event, by its deadline, with the lines of the platform around
        it. Raises what the handler raises, and ServiceError.
        """
        headers = headers_of(values, service.handlers.handler.name)
        context = self._context(service, headers)
        self.note(context.request_id)
        # In a task of its own: what it sets in context variables is not the test's.
        return await asyncio.get_running_loop().create_task(_called(service, context, event))

    def note(self, request_id: str) -> None:
        """Know a call that begins: its tasks are ended with the instance."""
        self._ids.add(request_id)
        self.log.last_id = request_id

    def _context(self, service: Service, headers: dict[str, str]) -> Context:
        settings, record = service.settings, CallRecord(time.monotonic())
        given = headers[protocol.FUNCTION_TIMEOUT]
        margin = 0.0 if given else settings.deadline_margin
        limit = protocol.time_limit(given, settings.timeout, margin)
        deadline = None if limit is None else record.arrived + limit
        request_id = headers[protocol.REQUEST_ID]
        return Context(headers, request_id, deadline, service.platform, record)

    def warn(self) -> None:
        """Warn of the tasks that were left running: LeftRunning."""
        if self.left:
            warnings.warn(LeftRunning(_told(self.left)), stacklevel=2)


def _told(left: list[str]) -> str:
    names = ", ".join(left[:5]) + (", ..." if len(left) > 5 else "")
    return (
        f"the handler left {len(left)} tasks running, which were cancelled: {names}; an instance"
        ' freezes after the answer: await them, or set background to "wait"'
    )


async def _called(service: Service, context: Context, event: bytes) -> bytes:
    service.lifecycle.enter()
    try:
        return await call_in_process(service, context, event)
    except HandlerFailed as error:
        cause = error.__cause__
        # Ctrl-C while the handler's code runs ends the test, and so does a time-out of pytest's.
        if cause is None or isinstance(cause, SystemExit | GeneratorExit | asyncio.CancelledError):
            raise
        raise cause from cause.__cause__
    finally:
        service.lifecycle.leave()


@asynccontextmanager
async def _set_up(app: web.Application) -> AsyncIterator[None]:
    limit = app[SERVICE].settings.drain_timeout
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=limit)
    try:
        await runner.setup()
        yield
    finally:
        await runner.cleanup()


async def _stop(app: web.Application) -> None:
    with suppress(ServiceError):  # it is logged
        await app[SERVICE].lifecycle.stop()


def _named(task: asyncio.Task[Any]) -> str:
    work = task.get_coro()
    name = getattr(work, "__qualname__", type(work).__name__)
    place = tracebacks.awaited_by(work)
    return f"{name} at {place.file}:{place.line}" if place else name


def run_alone(work: Coroutine[Any, Any, Returns]) -> Returns:
    """Return what `work` returns, on an event loop of its own which is nobody's current one before
    or after. What is left of it, if it is interrupted too, is cancelled and awaited.
    """
    __tracebackhide__ = True
    loop = asyncio.new_event_loop()
    loop.set_task_factory(task_factory)
    main = loop.create_task(work)
    try:
        loop.run_until_complete(asyncio.wait([main]))
        return main.result()
    finally:
        left = every_task(loop)
        for task in left:
            task.cancel()
        with suppress(BaseException):
            if left:
                loop.run_until_complete(asyncio.wait(left, timeout=END_WITHIN))
            loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
