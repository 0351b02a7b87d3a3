"""A collector of OpenTelemetry's on loopback, to see what was sent to it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class SentSpan:
    """A span as it arrived; ids in hex, times in seconds."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: int
    attributes: dict[str, Any]
    resource: dict[str, Any]
    events: list[tuple[str, dict[str, Any]]]
    failed: bool
    begin: float
    end: float


class Collector:
    """What was sent. `mood` is how it answers: "good", "silent", "nonsense" or an HTTP status."""

    def __init__(self) -> None:
        self.mood: str | int = "good"
        self.bodies: dict[str, list[bytes]] = defaultdict(list)
        self.url = ""
        self.over = asyncio.Event()
        self.news = asyncio.Condition()
        self._spans: list[SentSpan] = []
        self._read = 0  # bodies whose spans are there

    async def take(self, request: web.Request) -> web.StreamResponse:
        """Take a request as its mood is."""
        body = await request.read()
        if self.mood == "silent":
            await self.over.wait()
        if isinstance(self.mood, int):
            return web.Response(status=self.mood)
        async with self.news:
            self.bodies[request.path].append(body)
            self.news.notify_all()
        if self.mood == "nonsense":
            return web.Response(status=400, reason="N" * 2000, body=b"\x00\xff" * 5000)
        return web.Response(content_type="application/x-protobuf")

    async def wait_for(self, path: str, count: int = 1) -> None:
        """Wait until so many requests have come to a path."""
        async with self.news:
            await self.news.wait_for(lambda: len(self.bodies[path]) >= count)

    def spans(self) -> list[SentSpan]:
        """The spans, in the order in which they came."""
        bodies = self.bodies["/v1/traces"]
        self._spans += [span for body in bodies[self._read :] for span in _spans_of(body)]
        self._read = len(bodies)
        return self._spans

    def metrics(self) -> dict[str, Any]:
        """The metrics of the last report, by name."""
        report: Any = ExportMetricsServiceRequest.FromString(self.bodies["/v1/metrics"][-1])
        return {
            metric.name: metric
            for resource in report.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def records(self) -> list[Any]:
        """The log records."""
        bodies: list[Any] = list(map(ExportLogsServiceRequest.FromString, self.bodies["/v1/logs"]))
        return [
            record
            for body in bodies
            for resource in body.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]


def _spans_of(body: bytes) -> Iterator[SentSpan]:
    report: Any = ExportTraceServiceRequest.FromString(body)
    for resource in report.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield SentSpan(
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    name=span.name,
                    kind=span.kind,
                    attributes=plain(span.attributes),
                    resource=plain(resource.resource.attributes),
                    events=[(event.name, plain(event.attributes)) for event in span.events],
                    failed=span.status.code == 2,
                    begin=span.start_time_unix_nano / 1e9,
                    end=span.end_time_unix_nano / 1e9,
                )


def plain(attributes: Any) -> dict[str, Any]:
    """Attributes of OTLP as a dictionary."""
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in attributes}


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """Run a collector on a free port."""
    collector = Collector()
    app = web.Application(client_max_size=1 << 30)
    app.router.add_post("/{path:.*}", collector.take)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    collector.url = f"http://127.0.0.1:{port}"
    try:
        yield collector
    finally:
        collector.over.set()
        await runner.cleanup()
