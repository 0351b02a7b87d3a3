"""The web application: what each path does, top-down. Start reading here."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Middleware
from aiohttp.web_app import Application
from msgspec.structs import replace

from . import protocol
from .calls import left_behind
from .calls.admission import Admission
from .calls.allocator import keep_a_little
from .calls.deadline import Call
from .calls.encode import encode
from .calls.function import Handlers, run
from .calls.lifecycle import Lifecycle
from .calls.stream import EventStream, too_large
from .context.call import RUNNING, Context, Platform, record_of
from .context.record import CallRecord
from .errors import ServiceError
from .http.answers import RESULT, Answer
from .http.body import WholeBody
from .http.direct import DirectCalls
from .http.middleware import Framing, framed, reported
from .http.routes import DIRECT, OWN_RINGS, Handler, Paths
from .instance.assembly import SERVICE, Service, assemble
from .instance.duties import DUTIES, Ask, Duty, alone
from .logs.log import Logs
from .settings.table import Settings

Body = EventStream | bytes
"""An event as it has come: its bytes if they are here and wanted whole."""

# --- what each path does


async def invoke(service: Service, request: web.Request) -> web.StreamResponse:
    """Run one event: a slot, the initializer, the event, the handler, its result; all before the
    deadline.
    """
    context = RUNNING.get()
    event = _event(service, request)
    if service.around is None:
        call = Call(context.deadline)
        result = await service.calls.run(call, run_event(service, call, context, event))
    else:
        result = await service.around(context, partial(run_call, service, context, event))
    return Answer(result, content_type=RESULT)


async def run_call(service: Service, context: Context, event: Body) -> bytes:
    """Return the answer to one event, by its deadline. Raises ServiceError."""
    call = Call(context.deadline)
    return await service.calls.run(call, run_event(service, call, context, event))


async def run_event(service: Service, call: Call, context: Context, event: Body) -> bytes:
    """Return the answer to one event. Raises ServiceError for whatever keeps it from having one."""
    lifecycle, budget, held = service.lifecycle, service.budget, 0
    record, observers = record_of(context), service.observers
    record.in_flight = lifecycle.in_flight or service.admission.present + 1
    record.cold_start = next(observers.cold_starts)
    if service.admission.take():
        record.slot_at = record.open_at = record.arrived
        record.look_after = next(observers.look_after)
    else:
        await _wait_for_slot(service.admission, call, record)
    try:
        if not lifecycle.ready or lifecycle.refusing:
            await _until_open(lifecycle, call, record)
        function = service.handlers.handler
        argument: Any = event
        if function.decode is not None:
            call.stage = "receiving the event"
            if isinstance(event, bytes):
                # Only with a slot: who waits for one keeps no bytes from those that have one.
                if not budget.take(len(event)):
                    await budget.reserve(len(event))
                record.bytes_in = held = len(event)
                argument, event = function.decode(event), b""  # its memory is the next one's
            else:
                argument = function.decode(await event.read())
        left = left_behind.track()
        if service.inherited.values and service.around is None:  # which has entered them
            service.inherited.enter()
        record.handler_at = time.monotonic()
        try:
            result = await run(function, service.threads, call, argument, context)
        finally:
            record.handled_at, record.cpu = time.monotonic(), call.cpu
            if left:
                await left_behind.settle(left, "warn" if call.over else service.settings.background)
        record.bytes_out = len(answer := encode(result))
        return answer
    finally:
        _release(service, call, record, event, held)


async def _wait_for_slot(admission: Admission, call: Call, record: CallRecord) -> None:
    """Wait for a slot. Raises Overloaded if too many wait already."""
    call.stage = "waiting for a free slot"
    await admission.enter()
    record.slot_at = record.open_at = time.monotonic()


async def _until_open(lifecycle: Lifecycle, call: Call, record: CallRecord) -> None:
    """Wait for the initializer. Raises ServiceError if it fails or calls are not taken any more."""
    record.open_at = 0.0
    if not lifecycle.ready:
        call.stage = "waiting for the initializer"
        await lifecycle.initialized()
    lifecycle.check_open()
    record.open_at = time.monotonic()


def _release(service: Service, call: Call, record: CallRecord, event: Body, held: int) -> None:
    """Give back what a call has: its share of the budget, its slot, and whoever waits for it."""
    if isinstance(event, bytes):
        service.budget.release(held)
    else:
        record.bytes_in = event.total
        event.close()
    service.admission.leave()
    if call.ended is not None:
        call.end()


def _event(service: Service, request: web.Request) -> Body:
    """Return the body's bytes if they are here and wanted whole, as most are; else a stream."""
    source = request.content
    if isinstance(source, WholeBody):
        if service.handlers.handler.decode and source.size <= service.settings.max_body:
            return source.take()
        return _stream(service, request)
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

    Its sender is asked for it if it waits to be asked: nothing is sent that would be refused.
    """
    keep_a_little()
    if "Expect" in request.headers and request.version >= (1, 1) and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


async def do(duty: Duty, service: Service, ask: Ask, request: web.Request) -> web.StreamResponse:
    """Do what a path of the table of duties asks for, in every worker of the instance; answer once
    all have.
    """
    return duty.answer(await ask(duty, duty.here(service)), request.query)


# --- assembly


def assemble_app(
    settings: Settings,
    platform: Platform,
    handlers: Handlers,
    logs: Logs,
    ask: Ask = alone,
    duties: Sequence[Duty] = DUTIES,
    middlewares: Sequence[Middleware] = (),
) -> web.Application:
    """Return the application that serves `handlers`. Its `on_startup` signal starts the
    initializer. `ask` reaches the other workers of the instance, if there are any; `middlewares`
    are around the service's own.
    """
    lifespan = _lifespan_of(handlers)
    handlers = handlers if lifespan is None else lifespan.given_to(handlers)
    service = _surrounded(assemble(settings, platform, handlers, logs))
    if lifespan is not None:
        lifespan.join(service)
    duties = [duty for duty in duties if duty.is_wanted(settings)]
    paths = _paths(service, ask, duties)
    logged = [protocol.INVOKE, *(duty.operation for duty in duties if duty.is_logged)]
    limit, margin = settings.timeout, settings.deadline_margin
    framing = Framing(logs, platform, limit, margin, service.observers)
    rings = (framed(framing, logged), reported(paths, error_trace=settings.error_trace))
    within = _own_middlewares(service, lifespan)
    # Not the name in `web`, behind which OpenTelemetry puts a class that traces each request.
    make = Application if settings.otel else web.Application
    app = make(middlewares=[*middlewares, rings[0], *within, rings[1]])
    app[OWN_RINGS] = rings
    app[SERVICE] = service
    if handlers.handler.decode is not None and service.around is None:
        app[DIRECT] = _direct_calls(service, framing)
    app.router.register_resource(Paths(paths))
    app.on_startup.append(_start)
    app.on_cleanup.append(_close)
    if settings.otel:
        from .traces.wiring import traced  # most instances send nothing

        traced(app, service)
    return app


def _direct_calls(service: Service, framing: Framing) -> DirectCalls:
    return DirectCalls(
        framing,
        service.calls,
        partial(run_event, service),
        max_body=service.settings.max_body,
        error_trace=service.settings.error_trace,
    )


def _lifespan_of(handlers: Handlers) -> Any:
    """Return the function's lifespan, None if it has none."""
    if handlers.lifespan is None:
        return None
    from .lifetime.lifespan import Lifespan  # few have one

    return Lifespan(handlers.lifespan)


def _surrounded(service: Service) -> Service:
    """Return what serves calls with what the function has around each of them."""
    if service.handlers.around is None:
        return service
    from .lifetime.around import Around  # few have one

    return replace(service, around=Around(service.handlers.around, service))


def _own_middlewares(service: Service, lifespan: Any) -> Sequence[Middleware]:
    """Return the function's own middlewares, and what is around them."""
    if not service.handlers.middlewares:
        return ()
    from .lifetime.middlewares import guarding  # few have any

    give_state = None if lifespan is None else lifespan.give_to
    return (guarding(service, give_state), *service.handlers.middlewares)


def _paths(
    service: Service, ask: Ask, duties: Sequence[Duty]
) -> dict[str, tuple[tuple[str, ...], Handler]]:
    called = protocol.INVOKE
    return {
        called.path: (called.methods, partial(invoke, service)),
        **{d.path: (d.operation.methods, partial(do, d, service, ask)) for d in duties},
    }


async def _start(app: web.Application) -> None:
    app[SERVICE].logs.pipe.attach()
    app[SERVICE].lifecycle.start()
    app[SERVICE].watchdog.start()
    app[SERVICE].watchdog.wake()  # the initializer may block the loop too


async def _close(app: web.Application) -> None:
    with suppress(ServiceError):  # it is logged
        await app[SERVICE].lifecycle.close()  # nothing to do, if it was stopped
    app[SERVICE].watchdog.stop()
    app[SERVICE].threads.close()
    app[SERVICE].logs.pipe.detach()
