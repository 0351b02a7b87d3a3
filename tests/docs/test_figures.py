"""What pages show of a running service's figures, traces, profiles and starts."""

from __future__ import annotations

import asyncio
import importlib
import json
import re
from pathlib import Path

import pytest

from service.traces.dropped import Dropped
from tests.assembly import Logged
from tests.conftest import Serve
from tests.docs.blocks import Block, runs
from tests.docs.screen import NUMBERS, assert_shows, blurred
from tests.docs.services import NO_HANDLER, curled
from tests.harness import request

COUNTED = '\n\nasync def handler(event: dict, context):\n    return event["customer"]\n'


@runs("docs/observe.md#metrics", "docs/operate.md#health")
async def test_the_figures_of_six_calls_are_what_is_shown(shown: list[Block], serve: Serve) -> None:
    """Five that succeed and one that fails: the families, their help and their labels."""
    metrics, health = shown
    server = serve(COUNTED)
    await server.ask(request(b'{"customer": 1}'))
    [command] = health.commands
    now = {r'Seconds":[\d.e-]+': 'Seconds":N', r'"stalls":\d+': '"stalls":N'}
    assert_shows(health.output(command), curled(command, server), now)
    for event in (*[b'{"customer": 1}'] * 4, b"{}"):
        await server.ask(request(event))
    [command] = metrics.commands
    text = curled(command, server)
    counts = re.findall(r"^fc_calls_total.*$", metrics.code, re.MULTILINE)
    assert [line for line in counts if line not in text.splitlines()] == []
    only = {r"(_bucket\S+|_sum|_count) \S+$": r"\1 N"}
    seen = [blurred(line, only) for line in text.splitlines()]
    promised = [blurred(line, only) for line in metrics.output(command).splitlines()]
    assert [line for line in promised if line not in seen and line.strip() != "..."] == []


@runs("docs/observe.md#metrics-of-your-own")
async def test_metrics_of_ones_own_are_told(shown: list[Block], serve: Serve) -> None:
    """What the handler of the page counts, sets and observes."""
    server = serve(shown[0].code)
    await server.ask(request(b"{}"))
    lines = curled("curl http://127.0.0.1:9000/metrics", server).splitlines()
    told = ('orders_total{shop="north"} 1', "queue_depth 3", "payment_seconds_sum 0.25")
    assert [line for line in told if line not in lines] == []


@runs("docs/console.md#one-running-service")
def test_the_address_of_the_page_is_told_as_shown(shown: list[Block], serve: Serve) -> None:
    """Among the lines of the start."""
    [command] = shown[0].commands
    server = serve(NO_HANDLER, *command.split()[3:], "--console-port", "0")
    server.wait_for("^  console ")
    seen = "\n".join(line for line in server.lines if not line.startswith("FunctionCompute"))
    assert_shows(f"{shown[0].output(command)}...\n", seen, {r"token=\S+": "token="})


# --- seen from inside


@runs("docs/observe.md#a-collector-that-is-down")
def test_what_is_not_sent_is_told_as_shown(shown: list[Block], log: Logged) -> None:
    """With what the exporter has logged of it."""
    dropped = Dropped()
    dropped.reason = "Failed to export spans batch code: 503, reason: Service Unavailable"
    dropped.count("reports of metrics", 1)
    dropped.count("spans", 245)
    dropped.tell()
    _, pipe = log
    assert_shows(shown[0].code, pipe.read().decode())


@runs("docs/observe.md#of-an-instance-under-load")
async def test_a_profile_of_all_calls_is_told_as_shown(
    shown: list[Block], serve: Serve, tmp_path: Path
) -> None:
    """At the stop, which comes before its seconds are over."""
    pytest.importorskip("pyinstrument")
    server = serve(NO_HANDLER, "--profile-calls", "30", "--profile-folder", str(tmp_path))
    for _ in range(2):
        await server.ask(request(b"x"))
    server.stop()
    line = server.wait_for("profile of")
    assert_shows(shown[0].code, line, NUMBERS)


@runs("docs/observe.md#traces", "docs/observe.md#traces:2", "docs/observe.md#traces:3")
@pytest.mark.long
async def test_two_calls_of_a_trace_look_as_shown(shown: list[Block], serve: Serve) -> None:
    """At concurrency 1 and a cold start, as a collector gets them; and a line of the first."""
    pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")
    collecting = importlib.import_module("tests.collector").collecting
    command, tree, line = shown
    variable = command.code.partition("=")[0]
    trace, *rows = tree.code.splitlines()
    source = (
        "import asyncio, logging\n\n\n"
        "async def initialize(context):\n    await asyncio.sleep(0)\n\n\n"
        "async def handler(event, context):\n    logging.info('paid')\n"
    )
    async with collecting() as collector:
        flags = ("--concurrency", "1", "--log-format", "json")
        environ = {variable: collector.url, "FC_FUNCTION_NAME": "shop"}
        server = serve(source, *flags, environ=environ)
        parent = f"00-{trace}-b7ad6b7169203331-01"
        calls = (server.ask(request(b"{}", traceparent=parent)) for _ in range(2))
        await asyncio.gather(*calls)
        server.stop()
        spans = {span.span_id: span for span in collector.spans()}
    assert {span.trace_id for span in spans.values()} == {trace}
    promised = {row.split()[0] for row in rows if row.startswith("    ")}
    stages = {span.name for span in spans.values() if span.parent_id in spans}
    assert stages <= promised | {"queue"}
    assert {"decode", "handler"} <= stages & promised
    calls_of = [span for span in spans.values() if span.name == "shop"]
    for name in re.findall(r"(faas\.\w+)=", tree.code):
        assert all(name in span.attributes for span in calls_of), name
    assert sorted(span.attributes["faas.coldstart"] for span in calls_of) == [False, True]
    [said, *_] = [json.loads(each) for each in server.lines if '"message":"paid"' in each]
    assert list(said) == list(json.loads(line.code))


@runs("docs/observe.md#of-a-cold-start", "docs/observe.md#of-a-cold-start:2")
@pytest.mark.long
async def test_the_report_of_a_start_looks_as_shown(shown: list[Block], serve: Serve) -> None:
    """With other figures and other packages."""
    terminal, report = shown
    [command] = terminal.commands
    source = "import asyncio\n\n\nimport hypothesis\n\nimport aiohttp.client\n" + NO_HANDLER
    source += "\n\ndef initialize(context):\n    pass\n"
    server = serve(source, *command.split()[3:])
    await server.ask(request(b"x"))
    server.wait_for("import it inside of the function")
    server.stop()
    seen = [blurred(line, NUMBERS).strip() for line in [*server.lines, *server.errors]]
    for promised in report.code.splitlines():
        line = blurred(promised, NUMBERS).strip()
        is_of_a_package = re.match(r"N( N){1,2} [\w.(]", line) and "(" not in line[:8]
        steps = ("Python is there", "imported", "answers", "is done", "arrives", "is made")
        if not is_of_a_package or any(step in line for step in steps):
            assert line in seen or "import it inside" in line, promised
