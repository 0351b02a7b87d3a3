"""What stock aiohttp gets wrong for this platform (F1-F21 of the catalogue), on real sockets."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import signal
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest

from tests.conftest import Serve
from tests.harness import ANSWERS_WITHIN, ECHO, GATED, Answer, Client, ServerProcess, request
from tests.system.conformance import CASES

MIB = 1024 * 1024
STREAMED = """
    from service import EventStream

    async def handler(event: EventStream, context):
        print("running")
        size = 0
        async for chunk in event:
            size += len(chunk)
        return size
"""
HEALTH = request(b"", path="/health", method="GET")


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One service that answers each event with itself, for the tests that leave it as it was."""
    server = ServerProcess(tmp_path_factory.mktemp("echo"), ECHO)
    yield server
    server.kill()


def chunked(
    *parts: bytes, trailer: bytes = b"", path: str = "/invoke", request_id: str = "own"
) -> bytes:
    """The bytes of a request with a chunked body."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: a\r\nx-fc-request-id: {request_id}\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"
    )
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    return head.encode() + chunks + b"0\r\n" + trailer + b"\r\n"


async def in_pieces(client: Client, beside: Client, *pieces: bytes) -> None:
    """Send pieces so that the service reads each by itself.

    Its answer on another connection shows that its loop has turned since the piece arrived.
    """
    for piece in pieces:
        await client.send(piece)
        await beside.ask(HEALTH)


async def at_rest(server: ServerProcess) -> None:
    """Wait until the service counts no call as in flight: a call's end follows its last byte."""
    async with asyncio.timeout(ANSWERS_WITHIN), server.client() as client:
        while (await client.ask(HEALTH)).json()["inFlight"]:
            pass


def is_refusal(answer: Answer, status: int = 400, code: str = "BadRequest") -> bool:
    """True for our error JSON with the platform's failure mark, after which the connection ends."""
    return (
        answer.status == status
        and answer.headers["x-fc-status"] == "404"
        and answer.json()["errorType"] == code
        and answer.headers["x-fc-request-id"] == answer.json()["requestId"]
        and answer.closes
    )


async def test_200_calls_and_50_half_sent_bodies_survive_a_sigterm(
    serve: Serve, loop_kind: str
) -> None:
    """F1, A1, A2: at SIGTERM every call in flight is finished, half-received bodies included; exit
    0.
    """
    server = serve(GATED, "--concurrency", "200", "--queue", "100", "--loop", loop_kind)
    async with AsyncExitStack() as stack:
        idle, *halves = [await stack.enter_async_context(server.client()) for _ in range(51)]
        for half in halves:
            await half.send(request(b"0123456789")[:-5])
        whole = [asyncio.create_task(server.ask(request(b"whole"))) for _ in range(200)]
        await asyncio.to_thread(server.wait_for, "running", count=150)  # the halves hold 50 slots
        server.signal(signal.SIGTERM)
        await asyncio.to_thread(server.wait_for, "SIGTERM: stopping")
        late = await idle.ask(request(path="/health", method="GET"))
        for half in halves:
            await half.send(b"56789")
        (server.folder / "go").touch()
        answers = [await half.answer() for half in halves] + await asyncio.gather(*whole)
    assert len(answers) == 250
    assert {answer.status for answer in answers} == {200}
    assert all(answer.closes for answer in [*answers, late])
    assert await server.ends() == 0


# --- stop


async def test_a_stop_answers_what_outlasts_its_drain_with_a_time_out(
    serve: Serve, loop_kind: str
) -> None:
    """F3, A4: calls and half-received bodies that outlast `drain_timeout` get an error JSON; exit
    0.
    """
    server = serve(GATED, "--drain-timeout", "0.3", "--loop", loop_kind)
    async with AsyncExitStack() as stack:
        half, whole = [await stack.enter_async_context(server.client()) for _ in range(2)]
        await half.send(request(b"0123456789")[:-5])
        await whole.send(request())
        await asyncio.to_thread(server.wait_for, "running")
        server.signal(signal.SIGTERM)
        answers = [await half.answer(), await whole.answer()]
    assert await server.ends() == 0
    for answer in answers:
        assert (answer.status, answer.json()["errorType"]) == (404, "FunctionTimeout")
        assert answer.closes


async def test_a_stop_waits_neither_for_a_thread_nor_for_a_reader(serve: Serve) -> None:
    """F3, A4: a sync handler that hangs and a client that never reads its answer hold up no
    stop.
    """
    source = """
        import threading

        def handler(event, context):
            print("running")
            if event == b"large":
                return bytes(64 * 1024 * 1024)
            threading.Event().wait()
    """
    server = serve(source, "--drain-timeout", "0.3")
    async with server.client() as stuck, server.client() as deaf:
        await stuck.send(request())
        await deaf.send(request(b"large"))
        await asyncio.to_thread(server.wait_for, "running", count=2)
        server.signal(signal.SIGTERM)
        answer = await stuck.answer()
        assert answer.json()["errorType"] == "FunctionTimeout"
        assert await server.ends() == 0  # while both are still there


async def test_what_arrived_while_frozen_is_served_before_the_stop(
    serve: Serve, loop_kind: str
) -> None:
    """F1, A1, B1: requests in the sockets when SIGTERM meets a frozen instance are answered after
    thaw.
    """
    server = serve(ECHO, "--loop", loop_kind)
    async with AsyncExitStack() as stack:
        warm = [await stack.enter_async_context(server.client()) for _ in range(20)]
        for client in warm:
            await client.ask(request())
        server.signal(signal.SIGSTOP)
        fresh = [await stack.enter_async_context(server.client()) for _ in range(20)]
        for client in [*warm, *fresh]:
            await client.send(request(b"frozen"))
        server.signal(signal.SIGTERM)
        server.signal(signal.SIGCONT)
        answers = [await client.answer() for client in [*warm, *fresh]]
    assert {answer.body for answer in answers} == {b"frozen"}
    assert await server.ends() == 0


# --- idle connections


async def test_warm_connections_survive_a_freeze(serve: Serve, loop_kind: str) -> None:
    """F4, B1, B6: what is sent on 20 warm connections while the instance is frozen is answered at
    thaw.
    """
    server = serve(ECHO, "--header-timeout", "2", "--body-timeout", "2", "--loop", loop_kind)
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(server.client()) for _ in range(20)]
        for client in clients[:10]:
            await client.ask(request())
        for client in clients[10:]:
            await client.send(request(b"frozen")[:40])
        await server.ask(HEALTH)
        server.signal(signal.SIGSTOP)
        for client in clients[:10]:
            await client.send(request(b"frozen"))
        for client in clients[10:]:
            await client.send(request(b"frozen")[40:])
        await asyncio.sleep(2.2)  # both limits pass while it is frozen
        server.signal(signal.SIGCONT)
        answers = [await client.answer() for client in clients]
    assert [answer.body for answer in answers] == [b"frozen"] * 20


async def test_a_body_that_stood_still_in_a_freeze_is_read_at_thaw(
    serve: Serve, loop_kind: str
) -> None:
    """F4, B6: the limit on a body that stands still does not count bytes that came while frozen."""
    server = serve(ECHO, "--body-timeout", "2", "--loop", loop_kind)
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(server.client()) for _ in range(20)]
        for client in clients:
            await client.send(request(b"frozen")[:-3])
        await server.ask(HEALTH)
        server.signal(signal.SIGSTOP)
        for client in clients:
            await client.send(b"zen")
        await asyncio.sleep(2.2)
        server.signal(signal.SIGCONT)
        answers = [await client.answer() for client in clients]
    assert [answer.body for answer in answers] == [b"frozen"] * 20


async def test_an_idle_connection_outlives_a_month(serve: Serve) -> None:
    """F5, E8: a connection that was silent for a month, used before or not, serves the next
    request.
    """
    source = """
        import asyncio, time

        async def handler(event, context):
            if event == b"a month later":
                asyncio.get_running_loop().time = lambda: time.monotonic() + 30 * 86400
            return event
    """
    server = serve(source, "--loop", "asyncio")
    async with server.client() as used, server.client() as silent, server.client() as other:
        await used.ask(request())
        await other.ask(request(b"a month later"))
        for _ in range(3):
            await other.ask(HEALTH)
        assert (await used.ask(request(b"still here"))).body == b"still here"
        assert (await silent.ask(request(b"still here"))).body == b"still here"


# --- what the parser refuses


CANARY = "CANARY-5ecret"


def with_field(name: str, value: str) -> bytes:
    """A request with one more header field."""
    return request().replace(b"\r\n\r\n", f"\r\n{name}: {value}\r\n\r\n".encode("latin-1"))


@pytest.mark.parametrize("header", ["x-fc-security-token", "x-fc-access-key-secret"])
@pytest.mark.parametrize(
    ("value", "status"),
    [
        pytest.param(f"{CANARY}\x01{CANARY}", 400, id="control-character"),
        pytest.param(f"{CANARY}\x00", 400, id="nul"),
        pytest.param(CANARY + "a" * 40 * 1024, 431, id="40KB"),
        pytest.param(CANARY + "a" * MIB, 431, id="1MiB"),
    ],
)
async def test_a_refused_credential_is_not_quoted(
    echo: ServerProcess, header: str, value: str, status: int
) -> None:
    """F6: the answer and the log of a request that cannot be parsed have nothing of it."""
    answer = await echo.ask(with_field(header, value))
    assert is_refusal(answer, status)
    assert b"CANARY" not in answer.body
    await echo.ask(request(request_id="after-canary"))
    await asyncio.to_thread(echo.wait_for, "End RequestId: after-canary")
    assert "CANARY" not in echo.log()
    assert "Traceback" not in echo.log()


async def test_fields_are_refused_beyond_the_limits_and_served_within(echo: ServerProcess) -> None:
    """F9: a 30 KB field and a 2 MiB body are served; 140 fields are 431, a long target is 414."""
    assert (await echo.ask(request(x_fc_security_token="a" * 30_000))).status == 200
    body = bytes(2 * MIB)
    assert (await echo.ask(request(body))).body == body
    assert is_refusal(await echo.ask(with_field("a", "b\r\nc: d" * 140)), 431)
    assert is_refusal(await echo.ask(request(path="/invoke?" + "a" * 9000)), 414)


@pytest.mark.parametrize("debug", ["-X dev", "PYTHONASYNCIODEBUG"])
async def test_debug_modes_put_no_traceback_into_answers(serve: Serve, debug: str) -> None:
    """F7: under Python's debug modes an answer to a failure is the error JSON and nothing else."""
    source = """
        async def handler(event, context):
            raise ValueError("told")
    """
    by_flag = debug.startswith("-X")
    server = serve(
        source,
        options=debug.split() if by_flag else (),
        environ={} if by_flag else {debug: "1"},
    )
    answers = [
        await server.ask(request()),
        await server.ask(request(x_fc_security_token="a\x01b")),
        await server.ask(request(path="/nope")),
        await server.ask(chunked(b"a").replace(b"1\r\n", b"z\r\n")),
    ]
    assert [answer.status for answer in answers] == [404, 400, 404, 400]
    for answer in answers:
        assert answer.json()["stackTrace"] == []
        assert b"Traceback" not in answer.body
        assert b".py" not in answer.body


# --- faults of a handler


EXITS = {
    "plain": """
        import pathlib, sys, time

        def handler(event, context):
            if event == b"exit":
                sys.exit(7)
            print("running")
            while not pathlib.Path("go").exists():
                time.sleep(0.02)
            return event
    """,
    "async": """
        import asyncio, pathlib, sys

        async def leave():
            sys.exit(7)

        async def interrupt():
            raise KeyboardInterrupt

        async def handler(event, context):
            if event == b"exit":
                sys.exit(7)
            if event == b"exit in a task":
                await asyncio.create_task(leave())
            if event == b"interrupt in a task":
                await asyncio.create_task(interrupt())
            if event == b"exit in a callback":
                asyncio.get_running_loop().call_soon(sys.exit, 7)
                await asyncio.sleep(0.02)
                sys.exit(7)
            print("running")
            while not pathlib.Path("go").exists():
                await asyncio.sleep(0.02)
            return event
    """,
}
WAYS_OUT = {
    "plain": [b"exit"],
    "async": [b"exit", b"exit in a task", b"exit in a callback", b"interrupt in a task"],
}


@pytest.mark.parametrize("kind", EXITS)
async def test_sys_exit_in_one_of_eleven_calls_fails_that_one(
    serve: Serve, loop_kind: str, kind: str
) -> None:
    """F8, F-1: a handler that exits is a failed call; the ten beside it are served."""
    server = serve(EXITS[kind], "--loop", loop_kind)
    for number, way in enumerate(WAYS_OUT[kind], 1):
        others = [asyncio.create_task(server.ask(request(b"other"))) for _ in range(10)]
        await asyncio.to_thread(server.wait_for, "running", count=10 * number)
        failed = await server.ask(request(way))
        (server.folder / "go").touch()
        answers = await asyncio.gather(*others)
        (server.folder / "go").unlink()
        assert failed.status == 404, way
        assert failed.json()["errorType"] in ("SystemExit", "KeyboardInterrupt")
        assert [answer.body for answer in answers] == [b"other"] * 10
    assert await asyncio.to_thread(server.stop) == 0


# --- time limits


async def test_a_head_that_never_ends_is_answered_408(serve: Serve, loop_kind: str) -> None:
    """F10, E1: from a request's first byte its head has `header_timeout` seconds; 408, closed."""
    server = serve(ECHO, "--header-timeout", "0.3", "--loop", loop_kind)
    async with AsyncExitStack() as stack:
        silent, *clients = [await stack.enter_async_context(server.client()) for _ in range(7)]
        for client in clients[:3]:
            await client.ask(request())
        heads = (b"P", b"POST /invoke HTTP/1.1\r\nHost: a\r\n", b"GET /x\r\n")
        for client, sent in zip(clients, heads * 2, strict=True):
            await client.send(sent)
        for client in clients:
            assert is_refusal(await client.answer(), 408, "RequestTimeout")
            assert await client.ended()
        assert (await silent.ask(request(b"late"))).body == b"late"


async def test_a_head_that_begins_behind_a_request_has_its_time_too(
    serve: Serve, loop_kind: str
) -> None:
    """F10, E1: bytes of a head in the packet that ends the last request are waited for no longer,
    and a connection on which none have come stays open.
    """
    server = serve(ECHO, "--header-timeout", "1", "--loop", loop_kind)
    half, body = b"POST /invoke HTTP/1.1\r\nHo", b"x\r\n\r\nPOST /invoke"
    whole = request(body)

    async def ends_with_408(*pieces: bytes) -> None:
        async with server.client() as client, server.client() as beside:
            await in_pieces(client, beside, *pieces)
            assert (await client.answer()).status == 200
            answers = await answers_until_the_end(client)
            assert [each.status for each in answers] in ([408], [200, 200, 408], []), pieces

    await asyncio.gather(
        ends_with_408(whole + half),
        ends_with_408(request(b"") + half),
        ends_with_408(b"\r\n" + whole + request(b"") + whole + half),
        ends_with_408(whole[:-5], whole[-5:] + half),
        ends_with_408(whole[:30], whole[30:] + half),
        ends_with_408(chunked(body) + half),
    )
    async with server.client() as beside, AsyncExitStack() as stack:
        idle = [await stack.enter_async_context(server.client()) for _ in range(4)]
        sent = [[whole], [b"\r\n" + whole + b"\r\n"], [whole[:-5], whole[-5:]], [chunked(body)]]
        for client, pieces in zip(idle, sent, strict=True):
            await in_pieces(client, beside, *pieces)
            assert (await client.answer()).body == body
        await asyncio.sleep(1.5)  # longer than the time of a head
        for client in idle:
            assert (await client.ask(whole)).body == body


async def test_a_head_that_drips_has_no_more_time(serve: Serve, loop_kind: str) -> None:
    """F10, E2: a byte now and then does not prolong a head's time."""
    server = serve(ECHO, "--header-timeout", "0.3", "--loop", loop_kind)
    async with server.client() as client:
        answer = asyncio.create_task(client.answer())
        for byte in request()[:60]:
            if answer.done():
                break
            await client.send(bytes([byte]))
            await asyncio.sleep(0.05)
        assert is_refusal(await answer, 408, "RequestTimeout")


async def test_half_a_head_behind_a_running_call_is_answered_408(
    serve: Serve, loop_kind: str
) -> None:
    """F10, E2: a head that began while a call ran is timed from that call's answer on."""
    server = serve(GATED, "--header-timeout", "0.3", "--loop", loop_kind)
    async with server.client() as client, server.client() as beside:
        await in_pieces(client, beside, request(b"first"), b"POST /invoke HT")
        (server.folder / "go").touch()
        assert (await client.answer()).body == b"first"
        assert is_refusal(await client.answer(), 408, "RequestTimeout")
        assert await client.ended()


@pytest.mark.parametrize("source", [ECHO, STREAMED], ids=["read", "streamed"])
async def test_a_body_that_stands_still_is_answered_408(
    serve: Serve, loop_kind: str, source: str
) -> None:
    """F10, E2: a body without progress for `body_timeout` seconds is 408; a slow one is served."""
    server = serve(source, "--body-timeout", "2", "--loop", loop_kind)
    async with server.client() as still, server.client() as slow, server.client() as parts:
        await still.send(request(b"0123456789")[:-5])
        await parts.send(chunked(b"01234")[:-8])
        head, tail = request(b"0123456789")[:-5], b"56789"
        await slow.send(head)
        for byte in tail:  # all of them together take longer than the limit
            await asyncio.sleep(0.5)
            await slow.send(bytes([byte]))
        assert (await slow.answer()).status == 200
        for client in (still, parts):
            assert is_refusal(await client.answer(), 408, "RequestTimeout")
            assert await client.ended()
    await at_rest(server)


# --- size limits


@pytest.mark.parametrize("size", [33 * MIB, 2**63 - 1, 2**63, 2**64 - 1])
async def test_a_body_over_the_limit_is_refused_by_its_announcement(
    echo: ServerProcess, size: int
) -> None:
    """F11, D2: 413 for a Content-Length over the limit, though no more than two bytes are ever
    sent.
    """
    head = f"POST /invoke HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n{{}}"
    assert is_refusal(await echo.ask(head.encode()), 413, "PayloadTooLarge")


async def test_a_length_that_no_number_holds_is_400(echo: ServerProcess) -> None:
    """F11: a Content-Length of 2^64 or more is not a length."""
    head = f"POST /invoke HTTP/1.1\r\nHost: a\r\nContent-Length: {2**64}\r\n\r\n{{}}"
    assert is_refusal(await echo.ask(head.encode()))


@pytest.mark.parametrize("source", [ECHO, STREAMED], ids=["read", "streamed"])
async def test_the_body_limit_is_exact(serve: Serve, source: str) -> None:
    """F11, D1: a body of the limit is served and one byte more is 413, announced or in chunks."""
    server = serve(source, "--max-body", "1000")
    assert (await server.ask(request(b"a" * 1000))).status == 200
    assert (await server.ask(chunked(*[b"a" * 10] * 100))).status == 200
    assert is_refusal(await server.ask(request(b"a" * 1001)), 413, "PayloadTooLarge")
    assert is_refusal(await server.ask(chunked(*[b"a" * 7] * 143)), 413, "PayloadTooLarge")
    async with server.client() as client:  # the last chunk never comes
        await client.send(chunked(b"a" * 1001)[:-5])
        assert is_refusal(await client.answer(), 413, "PayloadTooLarge")


async def test_a_sender_that_writes_all_before_it_reads_gets_its_413(
    echo: ServerProcess,
) -> None:
    """F11, D3, E6: a refused body is read to its end, so that its sender can read the refusal."""
    for data in (request(bytes(40 * MIB)), chunked(*[bytes(MIB)] * 40)):
        async with echo.client() as client:
            await client.send(data)
            assert is_refusal(await client.answer(), 413, "PayloadTooLarge")


async def test_100_continue_is_sent_where_the_body_will_be_read(echo: ServerProcess) -> None:
    """F11: a body that is fine is asked for; one that is too large is refused unasked."""
    async with echo.client() as client:
        head, body = request(b"event", Expect="100-continue").split(b"\r\n\r\n")
        assert (await client.ask(head + b"\r\n\r\n")).status == 100
        assert (await client.ask(body)).body == b"event"
        large = head.replace(b"Content-Length: 5", b"Content-Length: 40000000")
        assert is_refusal(await client.ask(large + b"\r\n\r\n"), 413, "PayloadTooLarge")


@pytest.mark.parametrize("path", ["/initialize", "/pre-stop", "/pre-freeze"])
@pytest.mark.parametrize("data", [b"", b"{}"], ids=["no-body", "body"])
async def test_100_continue_is_understood_on_every_path(
    serve: Serve, path: str, data: bytes
) -> None:
    """F11: a client that waits to be asked for a body that no path but /invoke reads gets its
    answer, and the hooks run.
    """
    source = """
        def initialize(context):
            print("initialized")

        def pre_stop(context):
            print("pre_stop ran")

        def pre_freeze(context):
            print("pre_freeze ran")

        def handler(event, context):
            return event
    """
    server = serve(source)
    sent = request(data, path=path, Expect="100-continue")
    assert (await server.ask(sent.removesuffix(data))).status == 200
    ran = {"/pre-stop": "pre_stop ran", "/pre-freeze": "pre_freeze ran"}
    if path in ran:
        await asyncio.to_thread(server.wait_for, ran[path])


async def test_an_unknown_expectation_is_417(echo: ServerProcess) -> None:
    """F11: what is expected beyond 100-continue is refused with the error JSON."""
    answer = await echo.ask(request(Expect="a-miracle"))
    assert (answer.status, answer.headers["x-fc-status"]) == (417, "404")
    assert answer.json()["errorType"] == "BadRequest"
    assert answer.headers["x-fc-request-id"] == answer.json()["requestId"]


@pytest.mark.parametrize(("method", "path"), [("TRACE", "/invoke"), ("GET", "/nowhere")])
async def test_an_unknown_expectation_is_told_to_nobody(
    echo: ServerProcess, method: str, path: str
) -> None:
    """F11: on any path and for any method: aiohttp's own answer would quote it."""
    answer = await echo.ask(request(path=path, method=method, Expect="secret"))
    assert (answer.status, answer.headers["x-fc-status"]) == (417, "404")
    assert b"secret" not in answer.body


# --- the process


async def test_250_connects_at_once_need_no_second_try(serve: Serve, loop_kind: str) -> None:
    """F13, G3: the kernel takes 250 connections while the loop stands still: all of them before it
    goes on, so that no retry finds more room than the first try did.
    """
    server = serve(ECHO, "--concurrency", "200", "--queue", "50", "--loop", loop_kind)
    port = await asyncio.to_thread(lambda: server.port)
    server.signal(signal.SIGSTOP)
    async with asyncio.timeout(ANSWERS_WITHIN):
        pairs = await asyncio.gather(
            *(asyncio.open_connection("127.0.0.1", port) for _ in range(250))
        )
    server.signal(signal.SIGCONT)
    clients = [Client(*pair) for pair in pairs]
    answers = await asyncio.gather(*(client.ask(request(b"burst")) for client in clients))
    for client in clients:
        client.writer.close()
    assert [answer.body for answer in answers] == [b"burst"] * 250


async def test_the_python_parser_is_refused_unless_allowed(serve: Serve) -> None:
    """F15: without aiohttp's C parser the service exits 3 and names the flag that allows it."""
    without = {"AIOHTTP_NO_EXTENSIONS": "1"}
    refused = serve(ECHO, environ=without)
    assert await refused.ends() == 3
    assert len(refused.errors) == 1
    assert "--python-parser" in refused.errors[0]
    allowed = serve(ECHO, "--python-parser", environ=without)
    assert (await allowed.ask(request(b"event"))).body == b"event"


@pytest.mark.parametrize("source", [ECHO, STREAMED], ids=["read", "streamed"])
async def test_the_python_parser_gets_no_trailers_and_no_bad_chunks_either(
    serve: Serve, source: str
) -> None:
    """F18, F19: where the Python parser is allowed, it is held to the same rules."""
    server = serve(source, "--python-parser", environ={"AIOHTTP_NO_EXTENSIONS": "1"})
    async with server.client() as beside, server.client() as first, server.client() as second:
        data = chunked(b"hello", trailer=b"x-fc-request-id: evil\r\n")
        await in_pieces(first, beside, data[:-20], data[-20:])
        answer = await first.answer()
        assert (answer.status, answer.closes) == (200, False)
        data = chunked(b"hello").replace(b"5\r\n", b"zz\r\n")
        at = data.index(b"zz")
        await in_pieces(second, beside, data[:at], data[at:])
        assert is_refusal(await second.answer())


async def test_calls_go_on_when_nobody_reads_the_log(serve: Serve) -> None:
    """F16, I: handlers that print are served though the reader of stdout has closed it."""
    source = """
        async def handler(event, context):
            print("written")
            return event
    """
    server = serve(source)
    await server.ask(HEALTH)
    server.stop_reading()
    answers = [await server.ask(request(b"event")) for _ in range(20)]
    assert [answer.body for answer in answers] == [b"event"] * 20
    async with asyncio.timeout(ANSWERS_WITHIN):  # until our thread has seen a line of them
        while not (await server.ask(HEALTH)).json()["logLinesLost"]:
            assert (await server.ask(request(b"event"))).body == b"event"
    assert await asyncio.to_thread(server.stop) == 0


async def test_more_connects_than_descriptors_are_survived(serve: Serve, loop_kind: str) -> None:
    """F17, I: beyond the descriptors there are, connections are refused, in few words, for a
    while.
    """
    server = serve(ECHO, "--loop", loop_kind, open_files=80)
    port = await asyncio.to_thread(lambda: server.port)
    began = time.monotonic()
    pairs = [await asyncio.open_connection("127.0.0.1", port) for _ in range(200)]
    clients = [Client(*pair) for pair in pairs]
    assert (await clients[0].ask(request(b"early"))).body == b"early"
    assert await clients[-1].ended()
    for client in clients:
        client.writer.close()
    async with asyncio.timeout(ANSWERS_WITHIN):
        served = False
        while not served:
            served = await is_served(server)
    seconds = time.monotonic() - began
    assert len(server.lines) + len(server.errors) < 30 + 2 * seconds


async def is_served(server: ServerProcess) -> bool:
    """True when a new connection is served."""
    try:
        return (await server.ask(request(b"again"))).body == b"again"
    except (ConnectionError, asyncio.IncompleteReadError):
        return False


async def test_a_handler_that_eats_all_descriptors_stops_no_service(
    serve: Serve, loop_kind: str
) -> None:
    """F17, I: with no descriptor left, warm connections are served; with some again, new ones
    too.
    """
    source = """
        import asyncio, os, pathlib

        async def handler(event, context):
            if event != b"eat":
                return event
            eaten = []
            try:
                while True:
                    eaten.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                print("eaten")
            while not await asyncio.sleep(0.02):
                try:
                    os.stat("go")
                except FileNotFoundError:
                    continue
                for descriptor in eaten:
                    os.close(descriptor)
                return b"full"
    """
    server = serve(source, "--loop", loop_kind, open_files=80)
    async with server.client() as eater, server.client() as warm:
        await warm.ask(request())
        began = time.monotonic()
        await eater.send(request(b"eat"))
        await asyncio.to_thread(server.wait_for, "eaten")
        waiting = [asyncio.create_task(is_served(server)) for _ in range(20)]
        for _ in range(20):
            assert (await warm.ask(request(b"warm"))).body == b"warm"
        (server.folder / "go").touch()
        assert (await eater.answer()).body == b"full"
        answers = await asyncio.gather(*waiting)
    if loop_kind == "asyncio":  # uvloop's own way is to close what it has no descriptor for
        assert all(answers)
    assert await is_served(server)
    said = [line for line in server.lines if "[WARNING]" in line or "[ERROR]" in line]
    assert len(said) < 5 + 2 * (time.monotonic() - began)
    assert server.errors == []


# --- framing


TRAILED = chunked(b"hello", trailer=b"x-fc-request-id: evil\r\n")


async def test_a_trailer_is_dropped_wherever_the_packets_end(echo: ServerProcess) -> None:
    """F18: a trailer field is no part of its call, nor of the next one on the connection."""
    async with echo.client() as beside:
        for cut in range(1, len(TRAILED)):
            async with echo.client() as client:
                await in_pieces(client, beside, TRAILED[:cut], TRAILED[cut:])
                answer = await client.answer()
                assert (answer.status, answer.body, answer.closes) == (200, b"hello", False), cut
                assert answer.headers["x-fc-request-id"] == "own"
                answer = await client.ask(request(b"second"))
                assert (answer.status, answer.body) == (200, b"second")
                assert answer.headers["x-fc-request-id"] not in ("own", "evil")


async def test_a_trailer_in_one_packet_is_one_byte_by_byte(echo: ServerProcess) -> None:
    """F18: the cut of a body into packets does not decide about its trailer."""
    async with echo.client() as beside, echo.client() as whole, echo.client() as bytewise:
        await whole.send(TRAILED)
        await in_pieces(bytewise, beside, *(bytes([byte]) for byte in TRAILED))
        for client in (whole, bytewise):
            answer = await client.answer()
            assert (answer.status, answer.body, answer.closes) == (200, b"hello", False)
            assert (await client.ask(request(b"second"))).body == b"second"


@pytest.mark.parametrize("path", ["/invoke", "/health", "/initialize", "/pre-freeze", "/nope"])
@pytest.mark.parametrize("trailer", ["x-fc-request-id: evil", "Host: evil", "Expect: 100-continue"])
async def test_no_second_request_sees_a_trailer(
    echo: ServerProcess, path: str, trailer: str
) -> None:
    """F18: nothing of a trailer is in the connection's next call, wherever the first one went."""
    first = chunked(b"hello", trailer=trailer.encode() + b"\r\n", path=path)
    second = request(b"second", Connection="close")
    async with echo.client() as beside:
        for cut in (first.index(b"5\r\n"), first.index(b"0\r\n") + 3, len(first) - 2, len(first)):
            async with echo.client() as client:
                await in_pieces(client, beside, first[:cut], first[cut:] + second)
                answers = await answers_until_the_end(client)
                assert {answer.headers["x-fc-request-id"] for answer in answers} & {"own"}
                assert not [a for a in answers if a.headers["x-fc-request-id"] == "evil"]
                assert (answers[-1].status, answers[-1].body) == (200, b"second"), cut
    assert "evil" not in echo.log()


async def answers_until_the_end(client: Client) -> list[Answer]:
    """All answers of a connection that the service ends."""
    answers = []
    try:
        while True:
            answers.append(await client.answer())
    except (ConnectionError, asyncio.IncompleteReadError):
        return answers


async def test_a_trailer_behind_an_early_answer_reaches_no_call(serve: Serve) -> None:
    """F18: a trailer that arrives after its request's answer is not in the next call either."""
    server = serve(GATED, "--concurrency", "1", "--queue", "0")
    async with server.client() as first, server.client() as beside, server.client() as client:
        await first.send(request())
        await asyncio.to_thread(server.wait_for, "running")
        cut = TRAILED.index(b"0\r\n")
        await client.send(TRAILED[:cut])
        assert (await client.answer()).status == 429
        await in_pieces(client, beside, TRAILED[cut:])
        (server.folder / "go").touch()
        assert (await first.answer()).status == 200
        answer = await client.ask(request(b"second"))
        assert (answer.status, answer.body) == (200, b"second")
        assert answer.headers["x-fc-request-id"] != "evil"
    assert "evil" not in server.log()


async def test_chunked_calls_share_a_connection(echo: ServerProcess) -> None:
    """F18: sound chunked bodies, in any cut of the request, leave their connection open."""
    data = chunked(b"hello", b" world")
    async with echo.client() as beside, echo.client() as client:
        for cut in range(1, len(data)):
            await in_pieces(client, beside, data[:cut], data[cut:])
            answer = await client.answer()
            assert answer.body == b"hello world"
            assert not answer.closes, cut
        await in_pieces(client, beside, *(bytes([byte]) for byte in data))
        assert (await client.answer()).body == b"hello world"


CHUNK_ERRORS = {
    "size": b"zz\r\nhello\r\n0\r\n\r\n",
    "negative": b"-5\r\nhello\r\n0\r\n\r\n",
    "backwards": b"-10\r\nxx",
    "hexadecimal": b"0x5\r\nhello\r\n0\r\n\r\n",
    "underscore": b"0_5\r\nhello\r\n0\r\n\r\n",
    "overflow": b"f" * 17 + b"\r\nhello\r\n0\r\n\r\n",
    "mismatch": b"3\r\nhello\r\n0\r\n\r\n",
    "bare-line-feed": b"5\nhello\r\n0\r\n\r\n",
    "empty-size": b"\r\nhello\r\n0\r\n\r\n",
    "return": b"5\r\nhello\r\n0\r\n\rX",
}


@pytest.mark.parametrize("packets", [1, 2, 3])
@pytest.mark.parametrize("body", CHUNK_ERRORS.values(), ids=CHUNK_ERRORS)
async def test_a_bad_chunk_is_400_in_any_packet(
    echo: ServerProcess, body: bytes, packets: int
) -> None:
    """F19: a chunk error is answered and closes, in the head's packet as in a later one."""
    head = chunked().removesuffix(b"0\r\n\r\n")
    pieces = {1: [head + body], 2: [head, body], 3: [head, b"1\r\na\r\n", body]}
    async with echo.client() as beside, echo.client() as client:
        await in_pieces(client, beside, *pieces[packets])
        assert is_refusal(await client.answer())
        assert await client.ended()
        assert (await beside.ask(request(b"alive"))).body == b"alive"


def unsound(name: str) -> bytes:
    """The bytes of a case of the conformance table."""
    return next(b"".join(case.packets) for case in CASES if case.name == name)


async def test_a_refused_sender_that_goes_on_can_read_why(serve: Serve, loop_kind: str) -> None:
    """F19: what a refused sender still sends is thrown away, so that no reset hides the 400."""
    server = serve(ECHO, "--loop", loop_kind)
    head = chunked().removesuffix(b"0\r\n\r\n")
    starts = (head + b"zz\r\n", with_field("a", "b" * 40_000), unsound("length-plus"))
    for start in starts:
        async with server.client() as client, server.client() as beside:
            await in_pieces(client, beside, start)
            await client.send(bytes(4 * MIB))
            answer = await client.answer()
            assert is_refusal(answer, 431 if b"bbb" in start else 400)


async def test_a_bad_chunk_ends_a_handler_that_streams(serve: Serve, loop_kind: str) -> None:
    """F19: the read of a handler that streams fails at once when a later chunk is bad."""
    server = serve(STREAMED, "--loop", loop_kind)
    async with server.client() as client:
        await client.send(chunked(b"hello").removesuffix(b"0\r\n\r\n"))
        await asyncio.to_thread(server.wait_for, "running")
        assert is_refusal(await client.ask(b"zz\r\n"))
        assert await client.ended()
    await at_rest(server)


def head_of(*lines: str, first: str = "POST /invoke HTTP/1.1", body: str = "{}") -> bytes:
    """A request of raw header lines."""
    return "\r\n".join([first, *lines, "", body]).encode("latin-1")


async def test_a_bad_request_behind_a_running_call_does_not_answer_for_it(
    serve: Serve, loop_kind: str
) -> None:
    """F20: the refusal of a pipelined request comes after the answer of the call before it."""
    server = serve(GATED, "--loop", loop_kind)
    for bad in map(unsound, ("target-bad-address", "line-tls", "length-plus")):
        (server.folder / "go").unlink(missing_ok=True)
        async with server.client() as client, server.client() as beside:
            await in_pieces(client, beside, request(b"first"), bad)
            (server.folder / "go").touch()
            assert (await client.answer()).body == b"first"
            assert all(map(is_refusal, await answers_until_the_end(client)))


async def test_sound_hosts_are_served(echo: ServerProcess) -> None:
    """F20: names, addresses, ports and an empty host are hosts."""
    for host in ("a", "a.b-c_d:80", "127.0.0.1:9000", "[::1]", "[::1]:9000", ""):
        data = head_of(f"Host: {host}", "Content-Length: 2")
        assert (await echo.ask(data)).status == 200, host


async def test_a_compressed_body_is_passed_as_it_is(echo: ServerProcess) -> None:
    """F20, D7: Content-Encoding says what the event is; the event is the bytes that were sent."""
    for body in (gzip.compress(b"event"), b"not gzip at all"):
        answer = await echo.ask(request(body, Content_Encoding="gzip"))
        assert (answer.status, answer.body) == (200, body)


async def test_an_upgrade_is_declined_and_its_body_is_the_event(echo: ServerProcess) -> None:
    """F20: a request that asks for a WebSocket is a call, and nothing behind it is read."""
    data = request(b"event", Connection="Upgrade", Upgrade="websocket")
    for behind in (b"", request(b"smuggled"), TRAILED + request(b"smuggled")):
        for cut in (len(data), data.index(b"event"), data.index(b"event") + 2):
            async with echo.client() as beside, echo.client() as client:
                await in_pieces(client, beside, data[:cut], data[cut:] + behind)
                answer = await client.answer()
                assert answer.body == b"event"
                if behind:
                    assert answer.closes
                    assert await client.ended()
    await at_rest(echo)


async def test_http_2_over_an_upgrade_is_not_spoken(echo: ServerProcess) -> None:
    """F20: a request that offers HTTP/2 is a call like any other on its connection."""
    async with echo.client() as client:
        await client.send(request(b"event", Connection="Upgrade, HTTP2-Settings", Upgrade="h2c"))
        assert (await client.answer()).body == b"event"
        assert (await client.ask(request(b"next"))).body == b"next"


async def test_pipelined_calls_are_answered_in_order(echo: ServerProcess) -> None:
    """F20: many requests in one packet are many calls, answered in the order they came."""
    async with echo.client() as client:
        await client.send(b"".join(request(b"%d" % number) for number in range(300)))
        for number in range(300):
            assert (await client.answer()).body == b"%d" % number
    await at_rest(echo)


async def test_calls_behind_one_in_two_packets_are_all_answered(
    serve: Serve, loop_kind: str
) -> None:
    """F20: one call in two packets, then forty in one, and half a head: forty-one answers, then 408
    for what does not come.
    """
    server = serve(ECHO, "--header-timeout", "0.3", "--loop", loop_kind)
    async with server.client() as client, server.client() as beside:
        whole = request(b"first")
        await in_pieces(client, beside, whole[:-2], whole[-2:])
        await client.send(b"".join(request(b"%d" % number) for number in range(40)) + whole[:20])
        bodies = [(await client.answer()).body for _ in range(41)]
        assert bodies == [b"first", *(b"%d" % number for number in range(40))]
        assert is_refusal(await client.answer(), 408, "RequestTimeout")
        assert await client.ended()


async def test_http_1_0_is_served(echo: ServerProcess) -> None:
    """F20: an HTTP/1.0 request gets its answer, and the connection ends."""
    async with echo.client() as client:
        data = head_of("Content-Length: 2", first="POST /invoke HTTP/1.0")
        assert (await client.ask(data)).body == b"{}"
        assert await client.ended()


# --- memory


async def test_idle_connections_keep_no_body(serve: Serve) -> None:
    """F21, D4: 6 connections that each sent and got 32 MiB, four at a time, keep none of it."""
    source = """
        async def handler(event, context):
            return event[:1] if len(event) % 2 else event
    """
    server = serve(source)
    await server.ask(request())
    base = server.memory()
    body = bytes(32 * MIB)
    turn = asyncio.Semaphore(4)

    async def one(client: Client) -> int:
        async with turn:
            await client.send(request(body))
            return len((await client.answer()).body)

    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(server.client()) for _ in range(6)]
        sizes = await asyncio.gather(*map(one, clients))
        left, peak = server.memory() - base, server.peak_memory() - base
    assert sizes == [len(body)] * 6
    assert left < 80 * MIB
    assert peak < 300 * MIB


async def test_four_streamed_bodies_take_less_than_8_mb(serve: Serve, loop_kind: str) -> None:
    """F21, D4: a handler that hashes four 32 MB bodies at once while they arrive keeps none of
    them.
    """
    source = """
        import hashlib
        from service import EventStream

        async def handler(event: EventStream, context):
            digest = hashlib.sha256()
            async for chunk in event:
                digest.update(chunk)
            return digest.hexdigest()
    """
    server = serve(source, "--loop", loop_kind)
    await server.ask(request(bytes(MIB)))
    base = server.memory()
    server.reset_peak()
    body = bytes(32_000_000)
    answers = await asyncio.gather(*(server.ask(request(body)) for _ in range(4)))
    assert {answer.body.decode() for answer in answers} == {hashlib.sha256(body).hexdigest()}
    assert server.peak_memory() - base < 8_000_000


async def test_an_endless_chunk_extension_takes_no_memory(serve: Serve) -> None:
    """F21, D5: what stands beside a chunk's size is neither kept nor endless work."""
    server = serve(STREAMED)
    await server.ask(request())
    base = server.memory()
    async with server.client() as client:
        await client.send(chunked().removesuffix(b"0\r\n\r\n") + b"5;a=")
        for _ in range(64):
            await client.send(b"a" * MIB)
        await client.send(b"\r\nhello\r\n0\r\n\r\n")
        assert is_refusal(await client.answer(), 431)
        assert server.peak_memory() - base < 16 * MIB


async def test_an_answer_that_is_read_slowly_keeps_others_going(serve: Serve) -> None:
    """D6, G4: a client that does not read its answer costs no other call anything."""
    source = """
        async def handler(event, context):
            return bytes(int(event))
    """
    server = serve(source)
    async with server.client() as slow:
        await slow.send(request(b"%d" % (32 * MIB)))
        for _ in range(10):
            assert len((await server.ask(request(b"1000"))).body) == 1000
        assert len((await slow.answer()).body) == 32 * MIB
