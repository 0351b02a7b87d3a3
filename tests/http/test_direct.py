"""The second call of a client is served without aiohttp's request, and nobody can tell."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any

import orjson
import pytest

from service.http.backend import Limits
from service.http.server import Server
from service.instance.assembly import SERVICE
from service.settings.table import Settings
from tests.assembly import assembled, error_of, logged, untimed
from tests.harness import request

ID = "1-6560a8d1-0123abcd-0123456789ab"


class Sent(asyncio.Transport):
    """A transport that keeps what is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.data = b""
        self.closed = False
        self.more = asyncio.Event()

    def write(self, data: Any) -> None:
        """Keep it."""
        self.data += bytes(data)
        self.more.set()

    def is_closing(self) -> bool:
        """Return whether it was closed."""
        return self.closed

    def close(self) -> None:
        """Note it."""
        self.closed = True
        self.more.set()

    def write_eof(self) -> None:
        """Do nothing."""

    def pause_reading(self) -> None:
        """Nothing arrives."""

    def resume_reading(self) -> None:
        """Nothing arrives."""

    async def answer(self) -> tuple[bytes, bytes]:
        """The head and the body of the next answer, whose Date is left out."""
        while b"\r\n\r\n" not in self.data and not self.closed:
            self.more.clear()
            await self.more.wait()
        head, _, rest = self.data.partition(b"\r\n\r\n")
        length = int(re.findall(rb"(?i)content-length: (\d+)", head)[0])
        while len(rest) < length:
            self.more.clear()
            await self.more.wait()
            _, _, rest = self.data.partition(b"\r\n\r\n")
        self.data = rest[length:]
        return re.sub(rb"\r\nDate: [^\r]+", b"", head), rest[:length]


Told = tuple[tuple[bytes, bytes], list[str]]
"""An answer's head and body, and the lines of its call."""


class Served:
    """One connection to an application, and its log."""

    def __init__(self, handler: Any, **settings: Any) -> None:
        self.context = logged()
        self.logs, self.pipe = self.context.__enter__()
        self.app = assembled(self.logs, handler, Settings(**settings))
        self.service = self.app[SERVICE]
        limits = Limits(60, 60, 100)
        self.server = Server(self.app, self.service.lifecycle, limits, self.logs.pipe.when_out)
        self.wire = Sent()

    async def __aenter__(self) -> Served:
        await self.server.setup()
        await self.service.lifecycle.initialized()
        self.connection = self.server()
        self.connection.connection_made(self.wire)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.connection.connection_lost(None)
        await self.server.cleanup()
        self.context.__exit__(None, None, None)

    def send(self, event: bytes, **headers: str) -> None:
        """Send a call's request in one packet."""
        self.connection.data_received(request(event, request_id=ID, **headers))

    async def ask(self, event: bytes, **headers: str) -> tuple[bytes, bytes]:
        """Send a call's request and return its answer."""
        self.send(event, **headers)
        return await self.wire.answer()

    async def ask_twice(self, event: bytes, **headers: str) -> Told:
        """Ask aiohttp's way, then directly; return answer and lines, which are the same."""
        both: list[Told] = []
        for way in ("aiohttp", "directly"):
            answer = await self.ask(event, **headers)
            while self.service.lifecycle.in_flight:  # noqa: ASYNC110 - it has been answered
                await asyncio.sleep(0)
            both.append((answer, untimed_calls(self.pipe.lines())))
            assert self.connection._backend.direct.templates.last is not None, way  # type: ignore[union-attr]
        assert both[0] == both[1]
        return both[1]


def untimed_calls(lines: list[str]) -> list[str]:
    """The lines without times."""
    return [line if line.startswith("FC ") else untimed([line])[0] for line in lines]


async def waiting(event: bytes, context: Any) -> Any:
    """Wait a little, log a line, and say what call it is."""
    await asyncio.sleep(0)
    logging.warning("hello")
    return {
        "own": asyncio.current_task() in asyncio.all_tasks(),
        "id": context.request_id,
        "region": context.region,
        "event": event.decode(),
    }


async def test_a_call_is_answered_in_the_turn_in_which_it_arrives() -> None:
    """No task is woken up, and the loop does not turn, for what needs no wait: on each Python."""

    async def at_once(event: bytes, _context: Any) -> bytes:
        return event

    async with Served(at_once) as served:
        await served.ask(b"first")
        asyncio.get_running_loop().call_soon(served.send, b"event")  # in no task, as from a socket
        await asyncio.sleep(0)
        assert served.wire.data.endswith(b"\r\n\r\nevent")


@pytest.mark.parametrize("size", [2, 70_000])
async def test_a_call_is_answered_the_same_both_ways(size: int) -> None:
    """With one block or more, with a wait or none: head, body and lines."""

    async def at_once(event: bytes, context: Any) -> bytes:
        logging.warning(context.credentials.security_token)
        return event

    async with Served(at_once) as served:
        (head, body), lines = await served.ask_twice(b"x" * size, x_fc_security_token="t")
        assert head.startswith(b"HTTP/1.1 200 OK")
        assert body == b"x" * size
        assert [line[:25] for line in lines][::2] == [
            "FC Invoke Start RequestId",
            "FC Invoke End RequestId: ",
        ]
    async with Served(waiting) as served:
        (_, body), _ = await served.ask_twice(b"e", x_fc_region="r")
        found = orjson.loads(body)
        assert (found["own"], found["id"], found["region"]) == (True, ID, "r")


async def test_a_failure_is_answered_the_same_both_ways() -> None:
    """By the handler, by its event, by a result that is no JSON, by a cancellation of its own."""

    async def fails(event: dict[str, str], _context: Any) -> Any:
        if event["kind"] in ("cancels", "cancels last"):
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            if event["kind"] == "cancels last":
                return {}
            await asyncio.sleep(0)
        if event["kind"] == "exits":
            raise SystemExit(3)
        if event["kind"] == "no JSON":
            return float("nan")
        raise KeyError(event["kind"])

    for event in (b"raises", b"cancels", b"cancels last", b"exits", b"no JSON"):
        async with Served(fails) as served:
            (head, body), _ = await served.ask_twice(b'{"kind":"%b"}' % event)
            assert b"x-fc-status: 404" in head
            assert error_of(body)[0]
    async with Served(fails) as served:
        (head, body), _ = await served.ask_twice(b"[")
        assert error_of(body)[0] == "InvalidEvent"


async def test_a_call_that_swallows_its_cancellation_is_answered_at_its_deadline() -> None:
    """It counts as lost until it comes back, and then is neither answered nor logged again."""
    go = asyncio.Event()

    async def stubborn(event: bytes, _context: Any) -> None:
        while event and not go.is_set():
            try:
                await go.wait()
            except asyncio.CancelledError:
                continue

    async with Served(stubborn, deadline_margin=0.0) as served:
        await served.ask(b"", x_fc_function_timeout="0.05")
        _, body = await served.ask(b"x", x_fc_function_timeout="0.05")
        assert error_of(body)[0] == "FunctionTimeout"
        assert served.service.calls.lost == 1
        lines = served.pipe.lines()
        assert lines[-1].startswith(f"FC Invoke End RequestId: {ID}, Error")
        assert any(ID in line and "FunctionTimeout while running" in line for line in lines)
        go.set()
        while served.service.calls.lost:  # noqa: ASYNC110 - its end is what is waited for
            await asyncio.sleep(0)
        assert not served.wire.data
        assert not served.pipe.lines()
        _, body = await served.ask(b"", x_fc_function_timeout="60")
        assert body == b"null"


async def test_a_call_whose_client_has_gone_runs_on() -> None:
    """Events have side effects: its handler ends, and its lines are there."""
    go, done = asyncio.Event(), asyncio.Event()

    async def waits(event: bytes, _context: Any) -> None:
        if event:
            await go.wait()
            done.set()

    async with Served(waits) as served:
        await served.ask(b"")
        served.send(b"x")
        await asyncio.sleep(0)
        served.connection.connection_lost(None)
        go.set()
        await done.wait()
        while served.service.lifecycle.in_flight:  # noqa: ASYNC110 - the end of the call
            await asyncio.sleep(0)
        assert served.pipe.lines()[-1] == f"FC Invoke End RequestId: {ID}"
        assert not served.wire.data
        served.connection.connection_made(Sent())


async def test_a_call_is_cut_with_its_connection() -> None:
    """At the end of the process: its handler is cancelled, it is in flight no more."""
    cancelled = asyncio.Event()

    async def waits(event: bytes, _context: Any) -> None:
        try:
            if event:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with Served(waits) as served:
        await served.ask(b"")
        served.send(b"x")
        await asyncio.sleep(0)
        served.connection.cut()
        assert served.service.lifecycle.in_flight == 0
        await cancelled.wait()
        assert not served.service.calls._running
        assert not served.wire.data


async def test_a_call_that_ends_while_the_instance_drains_is_the_last() -> None:
    """Its answer says so, and its connection ends."""
    go = asyncio.Event()

    async def waits(event: bytes, _context: Any) -> None:
        if event:
            await go.wait()

    async with Served(waits) as served:
        await served.ask(b"")
        served.send(b"x")
        await asyncio.sleep(0)
        served.service.lifecycle.draining.set()
        go.set()
        head, _ = await served.wire.answer()
        assert b"connection: close" in head.lower()
        served.connection.close()
