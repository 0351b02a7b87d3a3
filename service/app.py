"""The web application: what each path does, top-down. Start reading here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
from aiohttp import web

from service import frames, protocol, spawned
from service.admission import Admission, Budget
from service.allocator import keep_a_little
from service.answers import Answer
from service.body import EventStream, too_large
from service.calls import Call, Calls
from service.codec import encode
from service.context import RUNNING, Context, Platform
from service.errors import ServiceError
from service.handler import Function, Handlers, run
from service.health import Figures, summed
from service.lifecycle import Hook, Lifecycle
from service.lines import NOWHERE
from service.logs import Logs
from service.middleware import framed, report, reported
from service.routes import Handler, Paths
from service.settings import Settings
from service.threads import ThreadPool
from service.watchdog import Watchdog

Duty = Callable[[], Awaitable[Any]]
Ask = Callable[[str, Duty], Awaitable[list[Any]]]
"""Has a duty done in every worker of the instance, in this one as the second argument does it;
returns what each said, or raises the first failure.
"""


async def alone(_duty: str, own: Duty) -> list[Any]:
    """Do a duty where there is one worker."""
    return [await own()]


@dataclass(frozen=True)
class Service:
    """Everything that serves calls, assembled once."""

    settings: Settings
    platform: Platform
    handlers: Handlers
    logs: Logs
    calls: Calls
    admission: Admission
    budget: Budget
    threads: ThreadPool
    lifecycle: Lifecycle
    watchdog: Watchdog
    started: float
    ask: Ask


SHORTEST_HOOK = 5.0
"""Seconds that `pre_stop` has at least, where the drain was told to wait for no call."""

SERVICE = web.AppKey("service", Service)


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
        left = spawned.track()
        try:
            result = await run(function, service.threads, call, argument, context)
        finally:
            if left:
                await spawned.settle(left, "warn" if call.over else service.settings.background)
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


async def figures(service: Service, asking: int = 0) -> Figures:
    """Return what `/health` tells of this worker; `asking` requests are not counted."""
    began = time.monotonic()
    await asyncio.sleep(0)
    now = time.monotonic()
    lost, threads = service.calls.lost, service.settings.concurrency
    return {
        "ready": service.lifecycle.ready,
        "healthy": service.lifecycle.ready
        and not service.lifecycle.refusing
        and lost <= threads // 2,
        "draining": service.lifecycle.draining.is_set(),
        "inFlight": max(0, service.lifecycle.in_flight - asking),
        "running": service.admission.running,
        "queued": service.admission.queued,
        "refused": service.admission.refused,
        "lost": lost,
        "stalls": service.watchdog.stalls,
        "bodyBytes": service.budget.used,
        "logLinesLost": service.logs.sink.lost,
        "loopLagSeconds": round(now - began, 6),
        "uptimeSeconds": round(now - service.started, 3),
    }


def duties(service: Service) -> dict[str, Duty]:
    """Return what this worker does when another one was asked."""
    return {
        "initialize": service.lifecycle.initialized,
        "pre_stop": service.lifecycle.stop,
        "pre_freeze": _pre_freeze(service),
        "health": partial(figures, service),
    }


def _pre_freeze(service: Service) -> Hook:
    return hook(service.handlers.pre_freeze, service, service.settings.drain_timeout)


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


def _watchdog(settings: Settings, lifecycle: Lifecycle, logs: Logs) -> Watchdog:
    def report(place: frames.Place | None, request_id: str | None, seconds: float) -> None:
        where = f"at {place}" if place else "outside of the function's code"
        waiting = max(0, lifecycle.in_flight - 1)
        logs.line(
            "WARNING",
            f"the event loop has been blocked for {seconds:.1f} s {where}; {waiting} other calls"
            " wait: await there, use asyncio.to_thread, or make the handler a plain def",
            request_id or NOWHERE,
        )

    watchdog = Watchdog(settings.stall_after, lambda: lifecycle.in_flight > 0, report)
    lifecycle.arrived = watchdog.wake
    return watchdog


async def _start(app: web.Application) -> None:
    app[SERVICE].logs.sink.attach()
    app[SERVICE].lifecycle.start()
    app[SERVICE].watchdog.start()
    app[SERVICE].watchdog.wake()  # the initializer may block the loop too


async def _close(app: web.Application) -> None:
    app[SERVICE].watchdog.stop()
    app[SERVICE].threads.close()
    app[SERVICE].logs.sink.detach()


def hook(function: Function | None, service: Service, seconds: float) -> Hook:
    """Return what runs a hook of the user's, within `seconds`; its failure is logged here, once.

    Outside of a request the hook gets a context of its own, with a generated request id.
    """

    async def call_hook() -> None:
        if function is None:
            return
        if RUNNING.get(None) is None:
            RUNNING.set(Context({}, protocol.new_request_id(), None, service.platform))
        call = Call(time.monotonic() + seconds)
        # Not in a handler's: calls that never come back may have all of these.
        threads = ThreadPool(1, "hook")
        try:
            await service.calls.run(call, run(function, threads, call, RUNNING.get()))
        except ServiceError as failure:
            report(failure)
            raise
        finally:
            threads.close()

    return call_hook
