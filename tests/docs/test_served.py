"""The functions that pages show, served: what lives as long as the instance, values, batches."""

from __future__ import annotations

import asyncio
import os
import re
import textwrap
from pathlib import Path

from tests.conftest import Serve
from tests.docs.blocks import Block, runs
from tests.docs.screen import assert_shows
from tests.docs.services import LINES, NO_HANDLER, curled, written
from tests.harness import ANSWERS_WITHIN, ServerProcess, request

# --- what lives as long as the instance


@runs("docs/lifetime.md#tasks-of-the-instance", "docs/lifetime.md#tasks-of-the-instance:2")
def test_a_task_that_fails_is_started_again_as_shown(shown: list[Block], serve: Serve) -> None:
    """Its lines have its id; the wait before it fails is left out here."""
    code, lines = shown
    server = serve("import asyncio\n" + code.code.replace("(0.5)", "(0)") + NO_HANDLER)
    server.wait_for("polling", count=2)
    seen = [line for line in written(server).splitlines() if "task-poll" in line]
    assert_shows(lines.code, "\n".join(seen[: len(lines.code.splitlines())]), LINES)


BATCHER = """
import asyncio
import hashlib
import hmac

class Batcher:
    def __init__(self):
        self.queue, self.task = asyncio.Queue(), None

    async def ask(self, number):
        if self.task is None:
            self.task = asyncio.create_task(self.work())
        answer = asyncio.get_running_loop().create_future()
        await self.queue.put((number, answer))
        return await answer

    async def work(self):
        while True:
            number, answer = await self.queue.get()
            answer.set_result(number * number)

batcher = Batcher()

async def handler(event: int, context):
    return await batcher.ask(event)
"""


@runs("docs/lifetime.md#a-task-that-one-call-starts-and-others-wait-for")
async def test_a_task_that_works_for_other_calls_is_told_as_shown(
    shown: list[Block], serve: Serve
) -> None:
    """A batcher written by hand, whose first call ends; the second one gets its answer."""
    server = serve(BATCHER, "--background", "cancel")
    answers = [(await server.ask(request(b"%d" % number))).body for number in (2, 3)]
    assert answers == [b"4", b"9"]
    server.wait_for("works for other calls")
    assert_shows(shown[0].code, written(server), LINES)


@runs("docs/lifetime.md#around-each-call", "docs/lifetime.md#around-each-call:2")
async def test_the_audit_of_two_calls_is_what_is_shown(shown: list[Block], serve: Serve) -> None:
    """One that succeeds, one that fails."""
    code, lines = shown
    server = serve(code.code + NO_HANDLER)
    for event in (b"x", b""):
        await server.ask(request(event))
    server.wait_for("ZeroDivisionError$")
    seen = [line for line in written(server).splitlines() if "] audit: " in line]
    assert_shows(lines.code, "\n".join(seen))


@runs("docs/lifetime.md#middlewares", "docs/lifetime.md#middlewares:2")
def test_a_middleware_answers_as_shown(shown: list[Block], serve: Serve) -> None:
    """A call without the key; one with it comes to the handler."""
    code, answer = shown
    server = serve(code.code + NO_HANDLER)
    address = "curl http://127.0.0.1:9000/invoke -d x"
    dates = {r"Date: .*": "Date: "}
    assert_shows(answer.code, curled(f"{address} -i", server), dates)
    assert curled(f"{address} -H 'x-key: 42'", server) == "1"


# --- values that are shared

RATES = """\
    tables = {"EUR": {"USD": 1.1}}
    if currency not in tables:
        raise LookupError(f"no rates for {currency}")
    return tables[currency]
"""


@runs("docs/resources.md#values", "docs/resources.md#values:2", "docs/resources.md#values:3")
async def test_twenty_calls_fetch_once_as_shown(shown: list[Block], serve: Serve) -> None:
    """And another one for what there is not. Which calls find it there depends on who is first."""
    code, lines, counted = shown
    server = serve(code.code.replace("    ...\n", RATES))
    euros = request(b'{"currency": "EUR", "amount": 2}')
    answers = await asyncio.gather(*(server.ask(euros) for _ in range(20)))
    assert {answer.body for answer in answers} == {b"2.2"}
    await server.ask(request(b'{"currency": "XXX", "amount": 2}'))
    server.wait_for("LookupError: no rates")
    assert_shows(lines.code, written(server))
    metrics = curled("curl http://127.0.0.1:9000/metrics", server)
    seen = [line for line in metrics.splitlines() if line.startswith("fc_shared")]
    assert_shows(counted.code, "\n".join(seen), {r"(hits_total\S+) \d+": r"\1 N"})


# --- batches

BATCHED = """\
import logging
import os

from fc_event_service import Context, batched


@batched(max_size=2, max_wait=60)
def handler(numbers: list[int], contexts: list[Context]):
    if numbers == [0]:
        os.close(os.open("go", os.O_RDONLY))
        return [0]
{shown}
    return [number * number if number >= 0 else ValueError("negative") for number in numbers]
"""


@runs("docs/batching.md#lines-and-figures", "docs/batching.md#lines-and-figures:2")
async def test_the_lines_of_a_batch_are_what_is_shown(
    shown: list[Block], serve: Serve, tmp_path: Path
) -> None:
    """Two calls that come while a first one holds the function."""
    fragment, lines = shown
    (folder := tmp_path / "function").mkdir()
    os.mkfifo(folder / "go")
    source = BATCHED.format(shown=textwrap.indent(fragment.code, "    "))
    flags = ("--log-calls", "all", "--slow-after", "1000", "--log-level", "DEBUG")
    server = serve(source, *flags, folder=folder)
    first = asyncio.create_task(server.ask(request(b"0", request_id="order-a")))
    await asyncio.to_thread(server.wait_for, "order-a .* gets a batch of 1")
    second = asyncio.create_task(server.ask(request(b"4", request_id="order-b")))
    await in_flight(server, 2)
    third = asyncio.create_task(server.ask(request(b"-5", request_id="order-c")))
    await in_flight(server, 3)
    with (folder / "go").open("wb"):
        await asyncio.gather(first, second, third)
    server.wait_for("order-c.* has ended", 8)
    seen = [
        line
        for line in written(server).splitlines()
        if re.search(r"order-[bc] \[", line) and "a batch of 1:" not in line
    ]
    timeless = (re.sub(r"^\S+Z ", "", line) for line in seen)
    seen_there = {r"inFlight=\d": "inFlight=N"}  # a look at how many there are is one, too
    assert_shows(in_order(lines.code), in_order("\n".join(timeless)), seen_there)


async def in_flight(server: ServerProcess, number: int) -> None:
    """Ask until so many calls are in flight."""
    health = request(b"", path="/health", method="GET")
    async with asyncio.timeout(ANSWERS_WITHIN):
        while (await server.ask(health)).json()["inFlight"] < number:
            pass


def in_order(text: str) -> str:
    """The lines of each call in their order: which call's comes first is not said."""
    return "\n".join(sorted(text.splitlines(), key=lambda line: line.split(" ")[0]))
