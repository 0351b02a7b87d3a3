"""Clients that are slow, vanish, or send in the smallest pieces (sections D and E)."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import psutil
import pytest

from tests.harness import ANSWERS_WITHIN, Client, least, request
from tests.system import figures
from tests.system.instance import STOCK, Instance, started
from tests.system.ledger import Caller

MIB = 1024 * 1024


async def test_1000_half_open_connections_cost_200_good_ones_nothing(loop_kind: str) -> None:
    """E1: 1,000 clients that never finish their head or their body are ended at their deadline;
    the calls of 200 others meanwhile are all answered.
    """
    found = await figures.slowed(
        patience=2.0, rounds=1, calls=2, loop=loop_kind, grace=ANSWERS_WITHIN
    )
    assert found["closed"] == 1000
    assert found["good lost"] == 0
    assert found["alive"]


@pytest.mark.long
async def test_the_figure_of_slow_clients_tells_servers_apart() -> None:
    """E1: stock aiohttp, with the same limit, keeps connections that never finish their body."""
    ours = await figures.slowed(slow=20, good=5, patience=0.5, rounds=1)
    stock = await figures.slowed(STOCK, slow=20, good=5, patience=0.5, rounds=1)
    assert (ours["closed"], stock["closed"]) == (20, 18)


async def test_a_body_that_drips_ends_with_its_calls_time(pairs: dict[str, Any]) -> None:
    """E2: a byte now and then keeps a body alive, but not beyond its call's deadline; the slots
    that such calls held are free then.
    """
    flags = ("--concurrency", "4", "--queue", "20", "--deadline-margin", "0")
    async with started(flags=flags, **pairs) as server, server.callers(12) as callers:
        for caller in callers:
            data = caller.data(b"echo " + bytes(1000), x_fc_function_timeout="1")
            await caller.client.send(data[:-1000])
        answers = [asyncio.create_task(caller.answer()) for caller in callers]
        while not all(task.done() for task in answers):
            for caller, task in zip(callers, answers, strict=True):
                await asyncio.sleep(0)  # an answer is read before we send: that may reset it
                if not task.done():
                    with suppress(ConnectionError):
                        await caller.client.send(b"\0")
            await asyncio.sleep(0.05)
        for task in answers:
            answer = task.result()
            assert answer
            assert answer.json()["errorType"] == "FunctionTimeout"
        assert await server.is_alive()
        await server.at_rest()
        assert (await server.state())["running"] == 0
    assert not server.ledger.runs().keys() & set(server.ledger.sent)


def reset(client: Client) -> None:
    """Close with an RST, as a host that crashes does."""
    linger = struct.pack("ii", 1, 0)
    client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    client.writer.transport.abort()


async def leave_in_the_head(caller: Caller) -> None:
    """Send half a head."""
    await caller.client.send(request()[:40])


async def leave_in_the_body(caller: Caller) -> None:
    """Send half a body."""
    await caller.client.send(caller.data(b"echo 0123456789")[:-5])


async def leave_in_the_call(caller: Caller) -> None:
    """Send a request whose handler takes a while."""
    await caller.send(b"nap 0.2")
    await asyncio.sleep(random.random() * 0.1)


async def leave_at_once(caller: Caller) -> None:
    """Send a request."""
    await caller.send(b"echo unread")


async def leave_in_the_answer(caller: Caller) -> None:
    """Read the beginning of a large answer."""
    await caller.send(b"large 1000000")
    await caller.client.reader.readexactly(100)


LEAVES = [
    leave_in_the_head,
    leave_in_the_body,
    leave_in_the_call,
    leave_at_once,
    leave_in_the_answer,
]


async def vanish(server: Instance) -> None:
    """200 clients leave, each in its way."""
    async with server.callers(200) as callers:
        ways = [LEAVES[number % len(LEAVES)] for number in range(len(callers))]
        await asyncio.gather(*(w(c) for w, c in zip(ways, callers, strict=True)))
        for caller in callers[::2]:
            reset(caller.client)
    await server.at_rest()


async def test_1000_clients_that_vanish_leave_nothing_behind(pairs: dict[str, Any]) -> None:
    """E3, E4: they leave in the head, in the body, during the call, at once and in the answer, half
    of them with a reset. No call is cut short or run twice; descriptors and figures are those of
    before; the log has no error.
    """
    flags = ("--queue", "1000")
    async with started(flags=flags, **pairs) as server:
        await vanish(server)  # bodies in parts load libffi, which keeps its file open
        before = server.descriptors()
        for _ in range(5):
            await vanish(server)
        assert await server.is_alive()
        await server.at_rest()
        await server.forgets(before)
        state = await server.state()
        assert (state["running"], state["queued"], state["bodyBytes"]) == (0, 0, 0)
        began = server.ledger.lines("began")
        assert len(server.ledger.lines("ended")) == len(began)
        assert "run twice" not in server.ledger.count()
        assert "Traceback" not in server.log()
        assert "[ERROR]" not in server.log()


async def test_an_answer_that_nobody_reads_is_given_up(loop_kind: str) -> None:
    """D6: an answer of which its client takes nothing for `body_timeout` seconds ends with its
    connection, and its memory is free; one that is taken slowly is whole.
    """
    async with (
        started(loop=loop_kind, patience=2.0) as server,
        server.callers(2) as (deaf, slow),
        server.callers(1) as (piping,),
    ):
        await deaf.send(b"large 32000000")
        await slow.send(b"large 16000000")

        async def pipe() -> None:  # many small answers pile up as a large one does
            with suppress(ConnectionError):
                for _ in range(400):
                    await asyncio.wait_for(piping.send(b"large 60000"), 5)

        pipes = asyncio.create_task(pipe())
        head = await slow.client.reader.readuntil(b"\r\n\r\n")
        got = 0
        while got < 16000000:
            part = await slow.client.reader.read(400_000)
            assert part
            got += len(part)
            await asyncio.sleep(0.04 if got < 12_000_000 else 0)
        assert b" 200 OK" in head
        assert got == 16000000
        await pipes
        await server.at_rest()
        assert await server.is_alive()
        await asyncio.to_thread(server.wait_for, "an answer was given up")


async def test_a_refused_sender_that_falls_silent_is_let_go(loop_kind: str) -> None:
    """E6: the answer to a body that is not wanted comes before the body; the connection then ends
    within seconds, though the rest never comes.
    """
    flags = ("--concurrency", "2", "--queue", "0", "--max-body", "1000")
    async with (
        started(loop=loop_kind, workers=2, flags=flags) as server,
        server.callers(20) as callers,
    ):
        for caller in callers:
            await caller.client.send(caller.data(b"echo " + bytes(2000))[:-1500])
        for caller in callers:
            answer = await caller.answer()
            assert answer
            assert answer.status == 413
        for caller in callers:
            assert await caller.client.ended()
        assert await server.is_alive()


# --- a bad network

Forward = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass everything on after a while."""
    while data := await reader.read(65536):
        await asyncio.sleep(0.05)
        writer.write(data)
        await writer.drain()


async def sliced(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass everything on byte by byte."""
    while data := await reader.read(1):
        writer.write(data)
        await writer.drain()
        await asyncio.sleep(0)


async def narrow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on 100 bytes at a time, with pauses."""
    while data := await reader.read(100):
        writer.write(data)
        await writer.drain()
        await asyncio.sleep(0.005)


async def limited(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on no more than 150 bytes, then end."""
    writer.write(await reader.readexactly(150))
    await writer.drain()


async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on 150 bytes, then reset both sides."""
    await limited(reader, writer)
    reset(Client(reader, writer))


@asynccontextmanager
async def network(port: int, forward: Forward) -> AsyncIterator[int]:
    """Put a network between clients and a port; return the port on this side of it."""

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, here = await asyncio.open_connection("127.0.0.1", port)
        tasks = [
            asyncio.create_task(forward(reader, here)),
            asyncio.create_task(forward(there, writer)),
        ]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for side in (here, writer):
            side.close()

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("forward", [late, sliced, narrow, limited, cut])
async def test_over_a_bad_network_a_call_is_answered_right_or_not_at_all(
    loop_kind: str, forward: Forward
) -> None:
    """E7: latency, single bytes and little bandwidth change no answer; a connection that is cut has
    none, runs nothing twice, and leaves nothing behind.
    """
    whole = forward in (late, sliced, narrow)
    async with started(loop=loop_kind) as server, network(server.port, forward) as port:

        async def calls(number: int) -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            caller = Caller(Client(reader, writer), server.ledger)
            for turn in range(3 if whole else 1):
                event = b"echo %d %d " % (number, turn) + b"x" * 200
                answer = await caller.ask(event)
                assert (answer is not None) == whole
                assert answer is None or answer.body == event
            writer.transport.abort()

        await asyncio.gather(*map(calls, range(20)))
        assert await server.is_alive()
        await server.at_rest()
        assert "Traceback" not in server.log()
        assert server.ledger.count().keys() <= {"answered", "never run", "run without an answer"}


# --- the smallest pieces


def spent(server: Instance) -> float:
    """The CPU seconds of the instance."""
    times = [psutil.Process(pid).cpu_times() for pid in server.pids()]
    return sum(time.user + time.system for time in times)


@pytest.mark.parametrize(
    ("size", "count"),
    [
        pytest.param(1, 300_000, id="1 byte"),
        pytest.param(100, 320_000, id="100 bytes", marks=pytest.mark.long),
    ],
)
async def test_a_body_in_the_smallest_chunks_takes_little_time(
    loop_kind: str, size: int, count: int
) -> None:
    """D5, G4: 300,000 chunks of a byte, and 32 MB in chunks of 100, cost less than 2 s of CPU
    time; a call beside them is answered after each tenth.
    """
    async with started(loop=loop_kind) as server, server.callers(2) as (many, beside):
        head = request(b"", request_id=server.ledger.new_id(), Content_Length="")
        head = head.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")
        tenth = b"%x\r\n%s\r\n" % (size, b"x" * size) * (count // 10)

        async def cost() -> float:
            before = spent(server)
            await many.client.send(head + b"5\r\nsize \r\n")
            for _ in range(10):
                await many.client.send(tenth)
                assert await beside.ask(b"echo beside")
            await many.client.send(b"0\r\n\r\n")
            answer = await many.answer()
            assert answer
            assert int(answer.body) == size * count + 5
            return spent(server) - before

        assert await least(cost, below=2.0, tries=3) < 2.0
