"""Start, stop, freeze and vanishing clients: exit codes and counts of real processes."""

from __future__ import annotations

import asyncio
import signal
import socket
import struct
from contextlib import AsyncExitStack

import pytest

from service.process.signals import STOPS
from tests.conftest import Serve
from tests.harness import ANSWERS_WITHIN, ECHO, GATED, ServerProcess, held_port, request

HEALTH = request(b"", path="/health", method="GET")


async def comes_to_rest(server: ServerProcess) -> None:
    """Wait until nothing is in flight."""
    async with asyncio.timeout(ANSWERS_WITHIN), server.client() as client:
        state = {"inFlight": 1}
        while state["inFlight"]:
            state = (await client.ask(HEALTH)).json()


async def ask_until_refused(server: ServerProcess) -> None:
    """Connect anew until that fails: the port closes a few turns of the loop after the signal."""
    async with asyncio.timeout(ANSWERS_WITHIN):
        while True:
            assert (await server.ask(HEALTH)).closes


# --- stop


@pytest.mark.parametrize("number", STOPS)
async def test_a_signal_stops_an_idle_service(
    serve: Serve, loop_kind: str, number: signal.Signals
) -> None:
    """A5: SIGTERM and SIGINT end an idle service with 0 and one line, idle connections or not."""
    server = serve(ECHO, "--loop", loop_kind)
    async with server.client() as warm, server.client() as silent:
        await warm.ask(request())
        server.signal(number)
        assert await warm.ended()
        assert await silent.ended()
    assert await server.ends() == 0
    assert server.errors == []
    assert "Traceback" not in server.log()


async def test_a_signal_stops_a_service_that_initializes(serve: Serve, loop_kind: str) -> None:
    """A5, A8: an initializer that runs is no call: a signal does not wait for its end."""
    source = """
        import asyncio

        async def initialize(context):
            print("initializing")
            await asyncio.sleep(100)

        async def handler(event, context):
            return event
    """
    server = serve(source, "--loop", loop_kind)
    await asyncio.to_thread(server.wait_for, "initializing")
    _ = await asyncio.to_thread(lambda: server.port)
    server.signal(signal.SIGTERM)
    assert await server.ends() == 0
    assert "Traceback" not in server.log()


async def test_a_sync_handler_is_finished_at_a_stop(serve: Serve) -> None:
    """A1: SIGTERM waits for threads that run handlers; each caller gets its answer."""
    source = """
        import pathlib, time

        def handler(event, context):
            print("running")
            while not pathlib.Path("go").exists():
                time.sleep(0.02)
            return event
    """
    server = serve(source)
    calls = [asyncio.create_task(server.ask(request(b"event"))) for _ in range(50)]
    await asyncio.to_thread(server.wait_for, "running", count=50)
    server.signal(signal.SIGTERM)
    await asyncio.to_thread(server.wait_for, "SIGTERM: stopping")
    (server.folder / "go").touch()
    answers = await asyncio.gather(*calls)
    assert {answer.body for answer in answers} == {b"event"}
    assert await server.ends() == 0


async def test_a_stop_refuses_new_connections(serve: Serve, loop_kind: str) -> None:
    """A3: once the drain has begun the port is closed, while calls in flight go on."""
    server = serve(GATED, "--loop", loop_kind)
    async with server.client() as client, server.client() as warm:
        await warm.ask(HEALTH)
        await client.send(request(b"event"))
        await asyncio.to_thread(server.wait_for, "running")
        server.signal(signal.SIGTERM)
        await asyncio.to_thread(server.wait_for, "SIGTERM: stopping")
        assert (await warm.ask(HEALTH)).closes
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await ask_until_refused(server)
        (server.folder / "go").touch()
        assert (await client.answer()).body == b"event"
    assert await server.ends() == 0


async def test_a_head_that_has_begun_to_arrive_is_waited_for(serve: Serve, loop_kind: str) -> None:
    """A2: its sender would not send the event again. The stop does not wait for one that drips."""
    head, rest = request(b"event")[:60], request(b"event")[60:]

    async def answered() -> bool:
        server = serve(ECHO, "--loop", loop_kind)
        async with server.client() as half, server.client() as drips:
            await half.send(head)
            await drips.send(head)
            await server.ask(HEALTH)
            server.signal(signal.SIGTERM)
            await asyncio.to_thread(server.wait_for, "SIGTERM: stopping")
            await asyncio.sleep(0.3)  # by then a service that does not wait has ended
            try:
                await half.send(rest)
                answer = await half.answer()
            except (ConnectionError, asyncio.IncompleteReadError):
                return False  # a machine may be so busy that the second is over
            assert (answer.body, answer.closes) == (b"event", True)
            assert await drips.ended()
        assert await server.ends() == 0
        return True

    for _ in range(5):
        if await answered():
            return
    pytest.fail("it was never answered")


LEFT = {
    "a thread": "threading.Thread(target=threading.Event().wait, daemon=False).start()",
    "a process": "fork.Process(target=time.sleep, args=(300,)).start()",
    "an exit function": "atexit.register(time.sleep, 300)",
    "a task": "handler.task = asyncio.create_task(linger())",
}


@pytest.mark.parametrize("left", LEFT.values(), ids=LEFT)
async def test_what_a_function_leaves_behind_does_not_hold_up_the_exit(
    serve: Serve, left: str
) -> None:
    """F-9: what never ends costs the exit two seconds at most, and does not keep the port."""
    source = f"""
        import asyncio, atexit, multiprocessing, threading, time

        fork = multiprocessing.get_context("fork")

        async def linger():
            while True:
                try:
                    await asyncio.sleep(100)
                except asyncio.CancelledError:
                    pass

        async def handler(event, context):
            {left}
            return event
    """
    server = serve(source)
    await server.ask(request())
    port = server.port
    assert await asyncio.to_thread(server.stop) == 0
    with pytest.raises(ConnectionError):
        await asyncio.open_connection("127.0.0.1", port)


# --- start


async def test_a_port_in_use_is_named(serve: Serve) -> None:
    """A10: exit 3 with one line that names the port and what to do."""
    first = serve(ECHO)
    port = await asyncio.to_thread(lambda: first.port)
    second = serve(ECHO, "--port", str(port))
    assert await second.ends() == 3
    assert len(second.errors) == 1
    assert f"port {port} is in use" in second.errors[0]
    assert (await first.ask(request(b"event"))).body == b"event"


async def test_the_port_is_closed_until_the_handler_is_there(serve: Serve) -> None:
    """A11: while the function is imported no connection is taken and left to wait."""
    source = """
        import pathlib, time
        print("importing", flush=True)
        while not pathlib.Path("go").exists():
            time.sleep(0.01)

        async def handler(event, context):
            return event
    """
    with held_port() as port:
        server = serve(source, "--port", str(port))
        await asyncio.to_thread(server.wait_for, "importing")
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", port)
        (server.folder / "go").touch()
        assert (await server.ask(request(b"event"))).body == b"event"


# --- freeze


async def test_a_freeze_in_the_middle_of_a_body_loses_no_byte(serve: Serve, loop_kind: str) -> None:
    """B3: a body of 8 MiB that was frozen half-way is whole, on the way in and on the way out."""
    server = serve(ECHO, "--loop", loop_kind)
    body = b"0123456789abcdef" * (8 * 65536)
    data = request(body)
    async with server.client() as client:
        await client.send(data[: len(data) // 2])
        server.signal(signal.SIGSTOP)
        rest = asyncio.create_task(client.send(data[len(data) // 2 :]))
        await asyncio.sleep(0)
        server.signal(signal.SIGCONT)
        await rest
        await asyncio.to_thread(server.wait_for, "End RequestId")
        server.signal(signal.SIGSTOP)
        answer = asyncio.create_task(client.answer())
        await asyncio.sleep(0)
        server.signal(signal.SIGCONT)
        assert (await answer).body == body


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_freeze_past_the_deadline_is_answered_once(
    serve: Serve, loop_kind: str, kind: str
) -> None:
    """B2: a call frozen beyond its deadline has one answer at thaw, and the next call its own."""
    source = {
        "async": GATED,
        "sync": """
            import pathlib, time

            def handler(event, context):
                print("running")
                while not pathlib.Path("go").exists():
                    time.sleep(0.02)
                return event
        """,
    }[kind]
    server = serve(source, "--timeout", "0.6", "--deadline-margin", "0", "--loop", loop_kind)
    async with server.client() as client:
        await client.send(request(b"event"))
        await asyncio.to_thread(server.wait_for, "running")
        server.signal(signal.SIGSTOP)
        await asyncio.sleep(0.7)
        server.signal(signal.SIGCONT)
        answer = await client.answer()
        assert answer.json()["errorType"] == "FunctionTimeout"
        (server.folder / "go").touch()
        following = request(b"next", x_fc_function_timeout="60")
        assert (await client.ask(following)).body == b"next"


async def test_rapid_freezes_under_load_lose_no_call(serve: Serve, loop_kind: str) -> None:
    """B5: ten freezes and thaws amid 500 calls on 20 connections: every one is answered."""
    server = serve(ECHO, "--loop", loop_kind)
    answered = 0
    more = asyncio.Condition()

    async def caller() -> None:
        nonlocal answered
        async with server.client() as client:
            for _ in range(25):
                assert (await client.ask(request(b"event"))).body == b"event"
                async with more:
                    answered += 1
                    more.notify_all()

    callers = [asyncio.create_task(caller()) for _ in range(20)]
    for goal in range(0, 400, 40):
        async with more:
            while answered < goal:
                await more.wait()
        server.signal(signal.SIGSTOP)
        await asyncio.sleep(0.01)
        server.signal(signal.SIGCONT)
    await asyncio.gather(*callers)
    assert answered == 500


async def test_clients_that_leave_during_a_freeze_are_forgotten(
    serve: Serve, loop_kind: str
) -> None:
    """B4: connections that were closed while it was frozen leave nothing behind, and no error."""
    server = serve(ECHO, "--loop", loop_kind)
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(server.client()) for _ in range(50)]
        for client in clients:
            await client.ask(request())
        for client in clients[:25]:
            await client.send(request(b"0123456789")[:-5])
        server.signal(signal.SIGSTOP)
    server.signal(signal.SIGCONT)
    await comes_to_rest(server)
    assert "Traceback" not in server.log()
    assert "[ERROR]" not in server.log()


# --- clients that vanish


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with an RST, as a host that crashes does."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


STREAMED = """
    from service import EventStream

    async def handler(event: EventStream, context):
        size = 0
        async for chunk in event:
            size += len(chunk)
        return size
"""


@pytest.mark.parametrize("source", [ECHO, STREAMED], ids=["read", "streamed"])
async def test_a_client_that_leaves_in_its_body_ends_its_call(
    serve: Serve, loop_kind: str, source: str
) -> None:
    """E3: ClientGone: a call whose body never comes whole ends; nothing stays in flight."""
    server = serve(source, "--loop", loop_kind)
    chunked = b"POST /invoke HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"
    async with AsyncExitStack() as stack:
        for data in [request(b"0123456789")[:-5], request(b"0123456789")[:30], chunked] * 5:
            for crashes in (False, True):
                client = await stack.enter_async_context(server.client())
                await client.send(data)
                await server.ask(HEALTH)
                if crashes:
                    reset(client.writer)
    await comes_to_rest(server)
    state = (await server.ask(HEALTH)).json()
    assert (state["running"], state["bodyBytes"]) == (0, 0)
    assert "Traceback" not in server.log()
    assert "[ERROR]" not in server.log()


async def test_a_client_that_leaves_during_its_call_does_not_end_it(
    serve: Serve, loop_kind: str
) -> None:
    """E3, E4: an event has side effects: its handler runs to its end; then nothing is in flight."""
    server = serve(GATED, "--loop", loop_kind)
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(server.client()) for _ in range(20)]
        for client in clients:
            await client.send(request())
        await asyncio.to_thread(server.wait_for, "running", count=20)
        for client in clients[:10]:
            reset(client.writer)
    await server.ask(HEALTH)
    (server.folder / "go").touch()
    await asyncio.to_thread(server.wait_for, r"\] done", count=20)
    await comes_to_rest(server)
    assert "Traceback" not in server.log()
    assert "[ERROR]" not in server.log()


async def test_a_client_that_leaves_within_its_answer_is_forgotten(
    serve: Serve, loop_kind: str
) -> None:
    """E3: an answer of 32 MiB that nobody reads to its end leaves nothing in flight."""
    source = """
        async def handler(event, context):
            return bytes(32 * 1024 * 1024)
    """
    server = serve(source, "--loop", loop_kind)
    async with server.client() as first, server.client() as second:
        for client in (first, second):
            await client.send(request())
            await client.reader.readexactly(1000)
        reset(first.writer)
    await comes_to_rest(server)
    assert "Traceback" not in server.log()


async def test_a_half_close_is_taken_for_a_disconnect(serve: Serve, loop_kind: str) -> None:
    """E5: a client that shuts its sending side gets no answer; its call runs to its end all the
    same.

    That is aiohttp's and most servers' way: it cannot be told from a client that is gone.
    """
    server = serve(GATED, "--loop", loop_kind)
    async with server.client() as client:
        await client.send(request())
        await asyncio.to_thread(server.wait_for, "running")
        client.writer.write_eof()
        assert await client.ended()
        (server.folder / "go").touch()
        await asyncio.to_thread(server.wait_for, r"\] done")
    await comes_to_rest(server)


# --- many at once


async def test_200_async_handlers_meet(serve: Serve) -> None:
    """G1: 200 calls that wait for each other all finish: they are in flight together."""
    source = """
        import asyncio

        barrier = asyncio.Barrier(200)

        async def handler(event, context):
            await barrier.wait()
            return event
    """
    server = serve(source, "--concurrency", "200")
    answers = await asyncio.gather(*(server.ask(request(b"%d" % n)) for n in range(200)))
    assert [answer.body for answer in answers] == [b"%d" % n for n in range(200)]


async def test_100_sync_handlers_meet(serve: Serve) -> None:
    """F-6, G2: 100 plain `def` calls run in 100 threads at once, each seeing its own context."""
    source = """
        import threading
        from service.context.call import current_context

        barrier = threading.Barrier(100)

        def handler(event, context):
            barrier.wait()
            barrier.wait()
            assert current_context().request_id == context.request_id
            return context.request_id
    """
    server = serve(source, "--concurrency", "100")
    await server.ask(HEALTH)
    calls = [server.ask(request(request_id=f"id-{n}")) for n in range(100)]
    answers = await asyncio.gather(*calls)
    assert [answer.body for answer in answers] == [b"id-%d" % n for n in range(100)]
