"""A service that records, and its calls sent again: the processes that a user has."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.conftest import Serve
from tests.harness import ENDS_WITHIN, ServerProcess, request

HANDLER = """
    import asyncio

    FACTOR = 2

    async def handler(event: dict, context):
        print("asked for", event["n"])
        if event["n"] < 0:
            raise ValueError("less than nothing")
        return {"n": event["n"] * FACTOR, "id": context.request_id}
"""
STREAM = """
    from service import EventStream

    async def handler(event: EventStream, context):
        return len(await event.read())
"""
SECRETS = {"x_fc_access_key_secret": "secret-of-the-call", "x_fc_security_token": "token-of-it"}


def calls_in(folder: Path) -> list[Any]:
    """The calls that are recorded, without the lines of the files."""
    files = sorted(folder.glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()[1:]]


def again(server: ServerProcess, *flags: str) -> subprocess.CompletedProcess[str]:
    """Type `invoke --replay rec` in the function's folder."""
    command = [sys.executable, "-m", "service", "invoke", "--replay", "rec", *flags]
    return subprocess.run(
        command, cwd=server.folder, capture_output=True, text=True, timeout=2 * ENDS_WITHIN
    )


async def test_calls_are_recorded_and_sent_again(serve: Serve) -> None:
    """Each with event, headers, result and lines, and no credential; the same code answers the
    same, changed code is told by path, here and by the service that runs.
    """
    server = serve(HANDLER, "--record", "rec")
    for n in (1, 20, -3):
        await server.ask(request(b'{"n":%d}' % n, request_id=f"1-of-{n}", **SECRETS))
    unchanged = await asyncio.to_thread(again, server, "--url", f"http://127.0.0.1:{server.port}")
    assert unchanged.returncode == 0, unchanged
    assert "3 calls sent again one by one: 3 the same, 0 with another" in unchanged.stdout
    assert server.stop() == 0
    recorded = calls_in(server.folder / "rec")
    first, _, failed = recorded[:3]
    assert first["event"] == {"json": {"n": 1}}
    assert first["result"] == {"json": {"n": 2, "id": "1-of-1"}}
    assert first["lines"] == ["[STDOUT] asked for 1"]
    assert first["headers"]["x-fc-security-token"] == "(replaced)"
    assert failed["error"] == "ValueError"
    assert failed["result"]["json"]["errorMessage"] == "less than nothing"
    assert len(recorded) == 6  # those that were sent again are calls, too
    assert "of-the-call" not in server.log() + json.dumps(recorded)
    here = await asyncio.to_thread(again, server, "--overlap")
    assert here.returncode == 0, here
    assert "6 calls sent again overlapping as they did: 6 the same" in here.stdout
    index = server.folder / "index.py"
    index.write_text(index.read_text().replace("FACTOR = 2", "FACTOR = 3"))
    changed = await asyncio.to_thread(again, server)
    assert changed.returncode == 1
    assert re.search(r"^1-of-20 +\S+ +differs .*\n    \$\.n: 40 -> 60$", changed.stdout, re.M)
    assert "asked for" not in changed.stderr


async def test_a_stream_is_recorded_as_it_was_read(serve: Serve) -> None:
    """A large one has a file of its own; one worker or several write into one folder."""
    server = serve(STREAM, "--record", "rec", "--workers", "2")
    body = bytes(100_000)
    for _ in range(4):
        assert (await server.ask(request(body))).body == b"100000"
    assert server.stop() == 0
    recorded = calls_in(server.folder / "rec")
    assert [each["event"]["bytes"] for each in recorded] == [100_000] * 4
    file = server.folder / "rec" / recorded[0]["event"]["file"]
    assert file.read_bytes() == body
    assert file.stat().st_mode & 0o777 == 0o600


async def test_calls_go_on_if_nothing_can_be_recorded(serve: Serve) -> None:
    """One line says so, however many calls come."""
    server = serve("async def handler(event, context): return event", "--record", "index.py")
    for _ in range(3):
        assert (await server.ask(request(b"1"))).body == b"1"
    assert server.stop() == 0
    told = [line for line in server.lines if "recording" in line]
    assert len(told) == 1
    assert "recording has ended, and calls go on" in told[0]
    assert "File exists" in told[0] or "Not a directory" in told[0]


def test_what_cannot_be_sent_again_is_one_line(tmp_path: Path) -> None:
    """On stderr, with the code of wrong usage."""
    (tmp_path / "index.py").write_text("def handler(event, context): return 1\n")
    command = [sys.executable, "-m", "service", "invoke", "--replay", "index.py"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=2 * ENDS_WITHIN
    )
    assert (done.returncode, done.stdout) == (2, "")
    (told,) = done.stderr.splitlines()
    assert told.endswith("index.py: is no recording: --record DIR makes one")
