"""Batches handled record by record, in running services."""

from __future__ import annotations

import asyncio
import json
import re
import signal

import pytest

from tests.conftest import Serve
from tests.harness import ServerProcess, request

HELD = """
    import asyncio, pathlib, threading
    from fc_event_service import Drop, each

    def note(line):
        with open("notes", "a") as notes:
            notes.write(f"{line}\\n")

    async def keep(record, error, context):
        note(f"kept {record['n']} {type(error).__name__}")

    async def handle(record: dict, context):
        print("begun", record["n"], "")
        if record["n"] == "bad":
            raise ValueError("bad")
        if record["n"] == "drop":
            return Drop
        while record.get("hold") and not pathlib.Path("go").exists():
            await asyncio.sleep(0.01)
        note(f"done {record['n']}")

    handler = each(key="$.k", on_failure=keep)(handle)

    together = threading.Barrier(4, timeout=60)

    @each(concurrency=4)
    def plain(record: dict, context):
        together.wait()
        note(f"plain {record['n']}")
"""
"""Records that wait until there is a file `go`, and what became of each in a file `notes`."""


def batch(*numbers: object, **fields: object) -> bytes:
    """Records."""
    return json.dumps([{"n": number, "k": None, **fields} for number in numbers]).encode()


def notes(server: ServerProcess) -> list[str]:
    """What the function has written down."""
    file = server.folder / "notes"
    return file.read_text().splitlines() if file.exists() else []


async def test_a_freeze_and_a_stop_lose_no_record(serve: Serve, loop_kind: str) -> None:
    """Amid a batch the instance is frozen, and then told to stop: all of its records are handled,
    and its call is answered.
    """
    server = serve(HELD, "--loop", loop_kind)
    async with server.client() as client:
        await client.send(request(batch(*range(30), hold=True)))
        await asyncio.to_thread(server.wait_for, "begun 19 ")
        await asyncio.to_thread(server.stop_while_frozen)
        (server.folder / "go").touch()
        assert (await client.answer()).json()["ok"] == 30
    assert await server.ends() == 0
    assert len(notes(server)) == 30


async def test_a_batch_that_outlasts_the_drain_tells_what_was_done(serve: Serve) -> None:
    """Its call is answered as late, and the log has how many records were done and begun."""
    server = serve(HELD, "--drain-timeout", "0.2")
    async with server.client() as client:
        await client.send(request(batch(1, 2)[:-1] + b',{"n":3,"k":null,"hold":true}]'))
        await asyncio.to_thread(server.wait_for, "begun 3 ")
        server.signal(signal.SIGTERM)
        assert (await client.answer()).json()["errorType"] == "FunctionTimeout"
    assert await server.ends() == 0
    assert "the call was cut: 2 ok; 1 more records were begun" in server.log()
    assert notes(server) == ["done 1", "done 2"]


async def test_two_workers_count_their_records_together(serve: Serve) -> None:
    """`/metrics` has the sums by outcome, whichever worker had the batch; of a batch whose client
    has gone, too.
    """
    server = serve(HELD, "--workers", "2")
    answers = [await server.ask(request(batch(1, "bad", "drop", 2))) for _ in range(6)]
    assert {answer.json()["records"] for answer in answers} == {4}
    async with server.client() as client:
        await client.send(request(batch(6, 7, 8, hold=True), request_id="gone"))
        await asyncio.to_thread(server.wait_for, "begun 8 ")
    (server.folder / "go").touch()
    await asyncio.to_thread(server.wait_for, "Invoke End RequestId: gone")
    assert {"done 6", "done 7", "done 8"} <= {*notes(server)}
    page = (await server.ask(request(method="GET", path="/metrics"))).body.decode()
    counts = dict(re.findall(r'fc_records_total\{outcome="(\w+)"\} (\d+)', page))
    assert counts == {"ok": "15", "dropped": "6", "failed": "6", "left": "0"}
    assert notes(server).count("kept bad ValueError") == 6


async def test_plain_handlers_have_threads_of_their_own(serve: Serve) -> None:
    """So many records run at once in an instance that serves one call at a time."""
    server = serve(HELD, "--handler", "index.plain", "--concurrency", "1")
    assert (await server.ask(request(batch(*range(40))))).json()["ok"] == 40
    assert len(notes(server)) == 40


def test_what_cannot_be_served_is_said_at_the_start(serve: Serve) -> None:
    """The annotation of a whole batch, an extra that is missing: one line, with its place."""
    source = """
        from fc_event_service import each
        from fc_event_service.events import KafkaEvents

        @each
        async def handler(batch: KafkaEvents, context): ...
    """
    server = serve(source)
    assert server.wait() == 3
    assert "index.py line 5: " in server.log()
    assert "annotate it as KafkaEvent, and not as KafkaEvents" in server.log()


@pytest.mark.long
async def test_a_stream_of_32_mb_takes_constant_memory(serve: Serve) -> None:
    """No more than a stream of 3 MB, handled record by record or read by `json_lines`."""
    source = """
        from fc_event_service import EventStream, each

        async def read(event: EventStream, context):
            return sum([item["n"] async for item in event.json_lines(dict)])

        @each(lines=True, concurrency=50)
        async def streamed(record: dict, context): ...
    """
    line = json.dumps({"n": 1, "text": "x" * 4000}).encode()
    for handler in ("index.read", "index.streamed"):
        server = serve(source, "--handler", handler)
        peaks = []
        for size in (3, 31):
            body = b"\n".join([line] * (size * 1024 * 1024 // (len(line) + 1)))
            await server.ask(request(line))
            server.reset_peak()
            before = server.memory()
            assert (await server.ask(request(body, path="/invoke"))).status == 200
            peaks.append(server.peak_memory() - before)
        assert max(peaks) < 6 * 1024 * 1024, (handler, peaks)
