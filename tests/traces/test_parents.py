"""Whose child a call's span is."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from multidict import CIMultiDict
from opentelemetry import baggage, trace

from service.context.call import Context
from service.traces.parents import MAX_BAGGAGE, MAX_ENTRY, parent_of

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
W3C = f"00-{TRACE}-{SPAN}-01"
JAEGER = "x-fc-tracing-opentracing-span-context"
BAGGAGE = "x-fc-tracing-opentracing-span-baggages"


def found(*fields: tuple[str, str]) -> Any:
    """The context that a call with these fields begins in."""
    return parent_of(Context(CIMultiDict(fields), "r1"))


def span_of(context: Any) -> tuple[str, str, bool] | None:
    """The parent: its trace, its span, and whether it is sampled; None for a new trace."""
    span = trace.get_current_span(context).get_span_context()
    if not span.is_valid:
        return None
    ids = (trace.format_trace_id(span.trace_id), trace.format_span_id(span.span_id))
    return (*ids, span.trace_flags.sampled)


def test_the_parent_is_the_callers() -> None:
    """`traceparent` names it, with `tracestate`; it wins over the platform's field."""
    context = found(
        ("Traceparent", W3C), ("tracestate", "a=1"), ("tracestate", "b=2"), (JAEGER, "1:2:0:1")
    )
    assert span_of(context) == (TRACE, SPAN, True)
    state = trace.get_current_span(context).get_span_context().trace_state
    assert dict(state) == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    ("text", "parent"),
    [
        (f"{TRACE}:{SPAN}:0:1", (TRACE, SPAN, True)),
        (f"{TRACE}%3A{SPAN}%3A0%3A0", (TRACE, SPAN, False)),
        ("abc:12:34:3", (f"{0xABC:032x}", f"{0x12:016x}", True)),
        ("0:12:0:1", None),
        (f"{TRACE}:0:0:1", None),
        (f"{TRACE}0:{SPAN}:0:1", None),
        (f"{TRACE}:{SPAN}", None),
        ("", None),
    ],
)
def test_else_the_parent_is_the_platforms(text: str, parent: Any) -> None:
    """Its OpenTracing field is read in Jaeger's form; what is none begins a new trace."""
    assert span_of(found((JAEGER, text))) == parent


@pytest.mark.parametrize(
    "text",
    [
        *("", "nonsense", "00", W3C[:-1], f"ff-{TRACE}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01"),
        *(f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE.upper()}!-{SPAN}-01", f"{W3C}-more", "\x80" * 9),
    ],
)
def test_a_malformed_trace_begins_a_new_one(text: str) -> None:
    """A `traceparent` that is none is no parent, and the platform's is not put in its place."""
    assert span_of(found(("traceparent", text), (JAEGER, "1:2:0:1"))) is None


def test_two_different_traces_are_none() -> None:
    """W3C allows one `traceparent`; the same one twice is one."""
    other = W3C.replace("b7", "b8")
    assert span_of(found(("traceparent", W3C), ("traceparent", other))) is None
    assert span_of(found(("traceparent", W3C), ("traceparent", W3C))) == (TRACE, SPAN, True)


def test_baggage_is_the_callers_else_the_platforms() -> None:
    """The `baggage` field wins; the platform's is taken as far as it is text."""
    sent = base64.b64encode(json.dumps({"tenant": "8", "n": 1}).encode()).decode()
    both = found(("baggage", "tenant=7,plan=a%20b"), (BAGGAGE, sent))
    assert dict(baggage.get_all(both)) == {"tenant": "7", "plan": "a b"}
    assert dict(baggage.get_all(found((BAGGAGE, sent)))) == {"tenant": "8"}
    assert dict(baggage.get_all(found((BAGGAGE, "nonsense")))) == {}


def test_the_platforms_baggage_is_bounded() -> None:
    """Of many entries and long ones a part is taken."""
    many = {f"n{number}": "x" * 10_000 for number in range(100)}
    sent = base64.b64encode(json.dumps(many).encode()).decode()
    taken = baggage.get_all(found((BAGGAGE, sent)))
    assert len(taken) == MAX_BAGGAGE
    assert {len(str(value)) for value in taken.values()} == {MAX_ENTRY}
