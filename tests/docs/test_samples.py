"""What the pages of the samples show, and of recordings: over a real socket."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from service.events.sample import sample
from tests.conftest import Serve
from tests.docs.blocks import Block, runs
from tests.docs.screen import NUMBERS, assert_shows, blurred
from tests.docs.services import curled, written
from tests.harness import ServerProcess, request, run_service
from tests.idempotency.redis_server import or_skip
from tests.site.pages import ROOT


@pytest.fixture
def orders(serve: Serve) -> Iterator[tuple[ServerProcess, Any]]:
    """The sample of orders, and its Redis."""
    folder = ROOT / "examples/orders-once"
    with or_skip() as redis:
        yield serve("", folder=folder, environ={"REDIS_URL": redis.url}), redis.plain


BOOKINGS = {r'"booking":"\w+"': '"booking":"N"', r'"digest":"\w+"': '"digest":"N"'}


@runs(
    "docs/once.md#events-that-are-handled-once:2",
    "docs/once.md#metrics",
    "examples/orders-once/README.md#orders-once",
    "examples/orders-once/README.md#orders-once:2",
)
def test_an_order_that_comes_twice_is_answered_as_shown(
    shown: list[Block], orders: tuple[ServerProcess, Any]
) -> None:
    """In the answers, in the metrics and in Redis; the page shows a part of the sample's."""
    page, counted, commands, told = shown
    server, redis = orders
    _redis, place, _service, function, *typed = commands.code.splitlines()
    assert (ROOT / place.split()[1] / "index.py").is_file()
    curl = function.partition("{ ")[2].partition(";")[0]
    seen = []
    for command in typed:
        name, *rest = command.split(" ", 1)
        if name == "send":
            seen.append(curled(curl.replace('"$1"', rest[0]), server))
        elif name == "curl":
            lines = curled(command.partition(" |")[0], server).splitlines()
            seen += [line for line in lines if line.startswith("fc_once")]
        else:
            key = shlex.split(command)[-1]
            seen += [part.decode() for pair in redis.hgetall(key).items() for part in pair]
    assert_shows(told.code, "\n".join(seen), BOOKINGS)
    promised = blurred(told.code, BOOKINGS).splitlines()
    for line in blurred(page.code + counted.code, BOOKINGS).splitlines():
        assert line in promised or line.startswith("$ "), line


# --- samples

PAYMENT = '{"order":"o-1","cents":100}'


@runs(
    "examples/webhook/README.md#a-webhook-behind-api-gateway",
    "examples/webhook/README.md#a-webhook-behind-api-gateway:2",
)
async def test_payments_are_answered_and_audited_as_shown(
    shown: list[Block], serve: Serve, aiohttp_server: Any
) -> None:
    """A good one, a forged one and a bad one."""

    async def take(_request: web.Request) -> web.Response:
        return web.Response(status=204)

    books = web.Application()
    books.router.add_post("/{any}", take)
    port = (await aiohttp_server(books)).port
    environ = {"BOOKS_URL": f"http://127.0.0.1:{port}", "WEBHOOK_SECRET": "s3cret"}
    server = serve("", folder=ROOT / "examples/webhook", environ=environ)
    events = [(PAYMENT, "s3cret"), (PAYMENT, "guessed"), ('{"order":7}', "s3cret")]
    answers = [
        (await server.ask(request(webhook(body, secret)))).body.decode() for body, secret in events
    ]
    answer, audit = shown
    assert_shows(answer.code, "\n".join(answers))
    server.wait_for("audit: bad_request")
    lines = [line for line in written(server).splitlines() if "audit: " in line]
    assert_shows(audit.code, "\n".join(lines))


def webhook(body: str, secret: str) -> bytes:
    """What API Gateway sends for a request of the provider's."""

    signature = hmac.new(secret.encode(), body.encode(), hashlib.sha256).hexdigest()
    changed = {"body": body, "isBase64Encoded": False, "headers": {"X-Signature": signature}}
    return json.dumps({**json.loads(sample("apigateway")), **changed}).encode()


# --- recordings

ORDERED = """\
async def handler(event: dict, context):
    print("order of" if event["what"] == "milk" else {said!r}, event["what"])
    return {{"order": context.request_id, "total": {total}}}
"""


@runs(
    "docs/record.md#recording-calls-and-sending-them-again",
    "docs/record.md#what-is-in-it",
)
async def test_a_recording_is_made_and_sent_again_as_shown(
    shown: list[Block], serve: Serve, tmp_path: Path
) -> None:
    """To a handler that says another thing, and counts one of the three otherwise."""
    terminal, file = shown
    begin, again = terminal.commands
    folder = tmp_path / "function"
    before = ORDERED.format(said="order of", total="event['n'] * 6")
    server = serve(before, *begin.split()[3:], folder=folder)
    events = [{"what": "tea", "n": 0}, {"what": "cake", "n": 1}, {"what": "milk", "n": 0}]
    for event in events:
        await server.ask(
            request(orjson.dumps(event), x_fc_function_name="local", x_fc_retry_count="0")
        )
    assert server.stop() == 0
    [calls] = (folder / "recorded").glob("*.jsonl")
    head, _tea, cake, _milk = map(json.loads, calls.read_text().splitlines())
    first, _, rest = file.code.partition("\n")
    for promised, kept in ((json.loads(first), head), (json.loads(rest), cake)):
        assert list(kept) == list(promised)
        same = {"recording", "version", "of", "rate", "function", "error", "event", "lines"}
        assert {k: kept[k] for k in same & {*kept}} == {k: promised[k] for k in same & {*kept}}
    after = ORDERED.format(said="ordered:", total="event['n'] * 7")
    code = folder / "index.py"
    began = code.stat().st_mtime
    code.write_text(after)
    os.utime(code, (began, began))  # in the same second, as on a fast machine
    seen = run_service(folder, *shlex.split(again)[3:]).stdout.decode()
    times = {r"\b\d\d:\d\d:\d\d\.\d{3}": "TIME"} | NUMBERS | {r"\bN m?s\b": "N ms"}
    assert_shows(terminal.output(again), seen, times)
