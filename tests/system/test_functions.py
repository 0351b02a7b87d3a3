"""Functions as users have them run unchanged, a hundred calls at once."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from service.events.sample import sample
from tests.conftest import Serve
from tests.harness import Answer, Client, ServerProcess, request

HANDLERS = Path(__file__).parents[1] / "handlers"
FLASK_SAMPLE = Path(__file__).parents[1] / "emulator" / "functions" / "flask_sample.py"
EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
CALLS = 100
QUIET = ("--stall-after", "0")
"""A machine that is busy otherwise may be slow enough for a line about it."""

NO_CERTIFICATES = {"SSL_CERT_FILE": os.devnull}
"""Each `urlopen` reads all that the machine trusts, for plain HTTP, too: most of such a call."""

PLATFORM = {
    "x_fc_access_key_id": "STS.KEY",
    "x_fc_access_key_secret": "SECRET",
    "x_fc_security_token": "TOKEN",
    "x_fc_function_name": "job",
    "x_fc_function_memory": "512",
    "x_fc_function_timeout": "60",
    "x_fc_region": "cn-hangzhou",
}


@pytest.fixture
async def backend() -> AsyncIterator[str]:
    """What a function asks for its data: it answers once all of the calls wait for it together."""
    together = asyncio.Barrier(CALLS)

    async def answer(asked: web.Request) -> web.Response:
        await together.wait()
        if asked.method == "GET":
            return web.Response()
        order = (await asked.json())["order"]
        return web.json_response({"state": f"paid {order} {asked.headers['X-Request-Id']}"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    server = TestServer(app)
    await server.start_server(backlog=256)
    yield str(server.make_url("/")).rstrip("/")
    await server.close()


async def hundred_at_once(
    server: ServerProcess, event: Callable[[int], bytes]
) -> dict[str, dict[str, Any]]:
    """The results of 100 calls, none of which ends before all have begun."""

    async def ask(number: int) -> Answer:
        return await server.ask(request(event(number), request_id=f"r{number}", **PLATFORM))

    answers = await asyncio.gather(*map(ask, range(CALLS)))
    assert {answer.status for answer in answers} == {200}
    return {f"r{number}": answer.json() for number, answer in enumerate(answers)}


async def test_a_thumbnailer_runs_unchanged(serve: Serve, tmp_path: Path, backend: str) -> None:
    """An OSS function reads its event, its credentials and its memory, 100 calls at once."""
    shutil.copytree(HANDLERS, tmp_path / "code")
    environ = {"OSS_ENDPOINT": backend, **NO_CERTIFICATES}
    server = serve(
        "", *QUIET, "--handler", "oss_thumbnail.handler", folder=tmp_path / "code", environ=environ
    )

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


async def test_a_timer_job_runs_unchanged(serve: Serve, tmp_path: Path, backend: str) -> None:
    """A nightly job with an initializer and a slow query, 100 calls at once."""
    shutil.copytree(HANDLERS, tmp_path / "code")
    environ = {"DATABASE": backend, **NO_CERTIFICATES}
    server = serve(
        "", *QUIET, "--handler", "timer_job.handler", folder=tmp_path / "code", environ=environ
    )

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
    serve: Serve, tmp_path: Path, backend: str
) -> None:
    """Blocking HTTP calls of 100 events wait side by side."""
    shutil.copytree(HANDLERS, tmp_path / "code")
    handler = ("--handler", "http_job.handler")
    server = serve("", *QUIET, *handler, folder=tmp_path / "code", environ=NO_CERTIFICATES)

    def event(number: int) -> bytes:
        return orjson.dumps({"url": f"{backend}/orders", "order": number})

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
