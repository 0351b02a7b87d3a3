"""The line that sums up a call."""

from __future__ import annotations

from typing import Any

from ..context.call import Context
from ..context.record import CallRecord
from .details import Details
from .log import Logs


def milliseconds(since: float, until: float) -> float:
    """Return how long something took; 0 if it has not begun."""
    return round((until - since) * 1000, 2) if since else 0.0


def call_figures(record: CallRecord) -> dict[str, Any]:
    """Return what a call came to, as fields. A call has no times of what it did not come to."""
    ended = record.ended
    shown: dict[str, Any] = {"outcome": "failure" if record.error_type else "success"}
    if record.error_type:
        shown["errorType"] = record.error_type
    shown["durationMs"] = milliseconds(record.arrived, ended)
    shown["queueMs"] = milliseconds(record.arrived, record.slot_at or ended)
    if record.slot_at and record.open_at != record.slot_at:
        shown["initializeMs"] = milliseconds(record.slot_at, record.open_at or ended)
    if record.handler_at:
        shown["handlerMs"] = milliseconds(record.handler_at, record.handled_at or ended)
    if record.cpu:
        shown["cpuMs"] = round(record.cpu * 1000, 2)
    if record.noted:
        shown |= record.noted
    return shown | {
        "bytesIn": record.bytes_in,
        "bytesOut": record.bytes_out,
        "coldStart": record.cold_start,
        "inFlight": record.in_flight,
    }


class CallLines:
    """Writes a line for each call that has ended: a warning if it took `slow_after` seconds."""

    def __init__(self, logs: Logs, slow_after: float) -> None:
        self._logs = logs
        self._slow_after = slow_after

    def ended(self, _context: Context, record: CallRecord) -> None:
        """Write the line. Called where the call runs."""
        slow = record.ended - record.arrived >= self._slow_after
        self._logs.line(
            "WARNING" if slow else "INFO",
            "the call was slow" if slow else "the call has ended",
            details=Details(extra=call_figures(record)),
        )
