"""What is lost, hung or kept of any server that answers POST /invoke, where a fault is provoked.

Each figure starts the candidate that it is given, provokes one kind of fault, counts, and ends it.
"Lost" is a request that a live server had, or could have had, and that got no whole answer.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from tests.harness import Answer, Client, request
from tests.system.instance import OURS, Candidate, Instance, started
from tests.system.ledger import Caller

MIB = 1024 * 1024
GIVEN_UP = 15.0
"""Seconds after which an answer, or the end of a process, is not waited for any more."""

HALF_A_HEAD = b"POST /invoke HTTP/1.1\r\nHost: a\r\nx-slow: "
HALF_A_BODY = request(b"echo 0123456789")[:-5]

Figures = dict[str, Any]


async def stopped(
    candidate: Candidate = OURS, in_flight: int = 200, halves: int = 50, within: float = GIVEN_UP
) -> Figures:
    """SIGTERM meets calls in their handler and bodies that are half sent; the rest of these comes
    0.3 s later. What has not come `within` so many seconds is given up.
    """
    async with (
        started(candidate, flags=_if_ours(candidate, "--queue", str(halves))) as server,
        server.callers(halves) as half_sent,
        server.callers(in_flight) as holding,
    ):
        for caller in half_sent:
            await caller.client.send(caller.data(b"echo 0123456789")[:-5])
        for caller in holding:
            await caller.send(b"hold")
        await _all_that_will_run(server)
        server.signal(signal.SIGTERM)
        began = time.monotonic()
        await asyncio.sleep(0.3)
        for caller in half_sent:
            await _send(caller.client, b"56789")
        server.go()
        answers = await asyncio.gather(*(c.answer(within) for c in [*half_sent, *holding]))
        code = await _ends(server, within)
        return {
            "in flight": in_flight,
            "half sent": halves,
            "lost in flight": _lost(answers[halves:]),
            "lost half sent": _lost(answers[:halves]),
            "exit code": code,
            "seconds": round(time.monotonic() - began, 2),
        }


async def frozen(
    candidate: Candidate = OURS, freezes: int = 100, connections: int = 200, patience: float = 0.2
) -> Figures:
    """Requests are sent on warm connections while the instance is frozen, for longer than any of
    its timers (`patience` seconds each). A connection that was lost is opened again.
    """
    lost = answered = 0
    async with started(candidate, patience=patience) as server:
        async with server.callers(connections) as callers:
            for _ in range(freezes):
                await _all_good(server, callers)
                server.freeze()
                for caller in callers:
                    await _send(caller.client, caller.data(b"echo frozen"))
                await asyncio.sleep(patience + 0.1)
                server.thaw()
                answers = await asyncio.gather(*(c.answer(GIVEN_UP) for c in callers))
                lost += _lost(answers)
                answered += connections - _lost(answers)
        return {
            "freezes": freezes,
            "connections": connections,
            "answered": answered,
            "lost": lost,
            "alive": await server.is_alive(),
        }


async def exited(candidate: Candidate = OURS, neighbours: int = 10) -> Figures:
    """One handler calls `sys.exit` while others run."""
    async with started(candidate) as server:
        async with server.callers(neighbours) as callers, server.callers(1) as (leaver,):
            for caller in callers:
                await caller.send(b"hold")
            await server.running(neighbours, GIVEN_UP)
            await leaver.send(b"SystemExit")
            failed = await leaver.answer(GIVEN_UP)
            server.go()
            answers = await asyncio.gather(*(c.answer(GIVEN_UP) for c in callers))
        return {
            "neighbours": neighbours,
            "served": neighbours - _lost(answers),
            "exit answered": failed is not None,
            "alive": await server.is_alive(),
        }


async def killed(candidate: Candidate = OURS, queued: int = 40) -> Figures:
    """One of two workers stands still; requests arrive; it is killed."""
    async with started(candidate, workers=2) as server:
        victim = server.workers()[0]
        os.kill(victim, signal.SIGSTOP)
        async with server.callers(queued) as callers:
            for caller in callers:
                await caller.send(b"echo queued")
            await asyncio.sleep(0.5)
            os.kill(victim, signal.SIGKILL)
            answers = await asyncio.gather(*(c.answer(GIVEN_UP) for c in callers))
        return {"queued": queued, "lost": _lost(answers), "alive": await server.is_alive()}


async def slowed(
    candidate: Candidate = OURS,
    slow: int = 1000,
    good: int = 200,
    patience: float = 5.0,
    rounds: int = 3,
    calls: int = 5,
    loop: str = "auto",
    grace: float = 3.0,
) -> Figures:
    """Connections that never finish their head, and one in ten that never finishes its body, stand
    beside good ones, which each make `calls` in every round; the p99 is the median over the rounds,
    those alone being before and after. Those that are open `grace` seconds after their time are
    taken to stay open.
    """
    async with (
        started(candidate, patience=patience, loop=loop) as server,
        server.callers(good) as callers,
    ):
        await _round(callers, calls)  # warm
        alone = [await _round(callers, calls) for _ in range(rounds)]
        began = time.monotonic()
        async with server.callers(slow) as crawlers:
            opened = time.monotonic()
            for number, crawler in enumerate(crawlers):
                await crawler.client.send(HALF_A_BODY if number % 10 == 0 else HALF_A_HEAD)
            sent = time.monotonic()
            beside = [await _round(callers, calls) for _ in range(rounds)]
            held = time.monotonic() - opened < patience
            late = sent + patience + grace
            ends = await asyncio.gather(*(_until_closed(c, late) for c in crawlers))
        await _all_good(server, callers)  # a server may have closed the idle ones
        alone += [await _round(callers, calls) for _ in range(rounds)]
        p99s = [_middle(_p99(took) for took in kind) for kind in (alone, beside)]
        return {
            "slow": slow,
            "closed": slow - ends.count(None),
            "closed after s": round(max((e - opened for e in ends if e), default=0.0), 1),
            "good": good,
            "good asked": sum(map(len, [*alone, *beside])),
            "good lost": sum(took.count(None) for took in [*alone, *beside]),
            "held while measured": held,
            "p99 alone ms": round(p99s[0] * 1000, 1),
            "p99 beside ms": round(p99s[1] * 1000, 1),
            "ratio": round(p99s[1] / p99s[0], 2),
            "seconds": round(time.monotonic() - began, 1),
            "alive": await server.is_alive(),
        }


async def loaded(
    candidate: Candidate = OURS, bodies: int = 200, size: int = 32 * MIB, budget: int = 256 * MIB
) -> Figures:
    """Large bodies are offered at once; `budget` bytes are what they may take together."""
    flags = _if_ours(candidate, "--body-budget", str(budget))
    async with started(candidate, flags=flags) as server:
        await server.good()
        base = server.memory()
        server.reset_peak()
        began = time.monotonic()
        async with server.callers(bodies) as callers:
            answers = await asyncio.gather(*(_offer(caller, size) for caller in callers))
        return {
            "bodies": bodies,
            "MiB each": size // MIB,
            "budget MiB": budget // MIB,
            "answered": bodies - _lost(answers),
            "peak over idle MiB": (server.peak_memory() - base) // MIB,
            "seconds": round(time.monotonic() - began, 1),
            "alive": await server.is_alive(),
        }


def _if_ours(candidate: Candidate, *flags: str) -> tuple[str, ...]:
    """Return flags that other servers do not know."""
    return flags if candidate is OURS else ()


def _lost(answers: Iterable[Answer | None]) -> int:
    return sum(answer is None or answer.status != 200 for answer in answers)


async def _send(client: Client, data: bytes) -> None:
    """Send to who may be gone."""
    with suppress(ConnectionError):
        await client.send(data)


async def _all_that_will_run(server: Instance) -> None:
    """Wait until no further call begins to run."""
    before = -1
    began = time.monotonic()
    while time.monotonic() - began < GIVEN_UP:
        now = await server.running(1, within=0)
        if now and now == before:
            return
        before = now
        await asyncio.sleep(0.3)


async def _ends(server: Instance, within: float) -> int | None:
    try:
        return await server.ends(within)
    except subprocess.TimeoutExpired:
        return None


async def _all_good(server: Instance, callers: Sequence[Caller]) -> None:
    """Have each connection serve a call, a new one where it has been lost."""

    async def warm(caller: Caller) -> None:
        while await caller.ask(b"echo warm") is None:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            caller.client.writer.transport.abort()
            caller.client = Client(reader, writer)

    await asyncio.gather(*map(warm, callers))


Took = list[float | None]


async def _round(callers: Sequence[Caller], calls: int) -> Took:
    """Return the seconds of each call, None for a lost one and those behind it on its
    connection.
    """

    async def one(caller: Caller) -> Took:
        took: Took = []
        while len(took) < calls and None not in took:
            began = time.perf_counter()
            await _send(caller.client, caller.data(b"echo good"))
            answer = await caller.answer(GIVEN_UP)
            took.append(time.perf_counter() - began if not _lost([answer]) else None)
        return took + [None] * (calls - len(took))

    return [each for took in await asyncio.gather(*map(one, callers)) for each in took]


def _p99(took: Took) -> float:
    known = sorted(each for each in took if each is not None)
    return known[int(len(known) * 0.99)] if known else GIVEN_UP


def _middle(values: Iterable[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


async def _until_closed(caller: Caller, late: float) -> float | None:
    """Return when the server ended a connection, None where it is open when it is late."""
    left = late - time.monotonic()
    try:
        async with asyncio.timeout(max(left, 0.1)):
            while await caller.client.reader.read(65536):
                pass
    except TimeoutError:
        return None
    except ConnectionError:
        pass
    return time.monotonic()


async def _offer(caller: Caller, size: int) -> Answer | None:
    """Send a body of which no second copy is made here."""
    client, piece = caller.client, bytes(MIB)
    head = request(b"", request_id=caller.ledger.new_id(), Content_Length=str(size))
    try:
        await client.send(head + b"size ")
        left = size - len(b"size ")
        while left:
            await client.send(piece[: min(left, MIB)])
            left -= min(left, MIB)
    except ConnectionError:
        return None
    return await caller.answer(120.0)
