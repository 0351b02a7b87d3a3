"""A stop at every point of a call's life (section A of the catalogue): what is lost is counted."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.harness import ANSWERS_WITHIN, Answer, request
from tests.system import figures
from tests.system.instance import HEALTH, STOCK, Instance, started, until
from tests.system.ledger import Caller

LARGE = 16 * 1024 * 1024
PRE_STOP = request(b"", path="/pre-stop", method="GET")


each_loop_and_number = pytest.mark.parametrize(
    ("loop_kind", "workers"), [("uvloop", 1), ("asyncio", 2)], ids=["uvloop-1", "asyncio-2"]
)


async def answers_of(callers: list[Caller], each: int = 1) -> list[Answer]:
    """All answers; one that does not come fails the test."""
    found = [[await caller.answer() for _ in range(each)] for caller in callers]
    answers = [answer for answers in found for answer in answers if answer]
    assert len(answers) == len(callers) * each, callers[0].ledger.fates()
    return answers


async def drains(server: Instance) -> None:
    """Wait until every worker has begun to stop."""
    told = "the parent process is gone|SIGTERM: stopping"
    await asyncio.to_thread(server.wait_for, told)
    async with asyncio.timeout(ANSWERS_WITHIN):
        while True:
            if not await server.is_listening():
                return
            await asyncio.sleep(0.01)


async def test_a_stop_finds_each_call_where_it_is_and_loses_none(pairs: dict[str, Any]) -> None:
    """A1, A2, A6: at SIGTERM calls run, wait for a slot, are half received or half answered, or
    stand behind another one on their connection. Each is answered once, and the last answer of each
    connection says that it closes. What has sent nothing is closed without a byte.
    """
    flags = ("--concurrency", "40", "--queue", "200")
    async with (
        started(flags=flags, **pairs) as server,
        server.callers(5) as silent,
        server.callers(5) as warm,
        server.callers(5) as half_heads,
        server.callers(5) as given_up,
        server.callers(5) as bare_heads,
        server.callers(5) as half_bodies,
        server.callers(5) as pipelined,
        server.callers(5) as half_answered,
        server.callers(80) as holding,
    ):
        for caller in [*warm, *given_up]:
            assert await caller.ask(b"echo warm")
        for caller in half_answered:
            await caller.send(b"large %d" % (LARGE))
        await server.running(15)
        late = [caller.data(b"echo 0123456789") for caller in half_heads]
        rest = {}
        for caller, data in zip(half_heads, late, strict=True):
            rest[caller] = data[30:]
            await caller.client.send(data[:30])
        for caller in given_up:
            await caller.client.send(b"POST /invoke HTTP/1.1\r\nHost: a\r\n")
        for callers, sent in ((bare_heads, 15), (half_bodies, 5)):
            for caller in callers:
                data = caller.data(b"echo 0123456789")
                rest[caller] = data[-sent:]
                await caller.client.send(data[:-sent])
        await server.ask(HEALTH)
        for caller in pipelined:
            await caller.client.send(
                caller.data(b"hold") + caller.data(b"echo 2") + caller.data(b"echo 3")
            )
        for caller in holding:
            await caller.send(b"hold")
        await server.has_taken(95)  # two workers need not have as many of them
        server.signal(signal.SIGTERM)
        await drains(server)
        for caller, data in rest.items():
            await caller.client.send(data)
        server.go()
        for callers, each in (
            ([*half_heads, *bare_heads, *half_bodies, *half_answered, *holding], 1),
            (pipelined, 3),
        ):
            answers = await answers_of(callers, each)
            assert {answer.status for answer in answers} == {200}
            closing = [answer.closes for answer in answers if answer.body != bytes(LARGE)]
            assert closing.count(False) == len(callers) * (each - 1)
        for caller in [*silent, *warm, *given_up]:
            assert await caller.client.ended()
        assert await server.ends() == 0
    assert server.ledger.count() == {"answered": len(server.ledger.sent)}
    assert server.ledger.halves == 0
    assert "Traceback" not in server.log()


@each_loop_and_number
async def test_a_request_that_races_a_stop_is_answered_or_never_run(
    loop_kind: str, workers: int
) -> None:
    """A3: 200 warm connections each get one more request within 50 ms of SIGTERM. Each is answered,
    or refused with `Stopping`, or its connection has ended without a byte; the last two never ran.
    """
    async with started(loop=loop_kind, workers=workers) as server, server.callers(200) as callers:
        for caller in callers:
            assert await caller.ask(b"echo warm")

        async def race(caller: Caller, delay: float) -> Answer | None:
            await asyncio.sleep(delay)
            return await caller.ask(b"echo late")

        tasks = [asyncio.create_task(race(c, n / 4000)) for n, c in enumerate(callers)]
        server.signal(signal.SIGTERM)
        answers = [answer for answer in await asyncio.gather(*tasks) if answer]
        refused = [answer for answer in answers if answer.status != 200]
        assert {answer.json()["errorType"] for answer in refused} <= {"Stopping"}
        assert await server.ends() == 0
    names = {answer.headers["x-fc-request-id"] for answer in refused}
    assert not names & server.ledger.runs().keys()
    fates = server.ledger.count()
    assert fates.keys() <= {"answered", "never run"}
    assert fates["answered"] == 200 + len(answers)
    assert server.ledger.halves == 0


@each_loop_and_number
async def test_calls_that_wait_for_the_initializer_are_finished_at_a_stop(
    loop_kind: str, workers: int
) -> None:
    """A1, A8: SIGTERM while the instance initializes: those who wait for it are answered when it
    has.
    """
    environ = {"SERVICE_INITIALIZER": "index.gated"}
    async with started(
        loop=loop_kind, workers=workers, waits=False, options={"environ": environ}
    ) as server:
        await asyncio.to_thread(server.wait_for, " serves ")
        async with server.callers(20) as callers, server.callers(4) as initializing:
            for caller in callers:
                await caller.send(b"echo early")
            for caller in initializing:
                await caller.client.send(request(b"", path="/initialize"))
            await asyncio.to_thread(server.wait_for, "FC Initialize Start", count=4)
            await asyncio.to_thread(server.wait_for, "FC Invoke Start", count=20)
            server.signal(signal.SIGTERM)
            await drains(server)
            server.go()
            assert {answer.status for answer in await answers_of(callers)} == {200}
            for answer in await answers_of(initializing):
                # A worker that nobody waits for has ended, and is not ready.
                assert answer.status == 200 or answer.json()["errorType"] == "Stopping"
            assert await server.ends() == 0
    assert server.ledger.count() == {"answered": 20}


@asynccontextmanager
async def all_in_one(server: Instance, count: int) -> AsyncIterator[list[Caller]]:
    """Open connections that one of two workers has all of."""
    other = server.workers()[0]
    os.kill(other, signal.SIGSTOP)
    async with server.callers(count) as callers:
        for caller in callers:
            await caller.client.ask(request(b"", path="/nope"))
        os.kill(other, signal.SIGCONT)
        yield callers


@pytest.mark.parametrize("path", ["/initialize", "/pre-stop", "/pre-freeze"])
async def test_what_is_asked_of_all_workers_does_not_wait_for_one_that_has_stopped(
    path: str,
) -> None:
    """A6, A7, H6: at SIGTERM a worker without calls ends at once. What the other one is asked
    meanwhile, and was asked before, is answered without it, long before the drain is over.
    """
    environ = {"SERVICE_INITIALIZER": "index.gated"} if path == "/initialize" else {}
    async with started(workers=2, waits=False, options={"environ": environ}) as server:
        await asyncio.to_thread(server.wait_for, " serves ")
        async with all_in_one(server, 3) as (caller, before, after):
            await caller.send(b"hold")
            if path == "/initialize":
                await before.client.send(request(b"", path=path))
            await asyncio.to_thread(server.wait_for, "FC Invoke Start")
            server.signal(signal.SIGTERM)
            async with asyncio.timeout(ANSWERS_WITHIN):
                await until(lambda: len(server.pids()) == 2)
            await after.client.send(request(b"", path=path))
            server.go()
            assert (await answers_of([caller]))[0].status == 200
            asked = [before, after] if path == "/initialize" else [after]
            for answer in await answers_of(asked):
                expected = (404, True) if path == "/initialize" else (200, True)
                assert (answer.status, answer.closes) == expected
            assert await server.ends() == 0


async def test_what_outlasts_the_drain_is_answered_and_the_stop_keeps_its_time(
    pairs: dict[str, Any],
) -> None:
    """A4: calls that hang, swallow their cancellation, or never get a slot are told so at the end
    of `drain_timeout`; others are served; the process ends within the sum of its limits.
    """
    # However the calls are split over two workers, the first 25 have slots, not all have, and the
    # queue holds the others.
    flags = ("--drain-timeout", "1", "--concurrency", "60", "--queue", "200")
    async with (
        started(flags=flags, **pairs) as server,
        server.callers(10) as hanging,
        server.callers(10) as swallowing,
        server.callers(80) as waiting,
        server.callers(5) as quick,
    ):
        for caller in hanging:
            await caller.send(b"hang")
        await server.running(10)
        for caller in quick:
            await caller.send(b"nap 0.1")
        for caller in swallowing:
            await caller.send(b"swallow")
        await server.running(25)
        for caller in waiting:
            await caller.send(b"hang")
        server.signal(signal.SIGTERM)
        answers = await answers_of([*hanging, *swallowing, *waiting])
        assert {answer.json()["errorType"] for answer in answers} == {"FunctionTimeout"}
        assert {answer.status for answer in await answers_of(quick)} == {200}
        assert all(answer.closes for answer in answers)
        assert await server.ends() == 0
    assert set(server.ledger.fates().values()) == {"answered"}


HOOKS = {"SERVICE_PRE_STOP": "index.hook", "SERVICE_PRE_FREEZE": "index.hook"}


@pytest.mark.parametrize(
    ("loop_kind", "environ"), [("uvloop", {}), ("asyncio", HOOKS)], ids=["no hook", "hook"]
)
async def test_pre_stop_with_50_calls_in_flight_loses_none(
    loop_kind: str, environ: dict[str, str]
) -> None:
    """A6: `/pre-stop`, with a hook or without, answers when all 50 are done; SIGTERM then ends the
    process, and the hook has run once.
    """
    async with (
        started(loop=loop_kind, options={"environ": environ}) as server,
        server.callers(50) as callers,
        server.client() as platform,
        server.client() as probe,
    ):
        for caller in callers:
            await caller.send(b"hold")
        await server.running(50)
        stop = asyncio.create_task(platform.ask(PRE_STOP))
        await asyncio.to_thread(server.wait_for, "FC PreStop Start")
        assert (await probe.ask(HEALTH)).json()["draining"]
        assert not stop.done()
        assert not server.ledger.lines("hook")
        server.go()
        answers = await answers_of(callers)
        assert {(answer.status, answer.closes) for answer in answers} == {(200, True)}
        assert (await stop).status == 200
        assert await asyncio.to_thread(server.stop) == 0
    assert server.ledger.count() == {"answered": 50}
    assert len(server.ledger.lines("hook")) == len(environ) / 2


@each_loop_and_number
async def test_pre_freeze_leaves_calls_in_flight_alone(loop_kind: str, workers: int) -> None:
    """A7: `/pre-freeze` runs its hook once in each worker for each freeze, while calls run on."""
    async with (
        started(loop=loop_kind, workers=workers, options={"environ": HOOKS}) as server,
        server.callers(20) as callers,
    ):
        for caller in callers:
            await caller.send(b"hold")
        await server.running(20)
        for number in range(3):
            name = f"freeze-{number}"
            data = request(b"", path="/pre-freeze", method="GET", request_id=name)
            assert (await server.ask(data)).status == 200
            runs = [process for who, process in server.ledger.lines("hook") if who == name]
            assert sorted(runs) == sorted(map(str, server.workers()))
        assert not any(caller.client.reader.at_eof() for caller in callers)
        server.go()
        assert {answer.status for answer in await answers_of(callers)} == {200}
    assert server.ledger.count() == {"answered": 20}


async def test_an_initializer_that_comes_back_too_late_is_tried_again() -> None:
    """A8: a plain initializer that outlasts its time is an InitializationError; it is not taken for
    a success when it comes back, and the next call runs it once more.
    """
    environ = {"SERVICE_INITIALIZER": "index.gated_plain"}
    flags = ("--initialize-timeout", "0.3")
    async with started(waits=False, flags=flags, options={"environ": environ}) as server:
        await asyncio.to_thread(server.wait_for, " serves ")
        async with server.callers(5) as callers:
            for caller in callers:
                await caller.send(b"echo early")
            for answer in await answers_of(callers):
                assert answer.json()["errorType"] == "InitializationError"
        tries = len(server.ledger.lines("initializing"))
        server.go()
        async with asyncio.timeout(ANSWERS_WITHIN):
            while (late := await server.ask(request(b"echo late"))).body != b"echo late":
                assert late.json()["errorType"] == "InitializationError"  # a machine may be busy
                tries += 1
        assert (await server.ask(request(b"echo again"))).body == b"echo again"
        assert len(server.ledger.lines("initializing")) in (tries, tries + 1)
    assert server.ledger.runs().keys() & set(server.ledger.sent) == set()


async def test_a_stop_that_is_frozen_answers_everybody_at_the_thaw(pairs: dict[str, Any]) -> None:
    """A1, B2: a freeze that is longer than the drain takes nobody's answer away."""
    flags = ("--drain-timeout", "0.5")
    async with started(flags=flags, **pairs) as server, server.callers(20) as callers:
        for caller in callers:
            await caller.send(b"hold")
        await server.running(20)
        server.signal(signal.SIGTERM)
        await drains(server)
        server.freeze()
        server.go()
        await asyncio.sleep(0.7)
        server.thaw()
        answers = await answers_of(callers)
        assert Counter(answer.status for answer in answers).keys() <= {200, 404}
        assert await server.ends() == 0
    assert server.ledger.count() == {"answered": 20}


@pytest.mark.long
async def test_the_figure_of_the_stop_tells_servers_apart() -> None:
    """A1, A2: of 20 calls and 10 half-sent bodies we lose none; stock aiohttp loses the bodies."""
    ours = await figures.stopped(in_flight=20, halves=10)
    assert (ours["lost in flight"], ours["lost half sent"], ours["exit code"]) == (0, 0, 0)
    stock = await figures.stopped(STOCK, in_flight=20, halves=10, within=1.0)
    assert (stock["lost in flight"], stock["lost half sent"]) == (0, 10)


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_stops_at_a_random_moment_lose_no_call(loop_kind: str) -> None:
    """A1, A3: calls come on warm connections without a pause; SIGTERM comes at any time."""
    for number in range(10):
        async with (
            started(loop=loop_kind, workers=1 + number % 2) as server,
            server.callers(100) as callers,
        ):
            tasks = [asyncio.create_task(call_on_and_on(caller)) for caller in callers]
            await asyncio.sleep(0.2 + random.random() * 0.05)
            server.signal(signal.SIGTERM)
            await asyncio.gather(*tasks)
            assert await server.ends() == 0
        assert server.ledger.count().keys() <= {"answered", "never run"}
        assert server.ledger.halves == 0


async def call_on_and_on(caller: Caller) -> None:
    """Make call after call until the connection ends."""
    while await caller.ask(b"nap 0.005"):
        pass
