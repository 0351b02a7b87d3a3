"""`fc_service`: the function on a socket, as `python -m service` serves it."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import aiohttp
import pytest

from service.context.call import Context
from service.errors import InitializationError, StartError
from service.testing.call_logs import CallLogs
from service.testing.instances import LeftRunning
from service.testing.serving import ServedAnswer, ServedFunction

Serve = Callable[..., ServedFunction]


async def greet(event: dict[str, str], context: Context) -> dict[str, object]:
    """Greet who is named."""
    context.logger.info("hello %s", event["user"])
    await asyncio.sleep(0)
    return {"user": event["user"], "id": context.request_id}


async def refuse(event: object, context: Context) -> None:
    """Raise an error of the function's own."""
    raise LookupError("no such order")


def digest(event: bytes, context: Context) -> str:
    """Return what tells one body from another."""
    return hashlib.sha256(event).hexdigest()


def is_ended() -> bool:
    """Whether no thread of a service is left."""
    return "fc-service" not in {thread.name for thread in threading.enumerate()}


def test_a_function_is_served_on_a_socket(fc_service: Serve, fc_logs: CallLogs) -> None:
    """With the settings that are given; its lines are the test's, an error is an error."""
    served = fc_service(greet, concurrency=2)
    assert served.invoke({"user": "ann"}, request_id="r-7") == {"user": "ann", "id": "r-7"}
    assert [line.message for line in fc_logs.of("r-7")] == ["hello ann"]
    with pytest.raises(ServedAnswer, match="LookupError") as failed:
        fc_service(refuse).invoke()
    assert failed.value.value["errorMessage"] == "no such order"


async def test_a_served_function_is_called_by_any_client(fc_service: Serve) -> None:
    """Also in an async test, from the loop of the test."""
    served = fc_service(greet)
    assert (await served.invoke({"user": "ann"}))["user"] == "ann"
    async with aiohttp.ClientSession(served.url) as client:
        answer = await client.post("/invoke", data=b'{"user": "bob"}')
        assert (await answer.json(content_type=None))["user"] == "bob"


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_it_is_the_server_of_the_command(fc_service: Serve, loop: str) -> None:
    """Its own connections: a head that never ends is refused in time, as they refuse it."""
    served = fc_service(greet, loop=loop, header_timeout=0.1)
    place = urlsplit(served.url)
    with socket.create_connection((place.hostname, place.port)) as client:
        client.sendall(b"POST /invoke HTTP/1.1\r\nHost: a\r\nx-half")
        answer = client.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"\r\nServer: fc-event-service\r\n" in answer
    assert b'"errorType":"RequestTimeout"' in answer


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_several_are_served_at_once(fc_service: Serve, fc_logs: CallLogs, loop: str) -> None:
    """Each on a loop of its own: none reads another's bytes, and all write to one log."""
    served = [fc_service(digest, loop=loop), fc_service(greet), fc_service(digest, loop=loop)]
    bodies = [bytes([number]) * 2**20 for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: served[n % 2 * 2].invoke(bodies[n]), range(16)))
    assert found == [hashlib.sha256(body).hexdigest() for body in bodies]
    served[1].invoke({"user": "ann"}, request_id="r-1")
    assert [line.message for line in fc_logs.of("r-1")] == ["hello ann"]


def test_what_hinders_it_is_told_at_once(
    fc_service: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the thread of the service has ended."""

    def initialize(context: Context) -> None:
        raise LookupError("no database")

    monkeypatch.setattr(sys.modules[__name__], "initialize", initialize, raising=False)
    with pytest.raises(InitializationError, match="no database"):
        fc_service(greet)
    with pytest.raises(StartError):
        fc_service("index.nothing_of_that_name")
    assert is_ended()


left: list[asyncio.Task[bool]] = []


async def leave_a_task(event: object, context: Context) -> None:
    """Leave a task behind."""
    left.append(asyncio.create_task(asyncio.Event().wait()))


def test_a_task_that_is_left_is_told_at_the_end(fc_service: Serve) -> None:
    """It is cancelled when the service stops, and a warning names it."""
    served = fc_service(leave_a_task)
    served.invoke()
    with pytest.warns(
        LeftRunning, match=r"left 1 tasks running, which were cancelled: Event\.wait"
    ):
        served.stop()
    assert left.pop().cancelled()
    assert is_ended()


def test_a_service_that_has_stopped_says_so(fc_service: Serve) -> None:
    """Stopped twice, it has stopped."""
    served = fc_service(greet)
    served.stop()
    served.stop()
    with pytest.raises(RuntimeError, match="the service has stopped: fc_service serves until"):
        served.invoke({"user": "ann"})


async def test_a_test_that_is_cancelled_leaves_nothing(fc_service: Serve) -> None:
    """Its call goes on in the service, which ends it when it stops."""
    begun, ended = threading.Event(), threading.Event()

    async def handler(event: object, context: Context) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    served = fc_service(handler, drain_timeout=0)
    call = asyncio.ensure_future(served.invoke())
    await asyncio.to_thread(begun.wait)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    served.stop()
    assert ended.is_set()
    assert is_ended()
