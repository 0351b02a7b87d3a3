"""`/metrics`: what one worker and several tell."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Iterable

import prometheus_client
import pytest
from aiohttp.test_utils import TestClient
from prometheus_client import CollectorRegistry, Counter, Gauge, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from pytest_aiohttp.plugin import AiohttpClient

from service import metrics
from service.app import assemble_app
from service.context.call import Platform
from service.counting.pages import USER_PAGE
from service.counting.samples import samples_in
from service.counting.text import CONTENT_TYPE
from service.instance.assembly import SERVICE
from service.instance.metrics import metrics_answer, metrics_for_request, worker_metrics
from service.settings.table import Settings
from tests.assembly import handlers_of, logged
from tests.harness import RUNS_WITHIN

PROMTOOL = shutil.which("promtool")


async def handler(event: bytes, _context: object) -> bytes:
    """Answer with the event, or fail."""
    if event == b"fail":
        raise KeyError(event)
    return event


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> CollectorRegistry:
    """A registry of the test's own in the place of the library's."""
    own = CollectorRegistry()
    monkeypatch.setattr(prometheus_client, "REGISTRY", own)
    monkeypatch.setattr(USER_PAGE, "page", None)
    monkeypatch.setattr(metrics, "_metrics", {})
    return own


async def called(aiohttp_client: AiohttpClient, settings: Settings) -> TestClient:  # type: ignore[type-arg] # the two types of its application
    """A client of a service that has answered three calls, one of them with a failure."""
    with logged() as (logs, _):
        app = assemble_app(settings, Platform(), handlers_of(handler), logs)
        client = await aiohttp_client(app)
        for event in (b"", b"event", b"fail"):
            await client.post("/invoke", data=event)
    return client


async def test_calls_are_counted_by_what_they_came_to(
    aiohttp_client: AiohttpClient, registry: CollectorRegistry
) -> None:
    """In a text that Prometheus' own parser reads. Asking for metrics and health is no call."""
    metrics.counter("orders_total").inc(2)
    client = await called(aiohttp_client, Settings())
    for path in ("/health", "/metrics"):
        got = await client.get(path)
    assert got.headers["Content-Type"] == CONTENT_TYPE
    text = await got.text()
    found = samples_in(text)
    assert found["fc_calls_total", (("outcome", "success"), ("error_type", ""))] == 2
    failed = (("outcome", "function_error"), ("error_type", "KeyError"))
    assert found["fc_calls_total", failed] == 1
    for name in ("duration", "queue", "handler"):
        assert found[f"fc_call_{name}_seconds_count", ()] == 3
    assert found["fc_event_bytes_total", ()] == 9
    assert found["fc_calls_in_flight", ()] == 0
    assert found["fc_worker_up", (("worker", "1"),)] == 1
    assert found["orders_total", ()] == 2
    kinds = {family.name: family.type for family in text_string_to_metric_families(text)}
    assert kinds["fc_call_duration_seconds"] == "histogram"
    assert kinds["fc_calls"] == "counter"
    health = await (await client.get("/health")).json()
    assert (health["calls"], health["failed"]) == (3, 1)


async def test_without_metrics_there_is_no_path_and_nothing_is_counted(
    aiohttp_client: AiohttpClient,
) -> None:
    """The setting turns all of it off."""
    client = await called(aiohttp_client, Settings(metrics=False))
    assert (await client.get("/metrics")).status == 404
    assert "calls" not in await (await client.get("/health")).json()
    assert client.app is not None
    assert client.app[SERVICE].observers.usual is None


@pytest.mark.skipif(PROMTOOL is None, reason="needs promtool: apt-get install prometheus")
async def test_promtool_has_nothing_to_say(
    aiohttp_client: AiohttpClient, registry: CollectorRegistry
) -> None:
    """Names, units and descriptions are as Prometheus wants them, for sums and for each worker."""
    metrics.histogram("payment_seconds", "How long a payment took.").observe(1)
    client = await called(aiohttp_client, Settings())
    for query in ("", "?by=worker"):
        text = await (await client.get(f"/metrics{query}")).read()
        done = await asyncio.to_thread(
            subprocess.run,
            [str(PROMTOOL), "check", "metrics"],
            input=text,
            capture_output=True,
            timeout=RUNS_WITHIN,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


async def test_registries_of_several_workers_are_one(
    aiohttp_client: AiohttpClient, registry: CollectorRegistry
) -> None:
    """Counters are added up; a gauge is each worker's own; `?by=worker` tells all of it so. A
    worker that is silent is told to be.
    """
    Counter("jobs", "Jobs.", registry=registry).inc(2)
    Gauge("depth", "Depth.", registry=registry).set(5)
    client = await called(aiohttp_client, Settings())
    assert client.app is not None
    service = client.app[SERVICE]
    asked, other = await metrics_for_request(service), await worker_metrics(service)

    def told(query: dict[str, str]) -> dict[tuple[str, str], float]:
        body = metrics_answer([other, asked, None], query).body
        found = samples_in((body or b"").decode())
        return {(name, dict(labels).get("worker", "")): v for (name, labels), v in found.items()}

    found = told({})
    assert found["jobs_total", ""] == 4
    assert found["depth", "1"] == found["depth", "2"] == 5
    assert [found["fc_worker_up", str(n)] for n in (1, 2, 3)] == [1, 1, 0]
    assert found["fc_threads", ""] == asked["threads"] + other["threads"]
    found = told({"by": "worker"})
    assert found["jobs_total", "1"] == found["jobs_total", "2"] == 2
    assert found["fc_threads", "2"] == asked["threads"]
    assert ("fc_threads", "3") not in found


async def test_a_collector_that_raises_fails_no_scrape(
    aiohttp_client: AiohttpClient, registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    """The others are told; two metrics of one name are one."""

    class Failing(Collector):
        def collect(self) -> Iterable[Metric]:
            raise ZeroDivisionError

        def describe(self) -> Iterable[Metric]:
            return []

    metrics.gauge("depth").set(1)
    Gauge("depth", "Depth.", registry=registry).set(5)
    client = await called(aiohttp_client, Settings())
    found = samples_in(await (await client.get("/metrics")).text())
    assert found["depth", ()] == 1
    registry.register(Failing())
    found = samples_in(await (await client.get("/metrics")).text())
    assert found["depth", ()] == 1


def test_nothing_of_it_is_imported_unasked() -> None:
    """Neither the function's own metrics nor Prometheus' client."""
    code = """
import sys
import service.app
print([name for name in sys.modules if "prometheus" in name or name.endswith("service.metrics")])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=RUNS_WITHIN
    )
    assert done.stdout == "[]\n"
