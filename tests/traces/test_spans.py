"""The stages of a call that become spans, and what is told of a failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextvars import copy_context

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NoOpTracer
from pytest_aiohttp.plugin import AiohttpClient

from service.context.call import Context
from service.context.record import CallRecord
from service.errors import HandlerFailed
from service.instance.assembly import SERVICE
from service.settings.table import Settings
from service.traces.spans import CallSpan, CallTracer, ids_of, stages
from tests.assembly import assembled, logged


@pytest.mark.parametrize(
    ("times", "error", "names"),
    [
        ((1, 1, 1, 1.1, 1.2), "", ["decode 1-1.1", "handler 1.1-1.2"]),
        ((1, 2, 3, 4, 5), "", ["queue 1-2", "initializer 2-3", "decode 3-4", "handler 4-5"]),
        ((1, 1.0001, 1.0001, 4, 5), "", ["decode 1.0001-4", "handler 4-5"]),
        ((1, 0, 0, 0, 0), "Overloaded", ["queue 1-9"]),
        ((1, 2, 0, 0, 0), "InitializationError", ["queue 1-2", "initializer 2-9"]),
        ((1, 0, 0, 0, 0), "FunctionTimeout", ["queue 1-9"]),
        ((1, 1, 0, 0, 0), "FunctionTimeout", ["initializer 1-9"]),
        ((1, 1, 1, 0, 0), "FunctionTimeout", ["decode 1-9"]),
        ((1, 1, 1, 0, 0), "InvalidEvent", ["decode 1-9"]),
        ((1, 1, 1, 2, 0), "FunctionTimeout", ["decode 1-2", "handler 2-9"]),
    ],
)
def test_a_stage_lasts_until_the_next_or_the_end(
    times: tuple[float, ...], error: str, names: list[str]
) -> None:
    """A stage that the call has not left ends with the call; a wait of no time is none."""
    record = CallRecord()
    names_of_times = ("arrived", "slot_at", "open_at", "handler_at", "handled_at")
    for name, time in zip(names_of_times, times, strict=True):
        setattr(record, name, time)
    record.ended, record.error_type = 9, error
    assert [f"{name} {begin:g}-{end:g}" for name, begin, end in stages(record)] == names


@pytest.mark.parametrize("where", ["queue", "initializer", "decode"])
async def test_a_call_that_times_out_has_a_span_of_what_it_waited_for(
    aiohttp_client: AiohttpClient, where: str
) -> None:
    """It ends when the call does: at the time-out."""
    runs, goes_on = asyncio.Event(), asyncio.Event()

    async def handler(event: bytes, context: Context) -> None:
        runs.set()
        await goes_on.wait()

    async def initialize(context: Context) -> None:
        if where == "initializer":
            await goes_on.wait()

    async def never_ends() -> AsyncIterator[bytes]:
        yield b"x"
        await goes_on.wait()

    sent, tracer = tracing("shop")

    def ended(_: Context, record: CallRecord) -> None:
        tracer.end(record)

    with logged() as (logs, _):
        app = assembled(
            logs, handler, Settings(concurrency=1, deadline_margin=0.0), initializer=initialize
        )
        observers = app[SERVICE].observers
        observers.begun += (tracer.begin,)
        observers.ended += (ended,)
        client = await aiohttp_client(app)
        if where == "queue":
            first = asyncio.create_task(client.post("/invoke"))
            await runs.wait()
        body = never_ends() if where == "decode" else b"x"
        limit = {"x-fc-function-timeout": "0.1"}
        await client.post("/invoke", data=body, headers=limit)
        *_, stage, call = sent.get_finished_spans()
        goes_on.set()
        if where == "queue":
            await first
    assert (stage.name, stage.end_time) == (where, call.end_time)
    assert dict(call.attributes or {})["error.type"] == "FunctionTimeout"


def tracing(name: str) -> tuple[InMemorySpanExporter, CallTracer]:
    """What a tracer sends, and the tracer."""
    sent = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(sent))
    return sent, CallTracer(provider.get_tracer("test"), "other", name)


def test_the_calls_that_a_stop_cuts_off_have_ended_spans() -> None:
    """They are failures by the stop; a log line of theirs has had their ids in hex."""
    sent, tracer = tracing("shop")
    record = CallRecord(1.0)
    copy_context().run(tracer.begin, Context({}, "r1"), record)
    call: CallSpan = record.span
    call.failed(HandlerFailed(KeyError("HUSH")))
    assert [(name, len(value)) for name, value in ids_of(call).items()] == [
        ("traceId", 32),
        ("spanId", 16),
    ]
    tracer.cut()
    [span] = sent.get_finished_spans()
    assert span.name == "shop"
    assert dict(span.attributes or {})["error.type"] == "Stopping"
    assert not span.status.is_ok
    [event] = span.events
    assert dict(event.attributes or {}) == {
        "exception.type": "KeyError",
        "exception.stacktrace": "",
    }
    assert not tracer.open


def test_without_a_provider_there_is_no_span() -> None:
    """If spans are not asked for, a call's lines carry no ids that mean nothing."""
    record = CallRecord(1.0)
    tracer = CallTracer(NoOpTracer(), "other")
    copy_context().run(tracer.begin, Context({}, "r1"), record)
    assert record.span is None
    assert not tracer.open
