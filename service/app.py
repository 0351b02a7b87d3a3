"""The web application: what each path does, top-down. Start reading here."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import orjson
from aiohttp import web

from . import protocol
from .calls import left_behind
from .calls.admission import Admission, Budget
from .calls.allocator import keep_a_little
from .calls.deadline import Call, Calls
from .calls.encode import encode
from .calls.function import Handlers, run
from .calls.lifecycle import Lifecycle
from .calls.stream import EventStream, too_large
from .calls.threads import ThreadPool
from .context import RUNNING, Context, Platform
from .health import summed
from .http.answers import Answer
from .http.middleware import framed, reported
from .http.routes import Handler, Paths
from .instance import (
    SERVICE,
    SHORTEST_HOOK,
    Ask,
    Service,
    _pre_freeze,
    _watchdog,
    alone,
    figures,
    hook,
)
from .logs.log import Logs
from .settings.table import Settings

# --- what each path does


async def invoke(service: Service, request: web.Request) -> web.StreamResponse:
    """Run one event: a slot, the initializer, the event, the handler, its result; all before the
    deadline.
    """
    context = RUNNING.get()
    call = Call(context.deadline)
    work = run_event(service, call, context, _event(service, request))
    result = await service.calls.run(call, work)
    return Answer(result, content_type="application/octet-stream")


async def run_event(
    service: Service, call: Call, context: Context, event: EventStream | bytes
) -> bytes:
    """Return the answer to one event. Raises ServiceError for whatever keeps it from having one."""
    lifecycle, budget, held = service.lifecycle, service.budget, 0
    call.stage = "waiting for a free slot"
    if not service.admission.take():
        await service.admission.enter()
    try:
        if not lifecycle.ready:
            call.stage = "waiting for the initializer"
            await lifecycle.initialized()
        if lifecycle.refusing:
            lifecycle.check_open()
        function = service.handlers.handler
        argument: Any = event
        if function.decode is not None:
            call.stage = "receiving the event"
            if isinstance(event, bytes):
                # Only with a slot: who waits for one keeps no bytes from those that have one.
                if not budget.take(len(event)):
                    await budget.reserve(len(event))
                held = len(event)
                argument, event = function.decode(event), b""  # its memory is the next one's
            else:
                argument = function.decode(await event.read())
        left = left_behind.track()
        try:
            result = await run(function, service.threads, call, argument, context)
        finally:
            if left:
                await left_behind.settle(left, "warn" if call.over else service.settings.background)
        return encode(result)
    finally:
        if isinstance(event, bytes):
            budget.release(held)
        else:
            event.close()
        service.admission.leave()
        call.cut()


def _event(service: Service, request: web.Request) -> EventStream | bytes:
    """Return the body's bytes where they are here and wanted whole, as most are; else a stream."""
    source = request.content
    size = source.total_bytes
    announced = request.content_length
    if (
        source.is_eof()
        and (announced is None or announced == size)
        and source.exception() is None
        and service.handlers.handler.decode
        and size <= service.settings.max_body
    ):
        return source.read_nowait()
    return _stream(service, request)


def _stream(service: Service, request: web.Request) -> EventStream:
    chunked = "Transfer-Encoding" in request.headers
    size = None if chunked else request.content_length or 0
    limit = service.settings.max_body
    if size is not None and size > limit:
        raise too_large(limit)
    source = request.content
    begin = None if source.is_eof() else partial(_begin, request)
    return EventStream(source, size=size, limit=limit, budget=service.budget, begin=begin)


def _begin(request: web.Request) -> None:
    """Let a body come that has not arrived whole, now that it is read.

    Its sender is asked for it where it waits to be asked: nothing is sent that would be refused.
    """
    keep_a_little()
    if "Expect" in request.headers and request.version >= (1, 1) and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


async def initialize(service: Service, _request: web.Request) -> web.StreamResponse:
    """Answer once the initializer has succeeded; it started with the service."""
    await service.ask("initialize", service.lifecycle.initialized)
    return Answer(b"")


async def pre_stop(service: Service, _request: web.Request) -> web.StreamResponse:
    """Drain, run the user's `pre_stop` once, answer."""
    await service.ask("pre_stop", service.lifecycle.stop_for_request)
    return Answer(b"")


async def pre_freeze(service: Service, _request: web.Request) -> web.StreamResponse:
    """Run the user's `pre_freeze`; its log is out before the answer."""
    await service.ask("pre_freeze", _pre_freeze(service))
    return Answer(b"")


async def health(service: Service, _request: web.Request) -> web.StreamResponse:
    """Tell how the instance is: 200 when it can take calls, else 503."""
    state = summed(await service.ask("health", partial(figures, service, asking=1)))
    status = 200 if state["healthy"] else 503
    return Answer(orjson.dumps(state, option=orjson.OPT_APPEND_NEWLINE), status)


# --- assembly


def create_app(
    settings: Settings, platform: Platform, handlers: Handlers, logs: Logs, ask: Ask = alone
) -> web.Application:
    """Return the application that serves `handlers`. Its `on_startup` signal starts the
    initializer. `ask` reaches the other workers of the instance, if there are any.
    """
    calls = Calls()
    lifecycle = Lifecycle(drain_timeout=settings.drain_timeout, hurry=calls.cut_all)
    service = Service(
        settings=settings,
        platform=platform,
        handlers=handlers,
        logs=logs,
        calls=calls,
        admission=Admission(settings.concurrency, settings.queue),
        budget=Budget(settings.body_budget),
        threads=ThreadPool(settings.concurrency),
        lifecycle=lifecycle,
        watchdog=_watchdog(settings, lifecycle, logs),
        started=time.monotonic(),
        ask=ask,
    )
    service.lifecycle.initialize = hook(handlers.initializer, service, settings.initialize_timeout)
    service.lifecycle.pre_stop = hook(
        handlers.pre_stop, service, max(settings.drain_timeout, SHORTEST_HOOK)
    )
    app = web.Application(
        middlewares=[
            framed(logs, platform, settings.timeout, settings.deadline_margin),
            reported(error_trace=settings.error_trace),
        ]
    )
    app[SERVICE] = service
    app.router.register_resource(Paths(_paths(service)))
    app.on_startup.append(_start)
    app.on_cleanup.append(_close)
    return app


def _paths(service: Service) -> dict[str, tuple[tuple[str, ...], Handler]]:
    handlers = {
        protocol.INVOKE: invoke,
        protocol.INITIALIZE: initialize,
        protocol.PRE_STOP: pre_stop,
        protocol.PRE_FREEZE: pre_freeze,
    }
    paths: dict[str, tuple[tuple[str, ...], Handler]] = {
        o.path: (o.methods, partial(handler, service)) for o, handler in handlers.items()
    }
    return paths | {protocol.HEALTH_PATH: (("GET", "HEAD"), partial(health, service))}


async def _start(app: web.Application) -> None:
    app[SERVICE].logs.sink.attach()
    app[SERVICE].lifecycle.start()
    app[SERVICE].watchdog.start()
    app[SERVICE].watchdog.wake()  # the initializer may block the loop too


async def _close(app: web.Application) -> None:
    app[SERVICE].watchdog.stop()
    app[SERVICE].threads.close()
    app[SERVICE].logs.sink.detach()
