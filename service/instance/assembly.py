"""Everything that serves calls in this process, assembled once."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine
from itertools import repeat
from typing import Any

import msgspec
from aiohttp import web

from ..calls import tracebacks
from ..calls.admission import Admission, Budget
from ..calls.deadline import Calls
from ..calls.function import Handlers
from ..calls.lifecycle import SHORTEST_HOOK, Lifecycle
from ..calls.observers import Observers
from ..calls.threads import ThreadPool
from ..calls.variables import Inherited
from ..calls.watchdog import Watchdog
from ..context.call import Context, Platform
from ..logs.below import BelowLevel
from ..logs.call_line import CallLines
from ..logs.details import NO_DETAILS
from ..logs.kept import KeptRoom
from ..logs.log import Logs
from ..settings.table import Settings
from .call_figures import CountedCalls
from .hooks import hook

RunAround = Callable[[Context, Callable[[], Coroutine[Any, Any, bytes]]], Awaitable[bytes]]
"""Is given a call's context and what begins the call, and returns what that returns."""


class Service(msgspec.Struct, frozen=True, eq=False):
    """Everything that serves calls in this process."""

    settings: Settings
    platform: Platform
    handlers: Handlers
    logs: Logs
    calls: Calls
    admission: Admission
    budget: Budget
    threads: ThreadPool
    inherited: Inherited
    lifecycle: Lifecycle
    watchdog: Watchdog
    observers: Observers
    figures: CountedCalls
    started: float
    around: RunAround | None = None
    """Runs a call with what the function has around it."""


SERVICE = web.AppKey("service", Service)


def assemble(settings: Settings, platform: Platform, handlers: Handlers, logs: Logs) -> Service:
    """Return what serves `handlers`. Nothing of it runs yet."""
    calls = Calls()
    lifecycle = Lifecycle(drain_timeout=settings.drain_timeout, hurry=calls.cut_all)
    lifecycle.platform, lifecycle.unwound = platform, calls.unwound
    inherited = Inherited()
    lifecycle.enter_variables = inherited.enter
    handlers = inherited.by_hooks(handlers)
    threads = ThreadPool(settings.concurrency)
    threads.measures_cpu = settings.log_calls != "off"
    limit = settings.initialize_timeout
    lifecycle.initialize = hook(handlers.initializer, calls, platform, limit, threads)
    figures = CountedCalls()
    last = max(settings.drain_timeout, SHORTEST_HOOK)
    lifecycle.pre_stop = hook(handlers.pre_stop, calls, platform, last, threads)
    return Service(
        settings=settings,
        platform=platform,
        handlers=handlers,
        logs=logs,
        calls=calls,
        admission=Admission(settings.concurrency, settings.queue),
        budget=Budget(settings.body_budget),
        threads=threads,
        inherited=inherited,
        lifecycle=lifecycle,
        watchdog=_watchdog(settings, lifecycle, logs),
        observers=_observers(settings, logs, figures),
        figures=figures,
        started=time.monotonic(),
    )


def _observers(settings: Settings, logs: Logs, figures: CountedCalls) -> Observers:
    """Return who is told of calls, as the settings ask for it."""
    observers = Observers()
    if settings.log_buffer or settings.debug_sample:
        room = KeptRoom(settings.log_buffer_call, settings.log_buffer_total)
        below = BelowLevel(
            logs,
            room if settings.log_buffer else None,
            settings.slow_after,
            settings.debug_sample,
        )
        observers.begun += (below.begun,)
        observers.ended += (below.ended,)
    lines = CallLines(logs, settings.slow_after)
    if settings.log_calls == "all":
        observers.ended += (lines.ended,)
    elif settings.log_calls == "slow":
        observers.slow_after, observers.slow = settings.slow_after, (lines.ended,)
        observers.look_after = repeat(settings.slow_after)
    if settings.metrics:
        figures.watch(observers)
    return observers


def _watchdog(settings: Settings, lifecycle: Lifecycle, logs: Logs) -> Watchdog:
    def report(place: tracebacks.CodePlace | None, context: Context | None, seconds: float) -> None:
        where = f"at {place}" if place else "outside of the function's code"
        waiting = max(0, lifecycle.in_flight - 1)
        said = (
            f"the event loop has been blocked for {seconds:.1f} s {where}; {waiting} other calls"
            " wait: await there, use asyncio.to_thread, or make the handler a plain def"
        )
        logs.pipe.write(logs.formed(context, "WARNING", said, NO_DETAILS))

    watchdog = Watchdog(settings.stall_after, lambda: lifecycle.in_flight > 0, report)
    lifecycle.arrived = watchdog.wake
    return watchdog
