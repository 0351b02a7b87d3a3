"""Everything that serves calls in this process, assembled once; its hooks, and what `/health`
tells.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiohttp import web

from . import protocol
from .calls import tracebacks
from .calls.admission import Admission, Budget
from .calls.deadline import Call, Calls
from .calls.function import Function, Handlers, run
from .calls.lifecycle import Hook, Lifecycle
from .calls.threads import ThreadPool
from .calls.watchdog import Watchdog
from .context import RUNNING, Context, Platform
from .errors import ServiceError
from .health import Figures
from .http.middleware import report
from .logs.lines import NOWHERE
from .logs.log import Logs
from .settings.table import Settings

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


def _watchdog(settings: Settings, lifecycle: Lifecycle, logs: Logs) -> Watchdog:
    def report(place: tracebacks.Place | None, request_id: str | None, seconds: float) -> None:
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
