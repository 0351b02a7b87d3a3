"""What the platform does with an instance from its start to its end, and what it takes."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import orjson

from tests.deploy.container import Container, Deployed, Failure
from tests.harness import ENDS_WITHIN, Answer, Client, request

STARTS = 5
"""Starts of which the quickest counts: what a busy machine adds says nothing of the package."""

AT_ONCE = 100
EVENTS = 1_000
FROZEN = 1.0
"""Seconds of a freeze."""

WAITS = 2.0
"""Seconds that a call waits which is in flight while the instance ends."""

HEALTH = request(b"", path="/health", method="GET")
PRE_STOP = request(b"", path="/pre-stop", method="GET")
INITIALIZE = request(b"", path="/initialize")


@dataclass(frozen=True)
class Times:
    """Seconds of each step, and bytes in memory after the events."""

    port: float = 0.0
    initialize: float = 0.0
    first: float = 0.0
    events: float = 0.0
    thaw: float = 0.0
    pre_stop: float = 0.0
    sigterm: float = 0.0
    memory: int = 0


async def lives(deployed: Deployed) -> Times:
    """Drive it through three lives. Raises Failure with what was not right."""
    started = [await starts(deployed) for _ in range(STARTS - 1)]
    times = await works(deployed)
    started.append((times.port, times.initialize, times.first))
    port, initialize, first = map(min, zip(*started, strict=True))
    times = replace(times, port=port, initialize=initialize, first=first)
    times = replace(times, pre_stop=await stops_when_told(deployed))
    return replace(times, sigterm=await ends_at_sigterm(deployed))


@asynccontextmanager
async def instance(deployed: Deployed, **options: object) -> AsyncIterator[Container]:
    """An instance, which is gone afterwards."""
    container = Container(deployed, **options)  # type: ignore[arg-type]  # variables are texts
    try:
        yield container
    finally:
        container.kill()


async def starts(deployed: Deployed) -> tuple[float, float, float]:
    """The seconds of one more start."""
    async with instance(deployed) as container:
        return await begins(container)


async def begins(container: Container) -> tuple[float, float, float]:
    """Take it to its first answer. Seconds from the start to the port, of the initializer, and from
    the start to the answer.
    """
    client = await container.client()
    port = container.since()
    initialize = await timed(client, INITIALIZE)
    await right(await client.ask(HEALTH), "/health")
    await right(await client.ask(call("1-0")), "the first event", "1-0")
    return port, initialize, container.since()


async def works(deployed: Deployed) -> Times:
    """Its first answer, many events, a freeze."""
    async with instance(deployed) as container:
        port, initialize, first = await begins(container)
        clients = [await container.client() for _ in range(AT_ONCE)]
        began = time.monotonic()
        await asyncio.gather(*(events(each, number) for number, each in enumerate(clients)))
        took = time.monotonic() - began
        memory = container.memory()
        thaw = await thawed(container, clients)
        return Times(port, initialize, first, took, thaw, memory=memory)


async def timed(client: Client, data: bytes) -> float:
    """Seconds until an answer that is right."""
    began = time.monotonic()
    await right(await client.ask(data), data.split(b" ")[1].decode())
    return time.monotonic() - began


def call(request_id: str, **said: object) -> bytes:
    """An event."""
    return request(orjson.dumps({"name": "you", **said}), request_id=request_id)


async def right(answer: Answer, what: str, request_id: str = "") -> None:
    """Raise Failure unless an answer is a success, of this call."""
    if answer.status != 200:
        raise Failure(f"{what} is answered with {answer.status}: {answer.body[:200]!r}")
    if request_id and answer.json().get("requestId") != request_id:
        raise Failure(f"{what} {request_id} has another call's answer: {answer.body[:200]!r}")


async def events(client: Client, number: int) -> None:
    """The events of one connection, one after the other."""
    for turn in range(EVENTS // AT_ONCE):
        request_id = f"1-{number}-{turn}"
        await right(await client.ask(call(request_id)), "event", request_id)


async def thawed(container: Container, clients: list[Client]) -> float:
    """Freeze all processes, send an event by each warm connection, thaw; return the seconds until
    the last answer.
    """
    container.signal_all(signal.SIGSTOP)
    for number, client in enumerate(clients):
        await client.send(call(f"1-{number}-frozen"))
    await asyncio.sleep(FROZEN)
    container.signal_all(signal.SIGCONT)
    began = time.monotonic()
    for number, client in enumerate(clients):
        try:
            answer = await client.answer()
        except (ConnectionError, asyncio.IncompleteReadError):
            raise Failure("a warm connection was closed by a freeze: its event is a 502") from None
        await right(answer, "a frozen event", f"1-{number}-frozen")
    return time.monotonic() - began


async def in_flight(container: Container) -> tuple[Client, list[asyncio.Task[Answer]]]:
    """A connection that is free, and calls that run, each on another one."""
    client = await container.client()
    await right(await client.ask(INITIALIZE), "/initialize")
    clients = [await container.client() for _ in range(AT_ONCE)]
    calls = [
        asyncio.create_task(each.ask(call(f"1-{number}", wait=WAITS)))
        for number, each in enumerate(clients)
    ]
    while (await client.ask(HEALTH)).json()["running"] < AT_ONCE:
        if any(each.done() for each in calls):
            raise Failure(f"{AT_ONCE} calls were not in flight at once: the machine is too busy")
    return client, calls


async def all_answered(calls: list[asyncio.Task[Answer]], end: str) -> None:
    """Raise Failure if one of the calls has no answer, or another one's."""
    answers = await asyncio.gather(*calls, return_exceptions=True)
    lost = [each for each in answers if not isinstance(each, Answer)]
    if lost:
        raise Failure(f"{len(lost)} of {len(calls)} calls were lost at {end}: {lost[0]!r}")
    for number, answer in enumerate(answers):
        assert isinstance(answer, Answer)
        await right(answer, f"a call in flight at {end}", f"1-{number}")


async def stops_when_told(deployed: Deployed) -> float:
    """/pre-stop while calls are in flight, then SIGTERM; seconds until /pre-stop is answered."""
    async with instance(deployed, FC_FUNCTION_HANDLER="probe.handler") as container:
        client, calls = await in_flight(container)
        took = await timed(client, PRE_STOP)
        await all_answered(calls, "/pre-stop")
        await left_cleanly(container)
        return took


async def ends_at_sigterm(deployed: Deployed) -> float:
    """On a root that nothing can be written to: orphans are reaped, and SIGTERM ends the instance
    after the calls in flight. Seconds from SIGTERM to the end.
    """
    probe = {"writes": False, "FC_FUNCTION_HANDLER": "probe.handler"}
    async with instance(deployed, **probe) as container:
        client = await container.client()
        found = (await client.ask(call("1-1", orphans=40))).json()
        if found["writable"]:
            raise Failure(f"its root is not read-only: {', '.join(found['writable'])}")
        await reaped(container)
        _, calls = await in_flight(container)
        began = time.monotonic()
        container.stop()
        await all_answered(calls, "SIGTERM")
        await left_cleanly(container, stop=False)
        return time.monotonic() - began


async def reaped(container: Container) -> None:
    """Return once no process is left that has ended. Raises Failure if one is."""
    until = time.monotonic() + ENDS_WITHIN
    while container.zombies():
        if time.monotonic() > until:
            raise Failure(f"process 1 has not reaped {container.zombies()} orphans")
        await asyncio.sleep(0.01)


async def left_cleanly(container: Container, *, stop: bool = True) -> None:
    """Raise Failure unless it ends with exit code 0 after SIGTERM."""
    if stop:
        container.stop()
    code = await container.ended(ENDS_WITHIN)
    if code:
        raise Failure(f"it ended with exit code {code} after SIGTERM")
