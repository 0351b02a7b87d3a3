"""Whose child a call's span is: what the request's header fields say of the caller's trace."""

from __future__ import annotations

import re
from urllib.parse import unquote

from opentelemetry import baggage, propagate, trace
from opentelemetry.context import Context as TraceContext
from opentelemetry.propagators.textmap import Getter

from ..context.call import Context
from ..context.headers import RequestHeaders

_JAEGER = re.compile(
    r"([0-9a-fA-F]{1,32}):([0-9a-fA-F]{1,16}):[0-9a-fA-F]{0,16}:([0-9a-fA-F]{1,2})"
)
"""The platform's own field: trace, span, parent and flags (docs/platform.md section 2)."""

MAX_BAGGAGE = 64
"""Entries of the platform's baggage that are taken, as many as W3C Baggage asks for."""

MAX_ENTRY = 4096
"""Characters of one entry's value."""


class FieldGetter(Getter[RequestHeaders]):
    """Reads header fields for a propagator."""

    def get(self, carrier: RequestHeaders, key: str) -> list[str] | None:
        """Return the field's values. Two different traces are none: W3C allows one."""
        values = carrier.getall(key)
        if key == "traceparent" and len(set(values)) > 1:
            return None
        return [", ".join(values)] if key == "tracestate" and values else values or None

    def keys(self, carrier: RequestHeaders) -> list[str]:
        """Return the fields' names."""
        return list(carrier)


_GETTER = FieldGetter()


def parent_of(context: Context) -> TraceContext:
    """Return the context that a call's span begins in: the caller's span by `traceparent` (or by
    OTEL_PROPAGATORS), else by the platform's OpenTracing field; and the caller's baggage.

    What cannot be read is as if it were not there: the span begins a new trace.
    """
    headers, tracing = context.headers, context.tracing
    found = propagate.extract(headers, context=TraceContext(), getter=_GETTER)
    if not baggage.get_all(found):
        for name, value in list(tracing.span_baggages.items())[:MAX_BAGGAGE]:
            if isinstance(value, str):
                found = baggage.set_baggage(name, value[:MAX_ENTRY], found)
    if trace.get_current_span(found).get_span_context().is_valid or "traceparent" in headers:
        return found
    platforms = _platforms_span(tracing.span_context)
    if platforms is None:
        return found
    return trace.set_span_in_context(trace.NonRecordingSpan(platforms), found)


def _platforms_span(text: str) -> trace.SpanContext | None:
    match = _JAEGER.fullmatch(unquote(text))  # clients of Jaeger's escape the colons
    if match is None:
        return None
    span = trace.SpanContext(
        trace_id=int(match[1], 16),
        span_id=int(match[2], 16),
        is_remote=True,
        trace_flags=trace.TraceFlags(int(match[3], 16) & trace.TraceFlags.SAMPLED),
    )
    return span if span.is_valid else None
