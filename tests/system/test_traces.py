"""Spans, metrics and log records of real processes, as a collector on loopback gets them."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")

from tests.collector import Collector, SentSpan, collecting, plain
from tests.conftest import Serve
from tests.harness import ECHO, Answer, ServerProcess, held_port, request
from tests.system import test_secrets as secrets

JSON = ("--log-format", "json")
SERVER = 2
"""The kind of a server span in OTLP."""

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"

SHOP = """
    import asyncio, logging, pathlib, threading
    from opentelemetry import baggage, trace
    from service.events import TimerEvent

    tracer = trace.get_tracer("orders")

    async def initialize(context):
        while not pathlib.Path("go").exists():
            await asyncio.sleep(0.02)

    async def later(event: TimerEvent, context):
        with tracer.start_as_current_span("work"):
            await asyncio.sleep(0.01)
        context.bind(order_id=7)
        logging.info("done", extra={"items": 2})
        return baggage.get_baggage("tenant")

    def in_thread(event: TimerEvent, context):
        def work():
            with tracer.start_as_current_span("work"):
                logging.info("done")
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return baggage.get_baggage("tenant")
"""
EVENT = (
    b'{"triggerTime":"2026-01-01T00:00:00Z","triggerName":"t","payload":"p","triggerType":"timer"}'
)

MANY = """
    import asyncio
    from opentelemetry import trace

    tracer = trace.get_tracer("orders")

    async def handler(event, context):
        ids = trace.get_current_span().get_span_context()
        with tracer.start_as_current_span("work"):
            await asyncio.sleep(0.01)
        print("seen")
        return f"{ids.trace_id:032x} {ids.span_id:016x}"
"""


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    """A collector that takes everything."""
    async with collecting() as running:
        yield running


def sending(collector: Collector, **more: str) -> dict[str, str]:
    """The variables of a service that sends to a collector, however slow this machine is."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_TIMEOUT": "60",
        "SERVICE_TELEMETRY_FLUSH": "60",
        **more,
    }


async def stopped(server: ServerProcess) -> int:
    """SIGTERM, and the exit code; the collector goes on meanwhile."""
    server.signal(signal.SIGTERM)
    return await server.ends()


def below(parent: SentSpan, spans: list[SentSpan]) -> list[SentSpan]:
    """The children of a span, in the order of their begin."""
    return sorted((s for s in spans if s.parent_id == parent.span_id), key=lambda s: s.begin)


def server_spans(spans: list[SentSpan]) -> list[SentSpan]:
    """The spans of calls, in the order of their begin."""
    return sorted((s for s in spans if s.kind == SERVER), key=lambda s: s.begin)


@pytest.mark.parametrize("handler", ["later", "in_thread"])
async def test_a_call_is_a_span_with_its_stages(
    serve: Serve, collector: Collector, handler: str
) -> None:
    """It is the caller's child, has the attributes of `faas`, and is the parent of its stages and
    of what the handler does, in threads too. All of it has arrived when the answer is there.
    """
    variables = {"OTEL_LOGS_EXPORTER": "otlp", "OTEL_RESOURCE_ATTRIBUTES": "team=a"}
    platform = {"FC_FUNCTION_NAME": "shop", "FC_INSTANCE_ID": "c-1"}
    server = serve(
        SHOP,
        *("--concurrency", "1", "--handler", f"index.{handler}"),
        environ=sending(collector, **variables, **platform),
    )
    fields = {
        "traceparent": f"00-{TRACE}-{SPAN}-01",
        "baggage": "tenant=7",
        "x_fc_function_name": "shop",
        "x_fc_version_id": "3",
        "x_fc_region": "cn-hangzhou",
        "x_fc_account_id": "12",
    }
    first = asyncio.create_task(server.ask(request(EVENT, request_id="first", **fields)))
    await asyncio.to_thread(server.wait_for, "Start RequestId: first")
    second = asyncio.create_task(server.ask(request(EVENT, request_id="second", **fields)))
    await asyncio.to_thread(server.wait_for, "Start RequestId: second")
    (server.folder / "go").touch()
    assert {(await first).body, (await second).body} == {b"7"}
    spans = collector.spans()
    calls = {span.attributes["faas.invocation_id"]: span for span in server_spans(spans)}
    assert set(calls) == {"first", "second"}
    for call in calls.values():
        assert (call.trace_id, call.parent_id, call.name) == (TRACE, SPAN, "shop")
        assert not call.failed
    stages = [span.name for span in below(calls["first"], spans)]
    assert stages == ["initializer", "decode", "handler", "work"]
    assert [span.name for span in below(calls["second"], spans)][:3] == [
        "queue",
        "decode",
        "handler",
    ]
    for span in below(calls["second"], spans):
        assert calls["second"].begin <= span.begin <= span.end <= calls["second"].end
    assert calls["second"].attributes == {
        "cloud.provider": "alibaba_cloud",
        "cloud.platform": "alibaba_cloud_fc",
        "cloud.region": "cn-hangzhou",
        "cloud.account.id": "12",
        "cloud.resource_id": "acs:fc:cn-hangzhou:12:functions/shop",
        "faas.name": "shop",
        "faas.version": "3",
        "faas.trigger": "timer",
        "faas.invocation_id": "second",
        "faas.coldstart": False,
    }
    assert calls["first"].attributes["faas.coldstart"]
    resource = calls["first"].resource
    assert resource["service.name"] == resource["faas.name"] == "shop"
    assert (resource["faas.instance"], resource["team"]) == ("c-1", "a")
    records = [r for r in collector.records() if r.body.string_value == "done"]
    assert {record.trace_id.hex() for record in records} == {TRACE}
    told = plain(records[0].attributes)
    assert told["faas.invocation_id"] in ("first", "second")
    if handler == "later":
        assert (told["order_id"], told["items"]) == (7, 2)


async def test_a_failure_is_an_event_without_its_text(serve: Serve, collector: Collector) -> None:
    """It has the exception's type and the user's frames, and nothing that may quote the event."""
    server = serve(
        """
        class Refused(Exception):
            pass

        async def handler(event: dict, context):
            try:
                int(event["id"])
            except ValueError as reason:
                raise Refused(event) from reason
        """,
        environ=sending(collector),
    )
    answer = await server.ask(request(b'{"id": "HUSH"}'))
    assert answer.status == 404
    assert (await server.ask(request(b"{", request_id="bad"))).status == 400
    failed, unsound = server_spans(collector.spans())
    assert failed.failed
    assert failed.attributes["error.type"] == "Refused"
    [(name, event)] = failed.events
    assert name == "exception"
    assert event["exception.type"] == "index.Refused"
    assert "raise Refused(event) from reason" in event["exception.stacktrace"]
    assert set(event) == {"exception.type", "exception.stacktrace"}
    assert unsound.failed
    assert [span.name for span in below(unsound, collector.spans())] == ["decode"]
    assert b"HUSH" not in b"".join(collector.bodies["/v1/traces"])
    assert await stopped(server) == 0
    metrics = collector.metrics()
    assert metrics["faas.errors"].sum.data_points[0].as_int == 2
    assert metrics["faas.coldstarts"].sum.data_points[0].as_int == 1
    assert metrics["faas.invoke_duration"].histogram.data_points[0].count == 1


async def test_what_is_no_call_has_no_span(serve: Serve, collector: Collector) -> None:
    """`/health`, `/metrics`, hooks and unknown paths are not traced."""
    server = serve(MANY, environ=sending(collector))
    for method, path in (
        *(("GET", "/health"), ("GET", "/metrics")),
        *(("POST", "/initialize"), ("GET", "/nowhere")),
    ):
        await server.ask(request(b"", path=path, method=method))
    await server.ask(request())
    assert await stopped(server) == 0
    assert len(server_spans(collector.spans())) == 1


async def rounds(
    server: ServerProcess, collector: Collector, number: int, at_once: int
) -> list[tuple[str, Answer]]:
    """Ask so many calls at once, and freeze the instance when the last one is answered; so many
    times. Each time all of their spans have arrived before. Return each caller's trace and its
    answer.
    """
    answers: list[tuple[str, Answer]] = []
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(server.client()) for _ in range(at_once)]

        async def ask(client: Any, trace: str) -> tuple[str, Answer]:
            parent = f"00-{trace}-{SPAN}-01"
            return trace, await client.ask(request(request_id=trace, traceparent=parent))

        for turn in range(number):
            traces = [f"{turn * at_once + place + 1:032x}"[::-1] for place in range(at_once)]
            answers += await asyncio.gather(*map(ask, clients, traces))
            server.signal(signal.SIGSTOP)
            assert len(server_spans(collector.spans())) == len(answers)
            server.signal(signal.SIGCONT)
    return answers


async def proven(server: ServerProcess, collector: Collector, number: int, at_once: int) -> None:
    """Ask calls in rounds with freezes between them, and stop amid the last round."""
    answers = await rounds(server, collector, number, at_once)
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(server.client()) for _ in range(at_once)]
        last = [f"f{place:031x}"[::-1] for place in range(at_once)]
        for client, trace in zip(clients, last, strict=True):
            parent = f"00-{trace}-{SPAN}-01"
            await client.send(request(request_id=trace, traceparent=parent))
        begun = [f"Start RequestId: {trace}$" for trace in last]
        await asyncio.to_thread(lambda: [server.wait_for(line) for line in begun])
        server.signal(signal.SIGTERM)
        answers += [
            (trace, await client.answer()) for client, trace in zip(clients, last, strict=True)
        ]
    assert await server.ends() == 0
    spans = collector.spans()
    assert max(Counter(span.span_id for span in spans).values()) == 1
    calls = {span.trace_id: span for span in server_spans(spans)}
    assert len(calls) == len(answers) == len(server_spans(spans))
    lines = [json.loads(line) for line in server.lines if '"seen"' in line]
    ids = {line["requestId"]: (line["traceId"], line["spanId"]) for line in lines}
    children = Counter((span.parent_id, span.name) for span in spans if span.kind != SERVER)
    for trace, answer in answers:
        call = calls[trace]
        assert call.parent_id == SPAN
        assert ids[call.attributes["faas.invocation_id"]] == (trace, call.span_id)
        assert answer.body.decode() == f"{trace} {call.span_id}"
        assert [children[call.span_id, name] for name in ("decode", "handler", "work")] == [1, 1, 1]


async def test_every_span_arrives_once(serve: Serve, collector: Collector) -> None:
    """300 calls, 50 at once, with freezes between them and a SIGTERM amid the last ones."""
    await proven(serve(MANY, *JSON, environ=sending(collector)), collector, number=5, at_once=50)


@pytest.mark.long
async def test_every_span_of_10_000_calls_arrives_once(serve: Serve, collector: Collector) -> None:
    """The same with 10,000 calls, 100 at once."""
    await proven(serve(MANY, *JSON, environ=sending(collector)), collector, number=99, at_once=100)


async def test_each_worker_sends_its_own(serve: Serve, collector: Collector) -> None:
    """Two workers have providers of their own, made after the fork; `/pre-freeze` has both send."""
    server = serve(MANY, "--workers", "2", environ=sending(collector))
    pids = set[int]()
    while len(pids) < 2:
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(server.client()) for _ in range(8)]
            await asyncio.gather(*(client.ask(request()) for client in clients))
        pids = {span.resource["process.pid"] for span in collector.spans()}
    asked = request(b"", path="/pre-freeze", method="GET")
    assert (await server.ask(asked)).status == 200
    assert len(collector.bodies["/v1/metrics"]) == 2
    assert len({span.resource["service.instance.id"] for span in collector.spans()}) == 2
    assert await stopped(server) == 0
    ids = Counter(span.span_id for span in collector.spans())
    assert max(ids.values()) == 1


MOODS: dict[str, Callable[[Collector], None]] = {
    "silent": lambda collector: setattr(collector, "mood", "silent"),
    "nonsense": lambda collector: setattr(collector, "mood", "nonsense"),
    "unwilling": lambda collector: setattr(collector, "mood", 404),
    "absent": lambda collector: setattr(collector, "url", "http://127.0.0.1:1"),
}


@pytest.mark.parametrize(
    "mood",
    [
        *("silent", "absent"),
        *(pytest.param(mood, marks=pytest.mark.long) for mood in ("nonsense", "unwilling")),
    ],
)
async def test_a_collector_that_fails_holds_up_no_call(
    serve: Serve, collector: Collector, mood: str
) -> None:
    """Calls are answered though it never answers, and all that is lost is told in a line or two."""
    MOODS[mood](collector)
    variables = sending(collector, SERVICE_TELEMETRY_FLUSH="0.05", OTEL_METRICS_EXPORTER="none")
    server = serve(MANY, environ=variables)
    for _ in range(5):
        assert (await server.ask(request())).status == 200
    assert await stopped(server) == 0
    told = [line for line in server.lines if "not sent" in line]
    assert 1 <= len(told) <= 2
    assert all(len(line) < 400 for line in told)
    lost = sum(int(line.split("not sent: ")[1].split(" ")[0]) for line in told)
    assert lost == 5 * len(("the call", "decode", "handler", "work"))
    assert "Traceback" not in server.log()


@pytest.mark.parametrize("missing", ["the extra", "the exporter"])
async def test_what_is_not_installed_keeps_no_function_from_being_served(
    serve: Serve, tmp_path: Path, missing: str
) -> None:
    """Calls are served without traces, and a line tells what to do."""
    if missing == "the extra":
        (tmp_path / "opentelemetry.py").write_text("raise ImportError('no opentelemetry')\n")
    server = serve(ECHO, folder=tmp_path, environ={"OTEL_TRACES_EXPORTER": "nobodys"})
    assert (await server.ask(request(b"1"))).body == b"1"
    told = {
        "the extra": "no opentelemetry. Install fc-event-service[otel]",
        "the exporter": "nothing is sent: LookupError: no exporter nobodys for traces",
    }
    assert told[missing] in server.log()


async def test_instrumented_from_outside_a_call_is_one_span(
    tmp_path: Path, collector: Collector
) -> None:
    """Within `opentelemetry-instrument`, its provider is used, and the instrumentation of aiohttp's
    server adds no second span, nor one of `/health`.
    """
    wrapper = Path(sys.executable).with_name("opentelemetry-instrument")
    command = [str(wrapper), sys.executable, "-m", "service", "--port", "0"]
    variables = sending(
        collector,
        OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
        OTEL_METRICS_EXPORTER="none",
        OTEL_LOGS_EXPORTER="none",
    )
    server = ServerProcess(tmp_path, MANY, environ=variables, command=command)
    try:
        await server.ask(request(b"", path="/health", method="GET"))
        answer = await server.ask(request(traceparent=f"00-{TRACE}-{SPAN}-01"))
        [call] = server_spans(collector.spans())
        assert answer.body.decode() == f"{TRACE} {call.span_id}"
        assert call.parent_id == SPAN
        assert await stopped(server) == 0
        assert len(server_spans(collector.spans())) == 1
    finally:
        server.kill()


async def test_on_aiohttps_own_server_an_answer_waits_too(
    tmp_path: Path, collector: Collector
) -> None:
    """`create_app` is traced as `serve` is: the span has arrived when the answer is there."""
    with held_port() as port:
        source = f"""
            import functools
            from aiohttp import web
            from service import create_app
            tell = functools.partial(print, flush=True)
            web.run_app(create_app("index.handler"), port={port}, print=tell)
        """
        (tmp_path / "own.py").write_text("\n".join(map(str.strip, source.strip().splitlines())))
        command = [sys.executable, "own.py"]
        server = ServerProcess(tmp_path, MANY, environ=sending(collector), command=command)
        server.__dict__["port"] = port
        try:
            await asyncio.to_thread(server.wait_for, "Running on")
            answer = await server.ask(request())
            [call] = server_spans(collector.spans())
            assert answer.body.decode().endswith(call.span_id)
            assert await stopped(server) == 0
        finally:
            server.kill()


async def test_no_secret_is_sent(serve: Serve, collector: Collector) -> None:
    """Whatever goes wrong, no span, metric or log record has a part of a credential, of a variable
    or of the event.
    """
    environ = sending(collector, OTEL_LOGS_EXPORTER="otlp", **secrets.VARIABLES)
    server = serve(secrets.COMMON + secrets.TYPED, environ=environ)
    acts = ("raise", "chain", "credentials", "exit", "group", "set", "opaque", "endless", "context")
    async with server.client() as client:
        for act in (*acts, "its-credentials", "task", "thread", "surrogate"):
            await client.ask(secrets.call(act))
    for refused in ("two-tokens", "two-ids", "a-bad-id", "not-latin", "in-a-trailer"):
        async with server.client() as client:
            await client.ask(secrets.REFUSED[refused])
    (server.folder / "gone").touch()
    assert await stopped(server) == 0
    sent = b"".join(body for bodies in collector.bodies.values() for body in bodies)
    assert len(server_spans(collector.spans())) >= len(acts)
    assert secrets.found_in(sent) == set()


@pytest.mark.long
async def test_what_a_function_records_itself_is_found(serve: Serve, collector: Collector) -> None:
    """The search of secrets sees what user code puts into a span."""
    server = serve(
        """
        from opentelemetry import trace

        async def handler(event, context):
            trace.get_current_span().set_attribute("event", str(event))
        """,
        environ=sending(collector),
    )
    await server.ask(secrets.call())
    assert secrets.found_in(b"".join(collector.bodies["/v1/traces"])) == {"body"}
