"""The direct way of InvokeFunction: taken if the head was seen before, and answered the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from service.emulator.api.direct import MAX_HEAD, MAX_HEADS, DirectInvocations
from service.emulator.calls import Invocation, Invoker, Outcome, PlatformError
from service.emulator.console.recorder import Recorder
from service.emulator.log import Log
from service.emulator.recorded import EmulatorRecording
from service.emulator.spec.sessions import SessionAffinity
from service.recording.reading import read_recording
from tests.emulator.standins import (
    FUNCTIONS,
    Held,
    StandIn,
    desk,
    echo,
    failing,
    function,
    settled,
)
from tests.harness import ANSWERS_WITHIN, Answer, Client, request

INVOCATIONS = f"{FUNCTIONS}/fn/invocations"
CALL = request(b"x", path=INVOCATIONS)


class Ways:
    """The ways that requests have taken: how many went directly, of which a head was known."""

    def __init__(self) -> None:
        self.direct = 0
        self.heads: dict[bytes, object] = {}


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> Ways:
    """Count the calls that go directly."""
    seen, begin, make = Ways(), DirectInvocations.begin, DirectInvocations.__init__

    def counted(self: DirectInvocations, *arguments: object) -> object:
        seen.direct += 1
        return begin(self, *arguments)  # type: ignore[arg-type]

    def made(self: DirectInvocations, *arguments: object) -> None:
        make(self, *arguments)  # type: ignore[arg-type]
        seen.heads = self._heads  # type: ignore[assignment]

    monkeypatch.setattr(DirectInvocations, "begin", counted)
    monkeypatch.setattr(DirectInvocations, "__init__", made)
    return seen


def comparable(answer: Answer) -> tuple[int, dict[str, str], bytes]:
    """An answer without what is another in each: its request's id, and the time."""
    differ = ("x-fc-request-id", "date")
    assert all(answer.headers[name] for name in differ)
    fields = {name: value for name, value in answer.headers.items() if name not in differ}
    return answer.status, fields, answer.body


async def large(call: Invocation) -> Outcome:
    """An answer that is no block."""
    return replace(await echo(call), body=bytes(70_000))


async def fails(call: Invocation) -> Outcome:
    """A function error."""
    return failing(call)


async def logs(call: Invocation) -> Outcome:
    """A result with the call's log."""
    return replace(await echo(call), log=b"line" if call.tail else None)


@pytest.mark.parametrize("play", [echo, large, fails, logs])
async def test_a_call_is_answered_the_same_both_ways(
    tmp_path: Path, ways: Ways, play: Callable[[Invocation], Awaitable[Outcome]]
) -> None:
    """Status, fields and result; each call has a request id of its own, and its event."""
    pool = StandIn(play)
    call = request(b"event", path=INVOCATIONS, x_fc_log_type="Tail")
    async with desk(tmp_path, {"fn": pool}) as api, api.client() as client:
        answers = [await client.ask(call) for _ in range(3)]
    assert ways.direct == 2
    assert comparable(answers[0]) == comparable(answers[1]) == comparable(answers[2])
    ids = [answer.headers["x-fc-request-id"] for answer in answers]
    assert pool.calls == [Invocation("fn", b"event", each, 0, True) for each in ids]
    assert len(set(ids)) == 3


@pytest.mark.parametrize("reason", [PlatformError(429, "ResourceExhausted", "full"), OSError("no")])
async def test_a_refusal_is_the_same_both_ways(
    tmp_path: Path, ways: Ways, caplog: pytest.LogCaptureFixture, reason: Exception
) -> None:
    """The platform's error JSON; a fault of the emulator is told in the log. The connection goes
    on.
    """

    async def play(call: Invocation) -> Outcome:
        if len(pool.calls) == 3:
            return await echo(call)
        raise reason

    pool = StandIn(play)
    async with desk(tmp_path, {"fn": pool}) as api, api.client() as client:
        first, second, third = [await client.ask(CALL) for _ in range(3)]
    assert ways.direct == 2
    assert (first.status, first.json()["Code"]) == (second.status, second.json()["Code"])
    assert second.json()["RequestId"] == second.headers["x-fc-request-id"]
    assert set(first.headers) == set(second.headers)
    assert third.status == 200
    assert len(caplog.records) == (0 if isinstance(reason, PlatformError) else 2)


async def test_a_caller_that_leaves_cancels_its_call(tmp_path: Path, ways: Ways) -> None:
    """As on the other way: the pool hears of it as a cancellation, and nobody is answered."""
    held = Held()
    async with desk(tmp_path, {"fn": StandIn(held)}) as api:
        held.go.set()
        await api.invoke(b"x")
        held.go.clear()
        held.begun.clear()
        async with api.client() as client:
            await client.send(CALL)
            await held.begun.wait()
        async with asyncio.timeout(ANSWERS_WITHIN):
            await held.cut.wait()
        held.go.set()
        assert (await api.invoke(b"x")).status == 200
    assert ways.direct == 2


async def test_a_call_that_was_never_begun_is_cancelled_too(tmp_path: Path) -> None:
    """On Python 3.11 its caller may be gone before its task has run."""
    pool = StandIn()
    async with desk(tmp_path, {"fn": pool}) as api, api.client() as client:
        await client.ask(CALL)
        (connection,) = api.api._server.connections.open
        connection.data_received(CALL)  # type: ignore[attr-defined]
        connection.connection_lost(None)  # type: ignore[attr-defined]
        await settled()
        assert api.api._life.in_flight == 0


async def test_requests_may_come_before_their_answers_are_read(tmp_path: Path) -> None:
    """Several in one packet are answered one after the other, in their order."""
    async with desk(tmp_path, {"fn": StandIn()}) as api, api.client() as client:
        await client.send(b"".join(request(b"%d" % n, path=INVOCATIONS) for n in range(40)))
        assert [(await client.answer()).body for _ in range(40)] == [b"%d" % n for n in range(40)]


async def test_what_arrives_behind_a_direct_call_waits_for_it(tmp_path: Path, ways: Ways) -> None:
    """It is served once the call is answered."""
    held = Held()
    async with desk(tmp_path, {"fn": StandIn(held)}) as api, api.client() as client:
        held.go.set()
        await client.ask(CALL)
        held.go.clear()
        held.begun.clear()
        await client.send(CALL)
        await held.begun.wait()
        await client.send(request(b"2", path=INVOCATIONS))
        held.go.set()
        assert [(await client.answer()).body for _ in range(2)] == [b"x", b"2"]
    assert ways.direct >= 1


async def in_parts(client: Client) -> Answer:
    """Ask with a known head whose event comes later."""
    await client.send(CALL[:-1])
    await settled()
    return await client.ask(CALL[-1:])


async def behind_an_empty_line(client: Client) -> Answer:
    """Ask with an empty line before the request, which is allowed."""
    return await client.ask(b"\r\n" + CALL)


async def chunked(client: Client) -> Answer:
    """Ask with an event whose length is not told."""
    head = f"POST {INVOCATIONS} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    return await client.ask(head.encode() + b"1\r\nx\r\n0\r\n\r\n")


async def expecting(client: Client) -> Answer:
    """Ask as who waits until the event is wanted."""
    head = CALL[:-3] + b"Expect: 100-continue\r\n\r\n"
    assert (await client.ask(head)).status == 100
    return await client.ask(b"x")


async def over_http_1_0(client: Client) -> Answer:
    """Ask as an old client does, whose connection ends with the answer."""
    return await client.ask(CALL.replace(b"HTTP/1.1", b"HTTP/1.0"))


@pytest.mark.parametrize("ask", [in_parts, behind_an_empty_line, chunked, expecting, over_http_1_0])
async def test_what_does_not_fit_goes_the_other_way(
    tmp_path: Path, ways: Ways, ask: Callable[[Client], Awaitable[Answer]]
) -> None:
    """Twice on connections of their own, with the head known: it is answered all the same."""
    async with desk(tmp_path, {"fn": StandIn()}) as api:
        await api.invoke(b"x")
        for _ in range(2):
            async with api.client() as client:
                answer = await ask(client)
            assert (answer.status, answer.body) == (200, b"x")
    assert ways.direct == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"x_fc_invocation_type": "Async"},
        {"x_fc_invocation_type": "Later"},
        {"x_fc_log_type": "All"},
        {"Connection": "close"},
        {"Cookie": "a=b"},
        {"Authorization": "anything"},
        {"x_large": "x" * MAX_HEAD},
    ],
)
async def test_a_head_that_asks_for_more_is_not_known(
    tmp_path: Path, ways: Ways, headers: dict[str, str]
) -> None:
    """Each of them is read."""
    async with desk(tmp_path, {"fn": StandIn()}) as api:
        first, second = [await api.invoke(b"x", **headers) for _ in range(2)]
    assert first.status == second.status
    assert not ways.heads


async def test_a_signed_call_never_goes_directly(tmp_path: Path, ways: Ways) -> None:
    """With an access key, each request has to show its signature."""
    async with desk(tmp_path, {"fn": StandIn()}, access_key=("id", "secret")) as api:
        for _ in range(2):
            assert (await api.invoke(b"x")).status == 400
    assert not ways.heads


async def test_a_known_head_is_another_with_one_other_byte(tmp_path: Path, ways: Ways) -> None:
    """Another function, another host: nothing is taken for what it resembles."""
    pools = {"fn": StandIn(), "fm": StandIn()}
    async with desk(tmp_path, pools) as api, api.client() as client:
        for _ in range(2):
            await client.ask(CALL)
        assert (await client.ask(CALL.replace(b"/fn/", b"/fm/"))).status == 200
        assert (await client.ask(CALL.replace(b"127.0.0.1", b"10.99.0.1"))).status == 403
        assert (await client.ask(CALL.replace(b"127.0.0.1", b"10.99.0.1"))).status == 403
    assert [len(pool.calls) for pool in pools.values()] == [2, 1]
    assert ways.direct == 2  # a refused host is known, and refused again


async def test_functions_may_change_meanwhile(tmp_path: Path, ways: Ways) -> None:
    """What a known head asks for is looked for anew in each call."""
    functions = {"fn": function()}
    async with desk(tmp_path, {"fn": StandIn()}, functions) as api, api.client() as client:
        await client.ask(CALL)
        functions["fn"] = function(sessions=SessionAffinity("x-session"))
        assert (await client.ask(CALL)).headers["x-session"] == ""
        del functions["fn"]
        assert (await client.ask(CALL)).json()["Code"] == "FunctionNotFound"
    assert ways.direct == 0


async def test_a_bounded_number_of_heads_is_known(tmp_path: Path, ways: Ways) -> None:
    """Who sends another head with each call fills no memory."""
    async with desk(tmp_path, {"fn": StandIn()}) as api, api.client() as client:
        for number in range(MAX_HEADS + 2):
            await client.send(request(b"x", path=INVOCATIONS, x_number=str(number)))
            await client.answer()
    assert len(ways.heads) == 2


async def test_the_console_and_the_recording_see_direct_calls(tmp_path: Path, ways: Ways) -> None:
    """As they see all others."""
    recorder = Recorder()
    folder = tmp_path / "recorded"
    recording = EmulatorRecording(folder, pytest.fail, rate=1.0, limit=1 << 20)
    recording.overheard(Log(lambda _line: None))
    pools: dict[str, Invoker] = {"fn": recording.around(StandIn(), function())}
    invokers = recorder.invokers("sync", pools)
    recording.start()
    async with desk(tmp_path, invokers, {"fn": function()}) as api, api.client() as client:
        ids = [(await client.ask(CALL)).headers["x-fc-request-id"] for _ in range(3)]
    recording.close()
    assert ways.direct == 2
    assert [(each.id, each.status) for each in recorder.history.newest(9)] == [
        (each, "ok") for each in reversed(ids)
    ]
    assert len(read_recording(folder, pytest.fail)) == 3
