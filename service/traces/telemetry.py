"""OpenTelemetry at work for a service: it is told of each call, and sends before a freeze and at
the stop.
"""

from __future__ import annotations

import time

from ..context.call import Context
from ..context.record import CallRecord
from ..instance.assembly import Service
from ..logs.log import log_rarely
from .attributes import trigger_of
from .flush import Flusher
from .metrics import CallMetrics
from .providers import Providers, providers_of
from .spans import CallTracer, ids_of

AT_THE_STOP = 5.0
"""Seconds that all has to be sent in at the stop, if `telemetry_flush` is not 0 and the collector
has kept up: a stop under load has the spans of many calls left.
"""


class Telemetry:
    """Spans and metrics of the calls of one service."""

    def __init__(self, providers: Providers, trigger: str, seconds: float, name: str = "") -> None:
        self.flusher = Flusher(lambda all_of_it: providers.flush(all_of_it=all_of_it), seconds)
        self._providers = providers
        self._calls = CallTracer(providers.tracer, trigger, name)
        self._metrics = CallMetrics(providers.meter, trigger)

    def busy(self) -> bool:
        """Return whether calls run."""
        return bool(self._calls.open)

    def begun(self, context: Context, record: CallRecord) -> None:
        """Begin a call's span. A sampler or a processor that is not ours may raise: then the call
        has none.
        """
        try:
            self._calls.begin(context, record)
        except Exception as failure:
            self._say(failure)

    def ended(self, _context: Context, record: CallRecord) -> None:
        """End a call's span, and count the call."""
        try:
            self.flusher.dirty = True
            self._metrics.count(record)
            if record.span is not None:
                self._calls.end(record)
        except Exception as failure:
            self._say(failure)

    def initialized(self, seconds: float) -> None:
        """Count a run of the initializer."""
        self._metrics.initialized(seconds)

    async def flush(self) -> None:
        """Send everything before a freeze."""
        if self.flusher.seconds:
            await self.flusher.flush(self.flusher.seconds)

    async def stop(self) -> None:
        """Send everything before the end, which has more time."""
        if self.flusher.seconds:
            await self.flusher.flush(max(AT_THE_STOP, self.flusher.seconds))

    async def close(self) -> None:
        """End what the stop has cut off, send the rest, and tell of what could not be sent."""
        if self._calls.open or self.flusher.dirty:
            self._calls.cut()
            await self.stop()
        dropped = self._providers.dropped
        dropped.count_unsettled("spans", self._providers.unsettled)
        dropped.tell()

    def _say(self, failure: Exception) -> None:
        log_rarely("telemetry", "OpenTelemetry: a call is not traced: %s", type(failure).__name__)


def start(service: Service) -> Telemetry:
    """Begin to trace the calls of a service, in the process that serves them. Raises what
    OpenTelemetry raises for variables that it cannot work by.
    """
    settings, lifecycle, observers = service.settings, service.lifecycle, service.observers
    trigger = trigger_of(service.handlers.handler.call)
    providers = providers_of(service.platform, settings.exporters)
    name = service.platform.function_name
    telemetry = Telemetry(providers, trigger, settings.telemetry_flush, name)
    observers.begun = (telemetry.begun, *observers.begun)
    observers.ended = (*observers.ended, telemetry.ended)
    observers.before_freeze = telemetry.flush
    service.logs.ids_of_span = ids_of
    initialize, pre_stop = lifecycle.initialize, lifecycle.pre_stop

    async def timed() -> None:
        began = time.monotonic()
        try:
            await initialize()
        finally:
            telemetry.initialized(time.monotonic() - began)

    async def stop_and_send() -> None:
        try:
            await pre_stop()
        finally:
            await telemetry.stop()

    if service.handlers.initializer is not None:
        lifecycle.initialize = timed
    lifecycle.pre_stop = stop_and_send
    return telemetry
