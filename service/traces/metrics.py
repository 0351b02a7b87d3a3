"""The metrics of calls, by OpenTelemetry's conventions for `faas`."""

from __future__ import annotations

from opentelemetry import metrics

from ..context.record import CallRecord
from ..errors import FunctionTimeout

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""Seconds, as the conventions have them."""


class CallMetrics:
    """The `faas.*` instruments."""

    def __init__(self, meter: metrics.Meter, trigger: str) -> None:
        self._attributes = {"faas.trigger": trigger}
        self._invoke = meter.create_histogram(
            "faas.invoke_duration",
            "s",
            "Duration of the handler's own work",
            explicit_bucket_boundaries_advisory=BOUNDS,
        )
        self._initialize = meter.create_histogram(
            "faas.init_duration",
            "s",
            "Duration of the initializer",
            explicit_bucket_boundaries_advisory=BOUNDS,
        )
        self._cold = meter.create_counter("faas.coldstarts", "{coldstart}", "Cold starts")
        self._errors = meter.create_counter("faas.errors", "{error}", "Calls that failed")
        self._done = meter.create_counter(
            "faas.invocations", "{invocation}", "Calls that succeeded"
        )
        self._timeouts = meter.create_counter("faas.timeouts", "{timeout}", "Calls out of time")

    def initialized(self, seconds: float) -> None:
        """Count a run of the initializer."""
        self._initialize.record(seconds, self._attributes)

    def count(self, record: CallRecord) -> None:
        """Count a call that has ended."""
        if record.handler_at:
            end = record.handled_at or record.ended
            self._invoke.record(end - record.handler_at, self._attributes)
        if record.cold_start:
            self._cold.add(1, self._attributes)
        if not record.error_type:
            self._done.add(1, self._attributes)
        else:
            self._errors.add(1, self._attributes)
            if record.error_type == FunctionTimeout.code:
                self._timeouts.add(1, self._attributes)
