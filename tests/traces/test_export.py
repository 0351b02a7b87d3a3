"""What cannot be sent is counted, and raises nothing."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from service.traces.dropped import Dropped
from service.traces.export import SpanQueue, counted


def test_what_is_refused_or_fails_is_counted() -> None:
    """A refusal counts its batch, and so does a failure, whose kind is the reason."""
    outcomes: list[Any] = [SpanExportResult.SUCCESS, SpanExportResult.FAILURE, OSError("no luck")]

    class Exporter(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            outcome = outcomes.pop(0)
            if isinstance(outcome, Exception):
                raise outcome
            return SpanExportResult(outcome)

    dropped = Dropped()
    exporter = counted(Exporter, "spans", dropped)
    for batch in ([1], [1, 2], [1, 2, 3]):
        exporter.export(batch)
    assert dropped.total == {"spans": 5}
    assert dropped.reason == "OSError"
    assert exporter.taken == exporter.settled == 6


def test_what_a_stop_finds_amid_a_refusal_is_counted_once() -> None:
    """While a batch becomes one that was not sent, nobody can ask how many are left to send."""
    dropped = Dropped()

    class Refusing(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            return SpanExportResult.FAILURE

    exporter = counted(Refusing, "spans", dropped)
    may_look: list[bool] = []

    class Watched(Counter[str]):
        def __setitem__(self, kind: str, number: int) -> None:
            with ThreadPoolExecutor(1) as other:
                may_look.append(other.submit(dropped.lock.acquire, blocking=False).result())
            super().__setitem__(kind, number)

    dropped.total = Watched()
    exporter.export([1, 2])
    dropped.count_unsettled("spans", lambda: 2 - exporter.settled)
    assert (may_look, dropped.total) == ([False], {"spans": 2})


def test_what_does_not_fit_the_queue_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the exporter sends, so many spans wait, and no more; all that waited are sent."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000")  # a batch begins when it is full
    sending, may_go_on = threading.Event(), threading.Event()
    sent: list[str] = []

    class Exporter(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            sending.set()
            may_go_on.wait()
            sent.extend(span.name for span in spans)
            return SpanExportResult.SUCCESS

    dropped = Dropped()
    queue = SpanQueue(counted(Exporter, "spans", dropped), 512, dropped)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(queue)
    tracer = provider.get_tracer("test")
    for number in range(512):
        tracer.start_span(f"first {number}").end()
    sending.wait()
    for number in range(600):
        tracer.start_span(f"then {number}").end()
    assert (queue.waiting, queue.unsettled) == (512, 1024)
    assert dropped.total == {"spans": 88}
    may_go_on.set()
    provider.force_flush()
    assert queue.waiting == queue.unsettled == 0
    assert len(sent) == len(set(sent)) == 1024
    provider.shutdown()
