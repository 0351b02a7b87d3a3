"""One span a call, and its children: queue, initializer, decode, handler."""

from __future__ import annotations

import time
from collections.abc import Iterator

from opentelemetry import context as trace_context
from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from ..calls import tracebacks
from ..context.call import Context
from ..context.record import CallRecord
from ..errors import HandlerFailed, ServiceError
from .attributes import call_attributes
from .parents import parent_of

NOTICED = 0.001
"""Seconds that a call must have waited in the queue or for the initializer for a span of it."""

UNNAMED = "invoke"
"""A span's name if the platform does not tell the function's."""


class CallSpan:
    """A call's span while it runs; `ids` are what its log lines carry, in hex."""

    __slots__ = ("_offset", "context", "ids", "span")

    def __init__(self, span: trace.Span, context: trace_context.Context, offset: int) -> None:
        self.span = span
        self.context = context
        its = span.get_span_context()
        self.ids = {
            "traceId": trace.format_trace_id(its.trace_id),
            "spanId": trace.format_span_id(its.span_id),
        }
        self._offset = offset

    def at(self, seconds: float) -> int:
        """Return the nanoseconds since 1970 of a time of the monotonic clock."""
        return self._offset + int(seconds * 1e9)

    def failed(self, error: ServiceError) -> None:
        """Note why the call fails: the kind of the failure and the user's frames, no text, which
        often quotes the event.
        """
        failure: BaseException = error.failure if isinstance(error, HandlerFailed) else error
        kind = type(failure)
        named = {"exception.type": error.code}
        if failure is not error:
            module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
            named["exception.type"] = f"{module}{kind.__qualname__}"
            named["exception.stacktrace"] = tracebacks.as_text(tracebacks.of_failure(failure))
        self.span.add_event("exception", named)


def ids_of(span: CallSpan) -> dict[str, str]:
    """Return the ids that log lines carry."""
    return span.ids


class CallTracer:
    """Begins a call's span when the call begins, and ends it when its answer is made.

    `open` are the spans of the calls that run.
    """

    def __init__(self, tracer: trace.Tracer, trigger: str, name: str = "") -> None:
        """`name` is the function's, if a call does not tell it."""
        self.open: set[CallSpan] = set()
        self._tracer = tracer
        self._trigger = trigger
        self._name = name or UNNAMED

    def begin(self, context: Context, record: CallRecord) -> None:
        """Begin a call's span, and make it the current one in all of its tasks and threads."""
        parent = parent_of(context)
        now = time.monotonic()
        offset = time.time_ns() - int(now * 1e9)
        span = self._tracer.start_span(
            context.function.name or self._name,
            context=parent,
            kind=SpanKind.SERVER,
            attributes=call_attributes(context, self._trigger),
            start_time=offset + int(record.arrived * 1e9),
        )
        inside = trace.set_span_in_context(span, parent)
        trace_context.attach(inside)  # for good: each call runs in a context of its own
        if span.get_span_context().is_valid:  # else no spans are made, and there is no caller's
            record.span = CallSpan(span, inside, offset)
            self.open.add(record.span)

    def end(self, record: CallRecord) -> bool:
        """End a call's span, and make those of its stages; return whether they are recorded."""
        call: CallSpan = record.span
        self.open.discard(call)
        span = call.span
        if not span.is_recording():
            return False
        for name, begin, end in stages(record):
            child = self._tracer.start_span(name, call.context, start_time=call.at(begin))
            child.end(call.at(end))
        span.set_attribute("faas.coldstart", record.cold_start)
        if record.error_type:
            span.set_attribute("error.type", record.error_type)
            span.set_status(Status(StatusCode.ERROR))
        span.end(call.at(record.ended))
        return True

    def cut(self) -> None:
        """End the spans of the calls that the stop has cut off."""
        for call in tuple(self.open):
            call.span.set_status(Status(StatusCode.ERROR))
            call.span.set_attribute("error.type", "Stopping")
            call.span.end()
        self.open.clear()


def stages(record: CallRecord) -> Iterator[tuple[str, float, float]]:
    """Yield what a call has come to, each with its begin and its end: the last one ends with the
    call, if that has not left it. It has waited in the queue and for the initializer only if that
    took a time.
    """
    times = (record.arrived, record.slot_at, record.open_at, record.handler_at, record.handled_at)
    for number, name in enumerate(("queue", "initializer", "decode", "handler")):
        begin, end = times[number], times[number + 1] or record.ended
        if not begin:
            return
        if number >= 2 or end - begin >= NOTICED:
            yield name, begin, end
