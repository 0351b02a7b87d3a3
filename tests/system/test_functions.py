"""Functions as users have them run unchanged, a hundred calls at once."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from service.events.sample import sample
from tests.conftest import Serve
from tests.harness import Answer, Client, ServerProcess, least, request

pytestmark = pytest.mark.alone

HANDLERS = Path(__file__).parents[1] / "handlers"
FLASK_SAMPLE = Path(__file__).parents[1] / "emulator" / "functions" / "flask_sample.py"
EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
CALLS = 100
PLATFORM = {
    "x_fc_access_key_id": "STS.KEY",
    "x_fc_access_key_secret": "SECRET",
    "x_fc_security_token": "TOKEN",
    "x_fc_function_name": "job",
    "x_fc_function_memory": "512",
    "x_fc_function_timeout": "20",
    "x_fc_region": "cn-hangzhou",
}


@pytest.fixture
async def orders() -> AsyncIterator[str]:
    """A service that takes half a second to answer, for any number of callers."""

    async def answer(asked: web.Request) -> web.Response:
        order = (await asked.json())["order"]
        await asyncio.sleep(0.5)  # it is what the calls wait for, and orders nothing
        return web.json_response({"state": f"paid {order} {asked.headers['X-Request-Id']}"})

    app = web.Application()
    app.router.add_post("/orders", answer)
    server = TestServer(app)
    await server.start_server(backlog=256)
    yield str(server.make_url("/orders"))
    await server.close()


async def timed(server: ServerProcess, events: dict[str, bytes]) -> tuple[dict[str, Answer], float]:
    """The answers to events that are sent at once, by request id, and the seconds they took."""

    async def ask(name: str, event: bytes) -> Answer:
        return await server.ask(request(event, request_id=name, **PLATFORM))

    began = time.monotonic()
    answers = await asyncio.gather(*(ask(name, event) for name, event in events.items()))
    return dict(zip(events, answers, strict=True)), time.monotonic() - began


async def hundred_at_once(
    server: ServerProcess, event: Callable[[int], bytes]
) -> dict[str, dict[str, Any]]:
    """The results of 100 calls at once, which together take hardly longer than one."""
    await timed(server, {"first": event(0)})
    _, one = await timed(server, {"one": event(0)})
    assert one >= 0.5
    answers, took = await timed(server, {f"r{n}": event(n) for n in range(CALLS)})

    async def all_of_them() -> float:
        measured.append(took if not measured else await again(len(measured)))
        return measured[-1]

    async def again(turn: int) -> float:
        return (await timed(server, {f"again{turn}-{n}": event(n) for n in range(CALLS)}))[1]

    measured = list[float]()
    fastest = await least(all_of_them, below=3 * one)
    print(f"{server.folder.name}: one call {one:.2f} s, {CALLS} at once {fastest:.2f} s")  # noqa: T201
    assert {answer.status for answer in answers.values()} == {200}
    assert fastest < 3 * one
    return {name: answer.json() for name, answer in answers.items()}


async def test_a_thumbnailer_runs_unchanged(serve: Serve, tmp_path: Path) -> None:
    """An OSS function reads its event, its credentials and its memory, 100 calls at once."""
    shutil.copytree(HANDLERS, tmp_path / "code")
    server = serve("", "--handler", "oss_thumbnail.handler", folder=tmp_path / "code")

    def event(number: int) -> bytes:
        return sample("oss.put", {"events.0.oss.object.key": f"in/{number}.png"})

    results = await hundred_at_once(server, event)
    for number in range(CALLS):
        assert results[f"r{number}"] == {
            "requestId": f"r{number}",
            "source": f"shop-media-prod/in/{number}.png as STS.KEY",
            "region": "cn-hangzhou",
            "targets": [f"thumbnails/in/{number}-{px}.png" for px in (128, 256)],
        }
    assert await asyncio.to_thread(server.stop) == 0
    for number in range(CALLS):
        lines = [line for line in server.lines if f" r{number} " in line]
        assert len(lines) == 2
        assert lines[0].endswith(f"[INFO] thumbnail of in/{number}.png, memory 512 MB")
        assert lines[1].endswith(f"[STDOUT] downloaded shop-media-prod/in/{number}.png as STS.KEY")


async def test_a_timer_job_runs_unchanged(serve: Serve, tmp_path: Path) -> None:
    """A nightly job with an initializer and a slow query, 100 calls at once."""
    shutil.copytree(HANDLERS, tmp_path / "code")
    server = serve("", "--handler", "timer_job.handler", folder=tmp_path / "code")

    def event(number: int) -> bytes:
        return sample(
            "timer", {"payload": f'"{{\\"job\\": \\"rollup\\", \\"day\\": \\"{number}\\"}}"'}
        )

    results = await hundred_at_once(server, event)
    for number in range(CALLS):
        name = f"r{number}"
        assert results[name] == {"id": name, "day": str(number), "total": 42, "runs": 100}
    assert await asyncio.to_thread(server.stop) == 0
    assert sum("initialized by" in line for line in server.lines) == 1
    assert sum(bool(re.search(r" r\d+ .*total of", line)) for line in server.lines) == CALLS


async def test_a_job_that_calls_a_service_runs_unchanged(
    serve: Serve, tmp_path: Path, orders: str
) -> None:
    """Blocking HTTP calls of 100 events wait side by side."""
    shutil.copytree(HANDLERS, tmp_path / "code")
    server = serve("", "--handler", "http_job.handler", folder=tmp_path / "code")

    def event(number: int) -> bytes:
        return orjson.dumps({"url": orders, "order": number})

    results = await hundred_at_once(server, event)
    for number in range(CALLS):
        name = f"r{number}"
        assert results[name] == {
            "request": name,
            "order": number,
            "state": f"paid {number} {name}",
        }
    assert await asyncio.to_thread(server.stop) == 0


class Flask:
    """The platform's Flask sample as a process, started as the platform's documents say."""

    def __init__(self) -> None:
        self.port = 0
        self.process = subprocess.Popen(
            [sys.executable, FLASK_SAMPLE, "0"],
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_until_it_serves(self) -> None:
        """Its line on stderr that names the address comes once the port is open."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if found := re.search(r"Running on http://127\.0\.0\.1:(\d+)", line):
                self.port = int(found[1])
                return
        raise AssertionError("the Flask sample has ended")

    def end(self) -> list[str]:
        """Stop it; return its lines on stdout."""
        self.process.terminate()
        output, _ = self.process.communicate()
        return [line for line in output.split("\n") if line and not line.startswith(" * ")]


async def test_the_flask_sample_and_its_twin_are_alike(serve: Serve, tmp_path: Path) -> None:
    """The platform's sample and our example give the same bytes and the same log lines; a printed
    line has its call's prefix here.
    """
    (tmp_path / "code").mkdir()
    shutil.copy(EXAMPLES / "hello.py", tmp_path / "code")
    server = serve("", "--handler", "hello.handler", folder=tmp_path / "code")
    flask = Flask()
    event = request(b'{"name": "you"}', request_id="r1")
    try:
        ours = await server.ask(event)
        await asyncio.to_thread(flask.wait_until_it_serves)
        reader, writer = await asyncio.open_connection("127.0.0.1", flask.port)
        theirs = await Client(reader, writer).ask(event)
        writer.close()
    finally:
        expected = await asyncio.to_thread(flask.end)
    assert await asyncio.to_thread(server.stop) == 0
    assert (ours.status, ours.body) == (theirs.status, theirs.body) == (200, b"Hello, World!")
    begin = server.lines.index("FC Invoke Start RequestId: r1")
    lines = server.lines[begin : begin + 3]
    prefix, printed = lines[1].split(" [STDOUT] ", 1)
    assert prefix.endswith("Z r1")
    assert [lines[0], printed, lines[2]] == expected
    assert expected == [
        "FC Invoke Start RequestId: r1",
        '{"name": "you"}',
        "FC Invoke End RequestId: r1",
    ]
