"""Function Compute's contract (docs/platform.md) and every error code, on sockets."""

from __future__ import annotations

import asyncio
import re
import signal
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.conftest import Serve
from tests.harness import ANSWERS_WITHIN, Answer, Client, ServerProcess, least, request

MIB = 1024 * 1024
GENERATED = re.compile(r"1-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{12}")
HEALTH = request(b"", path="/health", method="GET")
FUNCTION = """
    import logging

    async def handler(event, context):
        print("printed", event[:20].decode("latin-1"))
        logging.getLogger("mine").info("logged")
        return event

    async def pre_freeze(context):
        print("freezing")
"""


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One service for the tests that leave it as it was."""
    server = ServerProcess(tmp_path_factory.mktemp("plain"), FUNCTION)
    yield server
    server.kill()


def error(answer: Answer, code: str, status: int = 404) -> dict[str, Any]:
    """The error JSON of an answer, after a look at its form."""
    assert (answer.status, answer.headers["x-fc-status"]) == (status, "404")
    body: dict[str, Any] = answer.json()
    assert list(body) == ["errorMessage", "errorType", "requestId", "stackTrace"]
    assert body["errorType"] == code, body
    assert body["requestId"] == answer.headers["x-fc-request-id"]
    assert body["stackTrace"] == []
    assert answer.headers["content-type"] == "application/json"
    return body


def lines_of(server: ServerProcess, request_id: str) -> list[str]:
    """What a call left on stdout, without the times."""
    mine = [line for line in server.lines if request_id in line]
    return [re.sub(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ", "", line) for line in mine]


# --- the paths


async def test_an_event_is_answered_with_the_result(plain: ServerProcess) -> None:
    """POST /invoke passes the body verbatim; 200, `x-fc-status: 200` and the result's bytes."""
    body = bytes(range(256)) * 10
    answer = await plain.ask(request(body, request_id="verbatim"))
    assert (answer.status, answer.headers["x-fc-status"]) == (200, "200")
    assert answer.body == body
    assert answer.headers["x-fc-request-id"] == "verbatim"
    assert not answer.closes


async def test_an_event_of_32_mib_is_served(plain: ServerProcess) -> None:
    """The platform's largest event passes."""
    assert len((await plain.ask(request(bytes(32 * MIB)))).body) == 32 * MIB


async def test_the_lines_of_a_call_are_the_platforms(plain: ServerProcess) -> None:
    """Start and End lines are exact, on stdout, around what the call wrote, each with its id."""
    await plain.ask(request(b"event", request_id="lines-1"))
    await asyncio.to_thread(plain.wait_for, "End RequestId: lines-1")
    assert lines_of(plain, "lines-1") == [
        "FC Invoke Start RequestId: lines-1",
        "lines-1 [STDOUT] printed event",
        "lines-1 [INFO] logged",
        "FC Invoke End RequestId: lines-1",
    ]


async def test_all_lines_are_out_before_the_last_byte(serve: Serve, loop_kind: str) -> None:
    """The End line is on stdout while the answer's last bytes are still to be read."""
    source = """
        async def handler(event, context):
            for number in range(1000):
                print("line", number)
            return bytes(32 * 1024 * 1024)
    """
    server = serve(source, "--loop", loop_kind)
    async with server.client() as client:
        await client.send(request(request_id="first-the-log"))
        await asyncio.to_thread(server.wait_for, "End RequestId: first-the-log")
        assert len([line for line in server.lines if "[STDOUT] line" in line]) == 1000
        assert len((await client.answer()).body) == 32 * MIB


async def test_a_freeze_right_at_the_answer_loses_no_line(plain: ServerProcess) -> None:
    """A process that stops when its answer is read has written the End line before."""
    async with plain.client() as client:
        for number in range(20):
            await client.send(request(b"event", request_id=f"stopped-{number}"))
            await client.answer()
            plain.signal(signal.SIGSTOP)
            try:
                await asyncio.to_thread(plain.wait_for, f"End RequestId: stopped-{number}$")
            finally:
                plain.signal(signal.SIGCONT)


@pytest.mark.parametrize(
    ("operation", "path", "method"),
    [
        ("PreFreeze", "/pre-freeze", "GET"),
        ("PreFreeze", "/pre-freeze", "POST"),
        ("Initialize", "/initialize", "POST"),
        ("Invoke", "/invoke", "POST"),
    ],
)
async def test_each_operation_has_its_lines(
    plain: ServerProcess, operation: str, path: str, method: str
) -> None:
    """Initialize, Invoke and PreFreeze answer 200 between the lines of their own name."""
    body = b"" if method == "GET" else b"{}"
    request_id = f"{operation}-{method}"
    answer = await plain.ask(request(body, path=path, method=method, request_id=request_id))
    assert (answer.status, answer.headers["x-fc-status"]) == (200, "200")
    assert answer.headers["x-fc-request-id"] == request_id
    await asyncio.to_thread(plain.wait_for, f"^FC {operation} End RequestId: {request_id}$")
    lines = lines_of(plain, request_id)
    assert lines[0] == f"FC {operation} Start RequestId: {request_id}"
    assert lines[-1] == f"FC {operation} End RequestId: {request_id}"
    assert (f"{request_id} [STDOUT] freezing" in lines) == (operation == "PreFreeze")


async def test_a_failed_call_says_so_in_its_end_line(plain: ServerProcess) -> None:
    """The End line of a failure has the platform's suffix."""
    data = request(path="/invoke", Host="a b", request_id="failed-1")
    error(await plain.ask(data), "BadRequest", 400)
    end = await asyncio.to_thread(plain.wait_for, "End RequestId: failed-1")
    assert end == "FC Invoke End RequestId: failed-1, Error: Unhandled function error"


@pytest.mark.parametrize("path", ["/", "/nope", "/pre-freeze", "/http-invoke"])
async def test_the_control_path_wins(plain: ServerProcess, path: str) -> None:
    """`x-fc-control-path` decides what is done, whatever the URL says; an empty one decides not."""
    answer = await plain.ask(request(b"event", path=path, x_fc_control_path="/invoke"))
    assert answer.body == b"event"
    error(await plain.ask(request(path="/invoke", X_FC_Control_Path="/nope")), "NotFound")
    data = request(b"event").replace(b"\r\n\r\n", b"\r\nx-fc-control-path:\r\n\r\n")
    assert (await plain.ask(data)).body == b"event"


async def test_http_invoke_explains_itself(plain: ServerProcess) -> None:
    """An HTTP trigger's request is told that this is an event function."""
    for data in (
        request(path="/http-invoke"),
        request(b"", path="/http-invoke", method="GET"),
        request(path="/", x_fc_control_path="/http-invoke"),
    ):
        body = error(await plain.ask(data), "NotAnEventFunction", 400)
        assert "event function" in body["errorMessage"]


@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [
        ("/invoke", "GET", "POST"),
        ("/invoke", "PUT", "POST"),
        ("/initialize", "GET", "POST"),
        ("/pre-stop", "DELETE", "GET, POST"),
        ("/pre-freeze", "PUT", "GET, POST"),
        ("/health", "POST", "GET, HEAD"),
        ("/invoke", "TRACE", "POST"),
        ("/invoke", "PROPFIND", "POST"),
    ],
)
async def test_a_wrong_method_is_405_with_those_allowed(
    plain: ServerProcess, path: str, method: str, allowed: str
) -> None:
    """MethodNotAllowed names the methods that the path takes, in `Allow` too."""
    answer = await plain.ask(request(b"", path=path, method=method))
    error(answer, "MethodNotAllowed", 405)
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize(
    "path", ["/nope", "/", "//invoke", "/invoke/", "/INVOKE", "/%2e/invoke", "*"]
)
async def test_an_unknown_path_is_404(plain: ServerProcess, path: str) -> None:
    """NotFound lists the paths that there are."""
    method = "OPTIONS" if path == "*" else "POST"
    body = error(await plain.ask(request(path=path, method=method)), "NotFound")
    assert "/invoke" in body["errorMessage"]


async def test_a_head_request_is_answered_without_a_body(plain: ServerProcess) -> None:
    """HEAD /health has the head of GET's answer, and the connection goes on."""
    async with plain.client() as client:
        await client.send(request(b"", path="/health", method="HEAD"))
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert (await client.ask(request(b"event"))).body == b"event"


async def test_health_tells_how_the_instance_is(plain: ServerProcess) -> None:
    """GET /health is 200 and JSON: ready, in flight, queued, loop lag, uptime."""
    async with asyncio.timeout(ANSWERS_WITHIN):
        while (await plain.ask(HEALTH)).json()["inFlight"]:  # what an earlier test began
            pass
    answer = await plain.ask(HEALTH)
    state = answer.json()
    assert answer.status == 200
    assert state["ready"] is True
    assert (state["inFlight"], state["queued"]) == (0, 0)
    assert 0 <= state["loopLagSeconds"] < state["uptimeSeconds"]
    assert answer.headers["x-fc-request-id"]


@pytest.mark.alone
async def test_a_huge_line_stops_no_other_call(serve: Serve) -> None:
    """A line of 4 MiB that must be escaped costs the loop no time to speak of."""
    source = """
        async def handler(event, context):
            if event == b"huge":
                print(chr(0) * 4 * 1024 * 1024)
            return event
    """
    server = serve(source)
    async with server.client() as client:
        await client.ask(request())

        async def huge() -> float:
            began = time.monotonic()
            await client.ask(request(b"huge"))
            return time.monotonic() - began

        assert await least(huge, below=0.5) < 0.5


# --- the request id


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param("", id="missing"),
        pytest.param("x-fc-request-id:\r\n", id="empty"),
        pytest.param(f"x-fc-request-id: {'a' * 129}\r\n", id="over-long"),
        pytest.param("x-fc-request-id: a\tb\r\n", id="tab"),
        pytest.param("x-fc-request-id: a b\r\n", id="blank"),
        pytest.param("x-fc-request-id: a\x9bb\r\n", id="control"),
        pytest.param("x-fc-request-id: a\xa0\xc2\x85b\r\n", id="next-line"),
    ],
)
async def test_an_unusable_request_id_is_replaced(plain: ServerProcess, sent: str) -> None:
    """Without a sound request id one is generated, answered, and the log says so."""
    head = f"POST /invoke HTTP/1.1\r\nHost: a\r\n{sent}Content-Length: 2\r\n\r\n{{}}"
    answer = await plain.ask(head.encode("latin-1"))
    new = answer.headers["x-fc-request-id"]
    assert answer.status == 200
    assert GENERATED.fullmatch(new)
    await asyncio.to_thread(plain.wait_for, f"End RequestId: {new}")
    assert any("was generated" in line for line in lines_of(plain, new))


@pytest.mark.parametrize(
    "name",
    ["x-fc-request-id", "x-fc-access-key-id", "x-fc-access-key-secret", "x-fc-security-token"],
)
async def test_two_different_identities_are_400(plain: ServerProcess, name: str) -> None:
    """Two values of a header that says whose call this is are ambiguous; the same twice is one."""
    value = f"value-of-{name[5:]}"
    for second, status in ((f"{value}-2", 400), (value, 200)):
        fields = f"{name}: {value}\r\n{name.upper()}: {second}\r\n"
        head = f"POST /invoke HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: 2\r\n\r\n{{}}"
        answer = await plain.ask(head.encode())
        assert answer.status == status
        if status == 400:
            assert name in error(answer, "BadRequest", 400)["errorMessage"]
    if name != "x-fc-request-id":
        assert value not in plain.log()


async def test_every_answer_has_a_request_id(plain: ServerProcess) -> None:
    """Whatever the answer, it names the request that it answers."""
    for data in (
        request(),
        HEALTH,
        request(path="/nope"),
        request(method="PUT"),
        request(path="/http-invoke"),
        request(Host="a b"),
        request(Content_Length="99999999999"),
        request(x_fc_security_token="a\x01b"),
        request(x_fc_security_token="a" * 40_000),
        b"POST http://[::1/ HTTP/1.1\r\nHost: a\r\n\r\n",
    ):
        assert (await plain.ask(data)).headers["x-fc-request-id"]


# --- hooks


async def test_the_initializer_runs_once_for_many_callers(serve: Serve) -> None:
    """A8: the port opens at once; events and /initialize wait for the one run of the
    initializer.
    """
    source = """
        import asyncio, pathlib

        async def initialize(context):
            print("initializing")
            while not pathlib.Path("go").exists():
                await asyncio.sleep(0.02)

        async def handler(event, context):
            return event
    """
    server = serve(source)
    data = [request(path="/initialize")] * 20 + [request(b"event")] * 20
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(server.client()) for _ in data]
        for client, sent in zip(clients, data, strict=True):
            await client.send(sent)
        await asyncio.to_thread(server.wait_for, "Start RequestId", count=40)
        early = await server.ask(HEALTH)
        (server.folder / "go").touch()
        answers = [await client.answer() for client in clients]
    assert (early.status, early.json()["ready"]) == (503, False)
    assert {answer.status for answer in answers} == {200}
    assert [answer.body for answer in answers[20:]] == [b"event"] * 20
    assert (await server.ask(HEALTH)).json()["ready"] is True
    assert len([line for line in server.lines if line.endswith("initializing")]) == 1


@pytest.mark.parametrize("kind", ["async def", "def"])
async def test_a_failing_initializer_is_told_and_tried_again(serve: Serve, kind: str) -> None:
    """A failed initializer is InitializationError to those that wait; the next demand retries."""
    source = f"""
        import pathlib

        {kind} initialize(context):
            print("initializing")
            if not pathlib.Path("go").exists():
                raise LookupError("no database")

        async def handler(event, context):
            return event
    """
    server = serve(source)
    await asyncio.to_thread(server.wait_for, "initializing")
    for path in ("/initialize", "/invoke"):
        body = error(await server.ask(request(path=path)), "InitializationError")
        assert "LookupError: no database" in body["errorMessage"]
    assert (await server.ask(HEALTH)).status == 503
    (server.folder / "go").touch()
    assert (await server.ask(request(path="/initialize"))).status == 200
    assert (await server.ask(request(b"event"))).body == b"event"


@pytest.mark.parametrize("fault", ["sys.exit(3)", "await asyncio.sleep(100)", "1 / 0"])
async def test_an_initializer_that_hangs_or_exits_is_an_error(serve: Serve, fault: str) -> None:
    """A8: a time-out or an exit of the initializer is InitializationError; the service goes on."""
    source = f"""
        import asyncio, sys

        async def initialize(context):
            {fault}

        async def handler(event, context):
            return event
    """
    server = serve(source, "--initialize-timeout", "0.2")
    for path in ("/initialize", "/invoke"):
        error(await server.ask(request(path=path)), "InitializationError")
    assert await asyncio.to_thread(server.stop) == 0


PRE_STOP = """
    import asyncio, pathlib

    async def handler(event, context):
        print("running")
        while not pathlib.Path("go").exists():
            await asyncio.sleep(0.02)
        return event

    async def pre_stop(context):
        print("stopping by hook")
        while not pathlib.Path("end").exists():
            await asyncio.sleep(0.02)
"""


async def test_pre_stop_waits_for_calls_and_runs_once(serve: Serve) -> None:
    """A6: /pre-stop drains, then runs the hook: once, for GET, POST and a SIGTERM together."""
    server = serve(PRE_STOP)
    stop = request(b"", path="/pre-stop", method="GET", request_id="stop-1")
    async with AsyncExitStack() as stack:
        call, first, second, warm = [
            await stack.enter_async_context(server.client()) for _ in range(4)
        ]
        for client in (first, second, warm):
            await client.ask(HEALTH)
        await call.send(request(b"event"))
        await asyncio.to_thread(server.wait_for, "running")
        await first.send(stop)
        await asyncio.to_thread(server.wait_for, "FC PreStop Start RequestId: stop-1")
        (server.folder / "go").touch()
        late = await warm.ask(request(b"late"))  # served until the hook begins
        assert late.closes
        answer = await call.answer()
        assert (answer.body, answer.closes) == (b"event", True)
        await asyncio.to_thread(server.wait_for, "stopping by hook")
        await second.send(request(path="/pre-stop", request_id="stop-2"))
        await asyncio.to_thread(server.wait_for, "FC PreStop Start RequestId: stop-2")
        server.signal(signal.SIGTERM)
        await asyncio.to_thread(server.wait_for, "SIGTERM")
        (server.folder / "end").touch()
        for client in (first, second):
            assert (await client.answer()).status == 200
    assert await server.ends() == 0
    assert len([line for line in server.lines if line.endswith("stopping by hook")]) == 1
    assert "FC PreStop End RequestId: stop-1" in server.lines


async def test_calls_are_refused_once_pre_stop_has_begun(serve: Serve) -> None:
    """A6: Stopping: on a warm connection no call is run any more; /health says 503."""
    server = serve(PRE_STOP)
    async with server.client() as stop, server.client() as warm, server.client() as probe:
        for client in (stop, warm, probe):
            await client.ask(HEALTH)
        await stop.send(request(b"", path="/pre-stop", method="GET"))
        await asyncio.to_thread(server.wait_for, "stopping by hook")
        answer = await warm.ask(request())
        error(answer, "Stopping")
        assert answer.closes
        assert (await probe.ask(HEALTH)).status == 503
        (server.folder / "end").touch()
        assert (await stop.answer()).status == 200
    assert not any(line.endswith("running") for line in server.lines)
    assert await asyncio.to_thread(server.stop) == 0


async def test_a_failing_pre_stop_fails_its_request_and_the_stop_goes_on(serve: Serve) -> None:
    """A6: a hook that raises is logged and is a 404 to /pre-stop; the process still exits 0."""
    source = """
        async def handler(event, context):
            return event

        async def pre_stop(context):
            raise LookupError("no goodbye")
    """
    server = serve(source)
    answer = await server.ask(request(b"", path="/pre-stop", method="GET", request_id="stop-1"))
    assert error(answer, "LookupError")["errorMessage"] == "no goodbye"
    assert await asyncio.to_thread(server.stop) == 0
    assert "FC PreStop End RequestId: stop-1, Error: Unhandled function error" in server.lines
    assert len([line for line in server.lines if "LookupError: no goodbye" in line]) == 1


@pytest.mark.parametrize("fault", ["await asyncio.sleep(100)", "sys.exit(1)"])
async def test_a_pre_stop_that_hangs_or_exits_holds_up_no_stop(serve: Serve, fault: str) -> None:
    """A6: the hook has `drain_timeout` seconds; the process exits 0."""
    source = f"""
        import asyncio, sys

        async def handler(event, context):
            return event

        async def pre_stop(context):
            {fault}
    """
    server = serve(source, "--drain-timeout", "0.3")
    await server.ask(request())
    assert await asyncio.to_thread(server.stop) == 0


async def test_a_failing_pre_freeze_is_told_and_the_service_goes_on(serve: Serve) -> None:
    """A7: a hook that raises is a 404 to /pre-freeze, and calls are served after it."""
    source = """
        async def handler(event, context):
            return event

        def pre_freeze(context):
            raise LookupError("too warm")
    """
    server = serve(source)
    error(await server.ask(request(b"", path="/pre-freeze", method="GET")), "LookupError")
    assert (await server.ask(request(b"event"))).body == b"event"


# --- every error code


FAULTS = """
    import asyncio, sys, time
    from typing import Any

    class Own(Exception):
        pass

    async def swallow():
        while True:
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                pass

    async def handler(event: dict[str, Any], context):
        what = event["what"]
        if what == "own":
            raise Own("told")
        if what == "timeout":
            raise TimeoutError
        if what == "cancelled":
            raise asyncio.CancelledError
        if what == "interrupt":
            raise KeyboardInterrupt
        if what == "exit":
            raise GeneratorExit
        if what == "long":
            raise Own("a" * 10_000_000)
        if what == "surrogate":
            raise Own("\\ud800")
        if what == "recursion":
            def again():
                return again()
            again()
        if what == "set":
            return {1, 2}
        if what == "hang":
            await asyncio.sleep(100)
        if what == "swallow":
            await swallow()
        return what
"""


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One service whose handler fails as it is told."""
    server = ServerProcess(tmp_path_factory.mktemp("faulty"), FAULTS, "--deadline-margin", "0")
    yield server
    server.kill()


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("own", "Own"),
        ("timeout", "TimeoutError"),
        ("cancelled", "CancelledError"),
        ("interrupt", "KeyboardInterrupt"),
        ("exit", "GeneratorExit"),
        ("long", "Own"),
        ("surrogate", "Own"),
        ("recursion", "RecursionError"),
        ("set", "UnserializableResult"),
    ],
)
async def test_a_handlers_exception_is_named_by_its_class(
    faulty: ServerProcess, what: str, code: str
) -> None:
    """F-1, D9: whatever a handler raises is a 404 with its class's name, and its connection goes
    on.
    """
    async with faulty.client() as client:
        answer = await client.ask(request(b'{"what":"%s"}' % what.encode()))
        error(answer, code)
        assert len(answer.body) < 64 * 1024
        assert not answer.closes
        assert (await client.ask(request(b'{"what":"fine"}'))).body == b"fine"


@pytest.mark.parametrize("what", ["hang", "swallow"])
async def test_a_call_beyond_its_deadline_is_a_function_timeout(
    faulty: ServerProcess, what: str
) -> None:
    """F-2, F-3: FunctionTimeout at the deadline, for a handler that swallows its cancellation
    too.
    """
    data = request(
        b'{"what":"%s"}' % what.encode(),
        x_fc_function_timeout="1",
        request_id=f"deadline-{what}",
    )
    error(await faulty.ask(data), "FunctionTimeout")
    assert any("index.py" in line for line in lines_of(faulty, f"deadline-{what}"))


async def test_a_sync_call_beyond_its_deadline_is_a_function_timeout(serve: Serve) -> None:
    """F-4: FunctionTimeout for a thread that hangs; it is counted as lost and others are served."""
    source = """
        import threading

        def handler(event, context):
            if event == b"hang":
                threading.Event().wait()
            return event
    """
    server = serve(source, "--deadline-margin", "0", "--concurrency", "4")
    error(await server.ask(request(b"hang", x_fc_function_timeout="1")), "FunctionTimeout")
    assert (await server.ask(HEALTH)).json()["lost"] == 1
    for _ in range(5):
        assert (await server.ask(request(b"event"))).body == b"event"


async def test_a_call_that_waits_for_a_slot_has_its_deadline(serve: Serve) -> None:
    """G3: FunctionTimeout for a call in the queue, which leaves it."""
    source = """
        import asyncio, pathlib

        async def handler(event, context):
            print("running")
            while not pathlib.Path("go").exists():
                await asyncio.sleep(0.02)
    """
    server = serve(source, "--concurrency", "1", "--deadline-margin", "0")
    async with server.client() as first:
        await first.send(request())
        await asyncio.to_thread(server.wait_for, "running")
        error(await server.ask(request(x_fc_function_timeout="0.2")), "FunctionTimeout")
        assert (await server.ask(HEALTH)).json()["queued"] == 0
        (server.folder / "go").touch()
        assert (await first.answer()).status == 200


async def test_an_event_of_another_shape_is_invalid(serve: Serve) -> None:
    """D8: InvalidEvent names the place in the JSON and the reason."""
    source = """
        import msgspec

        class Item(msgspec.Struct):
            count: int

        class Order(msgspec.Struct):
            items: list[Item]

        async def handler(event: Order, context):
            return len(event.items)
    """
    server = serve(source)
    async with server.client() as client:
        body = error(
            await client.ask(request(b'{"items":[{"count":1},{"count":"x"}]}')), "InvalidEvent", 400
        )
        assert "$.items[1].count" in body["errorMessage"]
        for bad in (b"", b"{", b"[]", b"\xff", b'{"items":' + b"[" * 100_000):
            error(await client.ask(request(bad)), "InvalidEvent", 400)
        assert (await client.ask(request(b'{"items":[{"count":1}]}'))).body == b"1"


async def test_250_at_once_on_10_slots_and_20_places(serve: Serve) -> None:
    """G3: Overloaded: 10 run, 20 wait, and 220 are refused with Retry-After; then all 30 are
    served.
    """
    source = """
        import asyncio, pathlib

        async def handler(event, context):
            print("running")
            while not pathlib.Path("go").exists():
                await asyncio.sleep(0.02)
            return event
    """
    server = serve(source, "--concurrency", "10", "--queue", "20")
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(server.client()) for _ in range(250)]
        calls = [asyncio.create_task(client.ask(request(b"event"))) for client in clients]
        refused: list[Answer] = []
        for next_answer in asyncio.as_completed(calls):
            refused.append(await next_answer)
            if len(refused) == 220:
                break
        state = (await server.ask(HEALTH)).json()
        assert (state["running"], state["queued"], state["refused"]) == (10, 20, 220)
        for answer in refused:
            error(answer, "Overloaded", 429)
            assert int(answer.headers["retry-after"]) >= 1
            assert not answer.closes
        (server.folder / "go").touch()
        answers = await asyncio.gather(*calls)
    assert len([answer for answer in answers if answer.body == b"event"]) == 30


async def test_error_trace_shows_the_users_frames_alone(serve: Serve) -> None:
    """With `error_trace` an answer has the stack of user code, as the built-in runtime nests it."""
    source = """
        async def handler(event, context):
            raise ValueError("told")
    """
    server = serve(source, "--error-trace")
    body = (await server.ask(request())).json()
    [frame] = body["stackTrace"]
    assert frame[0].endswith('index.py"')
    assert frame[2:] == ["in handler", 'raise ValueError("told")']


async def test_each_call_has_its_own_credentials(serve: Serve) -> None:
    """G1, B8: 200 calls at once get the credentials and the id of their own headers."""
    source = """
        import asyncio

        barrier = asyncio.Barrier(200)

        async def handler(event, context):
            await barrier.wait()
            keys = context.credentials
            return [context.request_id, keys.access_key_id, keys.security_token, event.decode()]
    """
    server = serve(source, "--concurrency", "200")

    async def one(name: str) -> list[str]:
        data = request(
            name.encode(),
            request_id=f"id-{name}",
            x_fc_access_key_id=f"key-{name}",
            x_fc_access_key_secret="secret",
            x_fc_security_token=f"token-{name}",
        )
        found: list[str] = (await server.ask(data)).json()
        return found

    names = [str(number) for number in range(200)]
    found = await asyncio.gather(*map(one, names))
    assert found == [[f"id-{n}", f"key-{n}", f"token-{n}", n] for n in names]
    assert "token-" not in server.log()


async def test_a_connection_serves_one_call_after_another(plain: ServerProcess) -> None:
    """Errors of all kinds leave the connection to the next call."""
    async with plain.client() as client:
        await ask_all(client, request(path="/nope"), request(method="PUT"))
        assert (await client.ask(request(b"event"))).body == b"event"


async def ask_all(client: Client, *data: bytes) -> None:
    """Send one request after another; each answer leaves the connection open."""
    for each in data:
        assert not (await client.ask(each)).closes
