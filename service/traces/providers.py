"""OpenTelemetry's providers of this process: those that are there, else ours by OpenTelemetry's
variables.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from ..context.fields import Platform
from ..protocol import SERVICE_LOGGER
from ..settings.exporters import Exporters
from .attributes import resource_of
from .dropped import Dropped, ReasonHandler
from .export import SpanQueue, counted

_QUIET = ("opentelemetry.exporter", "opentelemetry.sdk")
"""Loggers of what sends: they would write a line for each batch that a collector does not take."""

Flush = Callable[[], object]


@dataclass
class Providers:
    """What spans and metrics are made by, and how what was made is sent.

    `flushes` send spans and log records, `metric_flushes` metrics, at most once an `interval` of
    seconds unless the process stops. Both take as long as the exporters do.
    """

    tracer: trace.Tracer
    meter: metrics.Meter
    dropped: Dropped
    flushes: list[Flush] = field(default_factory=list)
    metric_flushes: list[Flush] = field(default_factory=list)
    interval: float = 60.0
    unsettled: Callable[[], int] = lambda: 0
    """The spans of which it is not known whether they were sent."""
    _metrics_at: float = field(default_factory=time.monotonic)

    def flush(self, *, all_of_it: bool) -> None:
        """Send what there is; metrics only if their time has come, or if it is `all_of_it`."""
        for send in self.flushes:
            send()
        now = time.monotonic()
        if all_of_it or now - self._metrics_at >= self.interval:
            self._metrics_at = now
            for send in self.metric_flushes:
                send()


def providers_of(platform: Platform, asked: Exporters) -> Providers:
    """Return the providers. If the process has some, by `opentelemetry-instrument` or by the
    function's own code, they are used as they are; else ours become the process's.

    Raises LookupError for an exporter that is not installed.
    """
    dropped = Dropped()
    resource = resource_of(platform)
    unsettled = lambda: 0  # noqa: E731 - unless the queue is ours
    if asked.traces and not _is_set(trace.get_tracer_provider()):
        unsettled = _own_tracers(asked, resource, dropped)
    if asked.metrics and not _is_set(metrics.get_meter_provider()):
        _own_meters(asked, resource, dropped)
    tracers: Any = trace.get_tracer_provider()
    meters: Any = metrics.get_meter_provider()
    flushes = [tracers.force_flush] if _is_set(tracers) else []
    if asked.logs:
        flushes.append(_log_flush(asked, resource, dropped))
    return Providers(
        tracer=trace.get_tracer(SERVICE_LOGGER),
        meter=metrics.get_meter(SERVICE_LOGGER),
        dropped=dropped,
        flushes=flushes,
        metric_flushes=[meters.force_flush] if _is_set(meters) else [],
        interval=asked.metric_interval,
        unsettled=unsettled,
    )


def _is_set(provider: object) -> bool:
    """Return whether a provider is one that sends, and no stand-in."""
    return hasattr(provider, "force_flush")


def _own_tracers(asked: Exporters, resource: Resource, dropped: Dropped) -> Callable[[], int]:
    """Make the process's provider of tracers; return what tells of how many spans it is not
    known whether they were sent.
    """
    # Nothing is done at the interpreter's exit: the stop has sent what there was, in its time.
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = counted(_class_of("traces", asked.traces), "spans", dropped)
    queue = SpanQueue(exporter, asked.queue, dropped)
    provider.add_span_processor(queue)
    trace.set_tracer_provider(provider)
    _be_quiet(dropped)
    return lambda: queue.unsettled


def _own_meters(asked: Exporters, resource: Resource, dropped: Dropped) -> None:
    exporter = counted(_class_of("metrics", asked.metrics), "reports of metrics", dropped)
    reader = PeriodicExportingMetricReader(exporter, asked.metric_interval * 1000)
    provider = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
    metrics.set_meter_provider(provider)
    _be_quiet(dropped)


def _log_flush(asked: Exporters, resource: Resource, dropped: Dropped) -> Flush:
    """Have log records sent; return what sends those that are queued."""
    from .log_records import flush_of_others, send_log_records

    flush = flush_of_others()
    if flush is None:
        exporter = counted(_class_of("logs", asked.logs), "log records", dropped)
        flush = send_log_records(exporter, resource)
    return flush


def _class_of(signal: str, name: str) -> type[Any]:
    """Return the class of an exporter that OpenTelemetry knows by this name."""
    found = entry_points(group=f"opentelemetry_{signal}_exporter", name=name)
    if not found:
        raise LookupError(f"no exporter {name} for {signal} is installed")
    kind: type[Any] = next(iter(found)).load()
    return kind


def _be_quiet(dropped: Dropped) -> None:
    """Have what the exporters log be the reason of what is not sent, which is told once a minute:
    they write a line or two for each batch that a collector does not take.
    """
    for name in _QUIET:
        logger = logging.getLogger(name)
        if not any(isinstance(each, ReasonHandler) for each in logger.handlers):
            logger.addHandler(ReasonHandler(dropped))
            logger.propagate = False
