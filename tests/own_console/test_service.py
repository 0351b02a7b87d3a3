"""`python -m service --console`: a process of its own, and a page that looks at it."""

from __future__ import annotations

import asyncio
import base64
import re

import pytest

from tests.conftest import Serve
from tests.console.desk import opened
from tests.harness import request

HANDLER = """
    import os, time

    async def handler(event, context):
        if event == b"raise":
            raise ValueError("as told")
        if event == b"block":
            while not os.path.exists("go"):
                time.sleep(0.01)
        print("seen", event)
        return event
"""
STREAMING = """
    from service import EventStream

    async def handler(event: EventStream, context):
        return b"".join([chunk async for chunk in event]).upper()
"""


async def test_a_page_shows_the_calls_of_one_service_and_sends_it_some(serve: Serve) -> None:
    """Those of callers beside it, too: each with its event, its result, its lines and its trace."""
    server = serve(HANDLER, "--console", "--console-port", "0", "--stall-after", "0.2")
    line = server.wait_for(r"console +http://127.0.0.1:\d+/\?token=")
    address, token = re.findall(r"(http\S+)/\?token=(\S+)", line)[0]
    assert (server.folder / ".emulator" / "console-token").read_text().strip() == token
    async with opened(address, token) as page, page.stream() as stream:
        _, told = await stream.next()
        assert (told["source"], told["offers"]) == ("service", ["instances", "send"])
        assert told["url"] == f"http://127.0.0.1:{server.port}"
        assert [(row["state"], row["in_flight"]) for row in told["instances"]] == [("ready", 0)]
        answer = await server.ask(request(b"<b>", request_id="1-beside"))
        assert answer.body == b"<b>"
        row = await stream.until("calls", id="1-beside", status="ok")
        assert (row["bytes_in"], row["bytes_out"], row["code"]) == (3, 3, 200)
        assert row["ms"]["total"] >= row["ms"]["handler"] > 0
        shown = await page.get("/api/calls/1-beside")
        assert base64.b64decode(shown["event"]["base64"]) == b"<b>"
        assert "seen b'<b>'" in [each["text"] for each in shown["lines"]]

        (name,) = [row["name"] for row in told["functions"]]
        ids = (await page.post("/api/send", function=name, event={"text": "raise"}))["ids"]
        await stream.until("calls", id=ids[0], status="error", error="ValueError")
        failure = (await page.get(f"/api/calls/{ids[0]}"))["failure"]
        assert (failure["type"], failure["message"]) == ("ValueError", "as told")
        assert "index.py" in str(failure["trace"])
        ids = (await page.post("/api/send", function=name, event={"text": "block"}))["ids"]
        blocked = f"{ids[0]} .* the event loop has been blocked"
        await asyncio.to_thread(server.wait_for, blocked)
        (server.folder / "go").touch()
        await stream.until("calls", id=ids[0], status="ok")
        while not (reports := (await page.get(f"/api/calls/{ids[0]}"))["reports"]):
            pass  # its line comes from another thread
        assert reports[0]["kind"] == "stall"
        assert "index.py" in reports[0]["text"]

        again = (await page.post("/api/calls/1-beside/again"))["ids"]
        await stream.until("calls", id=again[0], status="ok")
        asked = {"function": name, "event": {"text": "x"}, "async": True}
        assert (await page.refusal("POST", "/api/send", json=asked))[0] == 501
        assert (await page.refusal("POST", "/api/faults", json={"kind": "kill"}))[0] == 501
    assert server.stop() == 0


async def test_the_event_of_a_stream_is_what_the_handler_has_read(serve: Serve) -> None:
    """Chunk by chunk."""
    server = serve(STREAMING, "--console", "--console-port", "0")
    line = server.wait_for(r"console +http://127.0.0.1:\d+/\?token=")
    address, token = re.findall(r"(http\S+)/\?token=(\S+)", line)[0]
    async with opened(address, token) as page, page.stream() as stream:
        await stream.next()
        await server.ask(request(b"abc" * 50_000, request_id="1-stream"))
        row = await stream.until("calls", id="1-stream", status="ok")
        assert (row["bytes_in"], row["bytes_out"]) == (150_000, 150_000)
        async with page.session.get(f"{address}/api/calls/1-stream/event") as response:
            assert await response.read() == b"abc" * 50_000


@pytest.mark.parametrize("flags", [["--workers", "2"], ["--reload"], ["--record", "r"]])
def test_a_console_of_several_processes_is_refused(serve: Serve, flags: list[str]) -> None:
    """The line says what to leave out."""
    server = serve(HANDLER, "--console", *flags)
    server.wait_for("--console shows one process of its own: leave out")
    assert server.wait() == 2
