"""How spans, metrics and log records leave: by exporters and processors of OpenTelemetry's own,
whose failures are counted here.
"""

from __future__ import annotations

from typing import Any, Protocol

from opentelemetry.context import Context as TraceContext
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from ..locks import HasLock
from .dropped import Dropped


class Counts(Protocol):
    """What `counted` adds to an exporter."""

    taken: int
    """Spans, records or reports that it was given to send."""
    settled: int
    """Those of which it is known whether they were sent."""


def counted(exporter: type[Any], what: str, dropped: Dropped) -> Any:
    """Return an exporter of that class, with its options by OpenTelemetry's variables, that counts
    what it cannot send and raises nothing. A report of metrics is one, however much is in it.
    """

    class Counted(exporter):  # type: ignore[misc] # a class of the user's choice
        taken = settled = 0

        def export(self, batch: Any, *arguments: Any, **named: Any) -> Any:
            number = len(batch) if hasattr(batch, "__len__") else 1
            self.taken += number  # its processor sends one batch at a time
            result: Any = None
            try:
                result = super().export(batch, *arguments, **named)
            except Exception as failure:
                dropped.reason = type(failure).__name__
            with dropped.lock:
                self.settled += number
                if getattr(result, "name", "") != "SUCCESS":
                    dropped.count(what, number)
            dropped.tell_if_due()
            return result

    return Counted()


class SpanQueue(SpanProcessor):
    """OpenTelemetry's batches of spans, with a queue whose overflow is counted: what comes while it
    is full is dropped.
    """

    def __init__(self, exporter: Any, size: int, dropped: Dropped) -> None:
        self._exporter: Counts = exporter
        self._batches = BatchSpanProcessor(exporter, max_queue_size=size)
        self._size = size
        self._dropped = dropped
        self._given = 0
        self._has = HasLock()

    @property
    def waiting(self) -> int:
        """The spans that the exporter has not been given."""
        return self._given - self._exporter.taken

    @property
    def unsettled(self) -> int:
        """The spans of which it is not known whether they were sent."""
        return self._given - self._exporter.settled

    def on_start(self, span: Span, parent_context: TraceContext | None = None) -> None:
        """Do nothing: a span is of interest at its end."""

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span that has ended, if it is sampled."""
        if span.context is None or not span.context.trace_flags.sampled:
            return
        with self._has.lock:
            has_room = self.waiting < self._size
            self._given += has_room
        if has_room:
            self._batches.on_end(span)
        else:
            self._dropped.reason = f"{self._size} spans waited already"
            self._dropped.add("spans", 1)

    def shutdown(self) -> None:
        """Send what is queued, and end."""
        self._batches.shutdown()  # type: ignore[no-untyped-call] # it has no annotation

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Send what is queued; it takes as long as the exporter does."""
        return self._batches.force_flush(timeout_millis)
