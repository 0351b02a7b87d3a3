"""The API on the wire: answers, headers, refusals, limits, lists."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.emulator.api.requests import SYNC_LIMIT
from service.emulator.api.signature import ALGORITHM, Head, signature_of
from service.emulator.calls import Invocation, Outcome, PlatformError
from service.emulator.queue.dispatcher import EVENT_LIMIT
from service.emulator.queue.task import Status
from service.emulator.spec.model import AsyncConfig
from service.emulator.spec.sessions import SessionAffinity
from tests.emulator.standins import FUNCTIONS, Desk, Held, StandIn, desk, echo, failing, function
from tests.harness import ANSWERS_WITHIN, Answer, request

REQUEST_ID = re.compile(r"1-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{12}")
INVOCATIONS = f"{FUNCTIONS}/fn/invocations"
ASYNC = {"x_fc_invocation_type": "Async"}


def refused(answer: Answer, status: int, code: str) -> str:
    """Check that an answer is the platform's error JSON; return its message."""
    error = answer.json()
    assert (answer.status, error["Code"]) == (status, code)
    assert set(error) == {"Code", "Message", "RequestId"}
    assert error["RequestId"] == answer.headers["x-fc-request-id"]
    assert REQUEST_ID.fullmatch(error["RequestId"])
    message: str = error["Message"]
    return message


async def test_a_synchronous_call_is_answered_with_the_functions_bytes(tmp_path: Path) -> None:
    """The event gets to the function as it was sent, and the answer back, with the platform's
    headers.
    """
    pool = StandIn()
    async with desk(tmp_path, {"fn": pool}) as api:
        answer = await api.invoke(b"\x00\xff event")
    assert (answer.status, answer.body) == (200, b"\x00\xff event")
    assert pool.calls == [
        Invocation("fn", b"\x00\xff event", answer.headers["x-fc-request-id"], 0, False)
    ]
    assert REQUEST_ID.fullmatch(answer.headers["x-fc-request-id"])
    expected = {
        "content-type": "application/octet-stream",
        "x-fc-instance-id": "c-1",
        "x-fc-invocation-duration": "5",
        "x-fc-max-memory-usage": "20.50",
        "x-fc-invocation-service-version": "LATEST",
    }
    assert expected.items() <= answer.headers.items()
    assert not {"x-fc-error-type", "x-fc-log-result"} & set(answer.headers)


SESSIONS: dict[str, tuple[str, dict[str, str], str, str, str]] = {
    "named": ("x-session", {"x_session": "a"}, "a", "x-session", ""),
    "new": ("x-session", {}, "", "x-session", "made"),
    "of-a-cookie": ("", {"cookie": "x-fc-cookie-session-id=a"}, "a", "set-cookie", ""),
    "of-a-new-cookie": (
        *("", {}, "", "set-cookie"),
        "x-fc-cookie-session-id=made; Max-Age=60",
    ),
}


@pytest.mark.parametrize(
    ("header", "sent", "session", "told_in", "told"), SESSIONS.values(), ids=SESSIONS
)
async def test_a_call_names_its_session_or_is_told_a_new_one(
    tmp_path: Path, header: str, sent: dict[str, str], session: str, told_in: str, told: str
) -> None:
    """As the function's affinity says: in a header field, or in the platform's cookie."""

    async def play(call: Invocation) -> Outcome:
        return replace(await echo(call), session=call.session or "made")

    pool = StandIn(play)
    played = function(sessions=SessionAffinity(header, ttl=60.0))
    async with desk(tmp_path, {"fn": pool}, {"fn": played}) as api:
        answer = await api.invoke(b"{}", "fn", **sent)
    assert [call.session for call in pool.calls] == [session]
    assert answer.headers.get(told_in, "") == told


async def test_a_function_error_is_a_success_of_the_api(tmp_path: Path) -> None:
    """What the function says of its failure comes with 200, and the kind in a header."""

    async def play(call: Invocation) -> Outcome:
        return failing(call)

    async with desk(tmp_path, {"fn": StandIn(play)}) as api:
        answer = await api.invoke()
    assert (answer.status, answer.json()) == (200, {"errorMessage": "no"})
    assert answer.headers["x-fc-error-type"] == "UnhandledInvocationError"


async def test_the_end_of_the_log_is_there_for_who_asks(tmp_path: Path) -> None:
    """`x-fc-log-type: Tail` brings the last 4 KB in base64, where the log is the call's alone."""

    async def play(call: Invocation) -> Outcome:
        log = b"x" * 4093 + b"end" if call.tail and call.event else None
        return Outcome(call.request_id, b"", log=log)

    async with desk(tmp_path, {"fn": StandIn(play)}) as api:
        answer = await api.invoke(b"alone", x_fc_log_type="Tail")
        assert base64.b64decode(answer.headers["x-fc-log-result"]) == b"x" * 4093 + b"end"
        answer = await api.invoke(b"", x_fc_log_type="Tail")
        assert "x-fc-log-result" not in answer.headers
        answer = await api.invoke(b"alone", x_fc_log_type="None")
        assert "x-fc-log-result" not in answer.headers


async def test_what_is_packed_stays_packed(tmp_path: Path) -> None:
    """An event with a Content-Encoding is the function's to unpack, as on the platform."""
    packed = gzip.compress(b"{}")
    async with desk(tmp_path, {"fn": StandIn()}) as api:
        answer = await api.invoke(packed, Content_Encoding="gzip")
    assert answer.body == packed


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "code"),
    [
        ("POST", f"{FUNCTIONS}/other/invocations", {}, 404, "FunctionNotFound"),
        ("POST", f"{INVOCATIONS}?qualifier=3", {}, 404, "VersionNotFound"),
        ("POST", f"{INVOCATIONS}?qualifier=prod", {}, 404, "AliasNotFound"),
        ("GET", f"{FUNCTIONS}/other", {}, 404, "FunctionNotFound"),
        ("GET", f"{FUNCTIONS}/fn?qualifier=1", {}, 404, "VersionNotFound"),
        ("GET", f"{FUNCTIONS}/fn/async-tasks/none", {}, 404, "AsyncTaskNotFound"),
        ("PUT", f"{FUNCTIONS}/fn/async-tasks/none/stop", {}, 404, "AsyncTaskNotFound"),
        ("GET", INVOCATIONS, {}, 405, "MethodNotAllowed"),
        ("DELETE", f"{FUNCTIONS}/fn", {}, 405, "MethodNotAllowed"),
        ("DELETE", f"{FUNCTIONS}/fn", {"x_acs_action": "DeleteFunction"}, 501, "NotImplemented"),
        ("GET", "/2023-03-30/tags-v2", {"x_acs_action": "ListTags"}, 501, "NotImplemented"),
        ("GET", "/", {}, 404, "PathNotSupported"),
        ("POST", INVOCATIONS, {"x_fc_invocation_type": "Later"}, 400, "InvalidArgument"),
        ("POST", INVOCATIONS, {"x_fc_log_type": "All"}, 400, "InvalidArgument"),
        ("POST", INVOCATIONS, {**ASYNC, "x_fc_async_delay": "3601"}, 400, "InvalidArgument"),
        ("POST", INVOCATIONS, {**ASYNC, "x_fc_async_delay": "-1"}, 400, "InvalidArgument"),
        ("POST", INVOCATIONS, {**ASYNC, "x_fc_async_delay": "1e3"}, 400, "InvalidArgument"),
        ("GET", f"{FUNCTIONS}?limit=0", {}, 400, "InvalidArgument"),
        ("GET", f"{FUNCTIONS}?limit=101", {}, 400, "InvalidArgument"),
        ("GET", f"{FUNCTIONS}/fn/async-tasks?limit=x", {}, 400, "InvalidArgument"),
        ("GET", f"{FUNCTIONS}/fn/async-tasks?status=Done", {}, 400, "InvalidArgument"),
        ("GET", f"{FUNCTIONS}/fn/async-tasks?nextToken=-1", {}, 400, "InvalidArgument"),
        ("GET", f"{FUNCTIONS}/fn/async-tasks?sortOrderByTime=up", {}, 400, "InvalidArgument"),
    ],
)
async def test_what_cannot_be_answered_has_the_platforms_error(
    tmp_path: Path, method: str, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    """Every refusal is JSON with Code, Message and RequestId, by the platform's codes."""
    pool = StandIn()
    async with desk(tmp_path, {"fn": pool}) as api:
        refused(await api.ask(path, b"", method, **headers), status, code)
    assert not pool.calls


async def test_function_compute_2_reads_errors_under_its_own_names(tmp_path: Path) -> None:
    """Its SDKs, which call paths that are not here, have something to show."""
    async with desk(tmp_path, {"fn": StandIn()}) as api:
        answer = await api.ask("/2016-08-15/services/s/functions/fn", b"{}", "POST")
    error = answer.json()
    assert answer.status == 404
    assert error["ErrorCode"] == error["Code"] == "PathNotSupported"
    assert "/2016-08-15/services/s" in error["ErrorMessage"] == error["Message"]


async def test_what_is_no_http_is_one_line_of_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is answered 400; nobody is shown a traceback, and nothing in it forges a line."""
    async with desk(tmp_path, {"fn": StandIn()}) as api, api.client() as client:
        answer = await client.ask(b"GET / HTTP/1.1\r\nBad\x00 Header: \r\n\r\n")
        assert answer.status == 400
    [record] = caplog.records
    assert record.exc_info is None
    assert record.levelname == "WARNING"
    assert "not HTTP" in record.getMessage()
    assert "\n" not in record.getMessage()


async def test_what_is_not_played_is_named(tmp_path: Path) -> None:
    """An operation of the API that is not here is told by its name."""
    async with desk(tmp_path, {"fn": StandIn()}) as api:
        answer = await api.ask(FUNCTIONS, b"{}", "POST", x_acs_action="CreateFunction")
    assert "CreateFunction" in refused(answer, 501, "NotImplemented")


@pytest.mark.parametrize("error", [429, 500, 503])
async def test_the_pools_refusals_are_passed_on(tmp_path: Path, error: int) -> None:
    """What the platform says when no instance can answer is the API's answer."""

    async def play(call: Invocation) -> Outcome:
        raise PlatformError(error, "ResourceExhausted", "full \udcff")

    async with desk(tmp_path, {"fn": StandIn(play)}) as api:
        assert refused(await api.invoke(), error, "ResourceExhausted").startswith("full")


async def test_what_breaks_is_an_internal_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault of the emulator is answered with 500, told in the log, and ends no connection."""

    async def play(call: Invocation) -> Outcome:
        if len(pool.calls) == 1:
            raise RuntimeError("broken")
        return await echo(call)

    pool = StandIn(play)
    async with desk(tmp_path, {"fn": pool}) as api, api.client() as client:
        answer = await client.ask(request(path=INVOCATIONS))
        assert "RuntimeError: broken" in refused(answer, 500, "InternalServerError")
        assert (await client.ask(request(path=INVOCATIONS))).status == 200
    assert "broken" in caplog.text


async def test_a_large_synchronous_event_is_refused_at_once(tmp_path: Path) -> None:
    """Over 32 MB: the Content-Length is enough, no byte of the body is waited for."""
    head = f"POST {INVOCATIONS} HTTP/1.1\r\nHost: localhost\r\n"
    head += f"Content-Length: {SYNC_LIMIT + 1}\r\n\r\n"
    async with desk(tmp_path, {"fn": StandIn()}) as api, api.client() as client:
        answer = await client.ask(head.encode())
    assert f"({SYNC_LIMIT} bytes)" in refused(answer, 400, "EntityTooLarge")


async def test_an_asynchronous_call_can_be_put_off(tmp_path: Path) -> None:
    """`x-fc-async-delay` is the seconds until it is run at the earliest."""
    pool = StandIn()
    async with desk(tmp_path, {"fn": pool}) as api:
        answer = await api.invoke(b"later", **ASYNC, x_fc_async_delay="3600")
        later = api.tasks.find("fn", answer.headers["x-fc-async-task-id"])
        await api.ended("fn", (await api.invoke(b"now", **ASYNC)).headers["x-fc-async-task-id"])
        assert later is not None
        assert later.due == pytest.approx(later.submitted + 3600)
    assert [call.event for call in pool.calls] == [b"now"]


async def test_an_asynchronous_event_has_128_kb(tmp_path: Path) -> None:
    """Exactly 128 KB are taken, one byte more is refused."""
    kind = {"x_fc_invocation_type": "Async"}
    async with desk(tmp_path, {"fn": StandIn()}) as api:
        assert (await api.invoke(bytes(EVENT_LIMIT), **kind)).status == 202
        refused(await api.invoke(bytes(EVENT_LIMIT + 1), **kind), 400, "EntityTooLarge")
        assert (await api.invoke(bytes(EVENT_LIMIT + 1))).status == 200


async def test_a_chunked_event_is_refused_while_it_grows(tmp_path: Path) -> None:
    """Without a length the limit counts as well: the refusal comes before the body has an end."""
    head = f"POST {INVOCATIONS} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
    head += "x-fc-invocation-type: Async\r\n\r\n"
    chunk = b"10000\r\n" + bytes(65536) + b"\r\n"
    async with desk(tmp_path, {"fn": StandIn()}) as api:
        async with api.client() as client:
            answer = await client.ask(head.encode() + chunk + chunk + b"1\r\nx\r\n")
            refused(answer, 400, "EntityTooLarge")
        async with api.client() as client:
            answer = await client.ask(head.encode() + chunk + chunk + b"0\r\n\r\n")
            assert answer.status == 202


async def test_a_body_with_bad_chunks_is_refused(tmp_path: Path) -> None:
    """What is no chunked body is the caller's fault, and no call."""
    pool = StandIn()
    head = f"POST {INVOCATIONS} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with desk(tmp_path, {"fn": pool}) as api, api.client() as client:
        await client.send(head.encode() + b"2\r\n{}\r\n")
        answer = await client.ask(b"zz\r\n")
    assert answer.status == 400
    assert not pool.calls


async def test_a_caller_that_leaves_cancels_its_call(tmp_path: Path) -> None:
    """The pool hears of a disconnection as a cancellation."""
    held = Held()
    async with desk(tmp_path, {"fn": StandIn(held)}) as api:
        async with api.client() as client:
            await client.send(request(path=INVOCATIONS))
            await held.begun.wait()
        async with asyncio.timeout(ANSWERS_WITHIN):
            await held.cut.wait()


async def test_an_asynchronous_call_is_accepted_and_run(tmp_path: Path) -> None:
    """202 comes with the task's id, with an empty body; the function gets the event later."""
    pool = StandIn()
    async with desk(tmp_path, {"fn": pool}) as api:
        answer = await api.invoke(b"event", x_fc_invocation_type="Async")
        assert (answer.status, answer.body) == (202, b"")
        task_id = answer.headers["x-fc-async-task-id"]
        assert task_id == answer.headers["x-fc-request-id"]
        task = await api.ended("fn", task_id)
        assert (task.status, task.result) == (Status.SUCCEEDED, b"event")
        named = {"x_fc_invocation_type": "async", "x_fc_async_task_id": "mine"}
        answer = await api.invoke(b"x", "fn", **named)
        assert answer.headers["x-fc-async-task-id"] == "mine"
        refused(await api.invoke(b"x", "fn", **named), 409, "AsyncTaskAlreadyExists")
    assert pool.calls[0].request_id == task_id


async def test_202_means_that_the_call_is_on_disk(tmp_path: Path) -> None:
    """A call that the file did not take is answered with 500 and not run."""
    pool = StandIn()
    async with desk(tmp_path, {"fn": pool}) as api:
        pages = api.store._value("PRAGMA page_count")
        api.store._connection.execute(f"PRAGMA max_page_count = {pages}")
        answer = await api.invoke(bytes(100_000), x_fc_invocation_type="Async")
        assert "full" in refused(answer, 500, "InternalServerError")
        api.store._connection.execute(f"PRAGMA max_page_count = {pages + 1000}")
    assert not pool.calls


async def submitted(api: Desk, count: int) -> None:
    """Submit calls t0, t1 ... and wait for their ends."""
    for index in range(count):
        await api.invoke(
            str(index).encode(), x_fc_invocation_type="Async", x_fc_async_task_id=f"t{index}"
        )
        await api.ended("fn", f"t{index}")


async def test_tasks_are_listed(tmp_path: Path) -> None:
    """Page by page, the newest first, by status and prefix; with payloads when asked for."""
    tasks = f"{FUNCTIONS}/fn/async-tasks"
    async with desk(tmp_path, {"fn": StandIn()}) as api:
        await submitted(api, 5)
        seen, token = [], ""
        while True:
            page = (await api.ask(f"{tasks}?limit=2&nextToken={token}")).json()
            seen += [task["taskId"] for task in page["tasks"]]
            token = page.get("nextToken", "")
            if not token:
                break
        assert seen == ["t4", "t3", "t2", "t1", "t0"]
        oldest = (await api.ask(f"{tasks}?sortOrderByTime=asc&limit=2")).json()["tasks"]
        assert [task["taskId"] for task in oldest] == ["t0", "t1"]
        query = "?status=Succeeded&prefix=t1&includePayload=true&sortOrderByTime=asc"
        (task,) = (await api.ask(f"{tasks}{query}")).json()["tasks"]
        assert (task["taskId"], task["taskPayload"], task["returnPayload"]) == ("t1", "1", "1")
        assert (await api.ask(f"{tasks}?status=Failed")).json() == {"tasks": []}
        assert "taskPayload" not in (await api.ask(tasks)).json()["tasks"][0]
        begun = task["startedTime"]
        inside = await api.ask(f"{tasks}?startedTimeBegin={begun - 1}&startedTimeEnd={begun + 1}")
        assert "t1" in [found["taskId"] for found in inside.json()["tasks"]]
        assert (await api.ask(f"{tasks}?startedTimeEnd={begun - 60_000}")).json() == {"tasks": []}


async def test_a_task_is_told_with_its_events(tmp_path: Path) -> None:
    """GetAsyncTask has the platform's keys, and the time of each step in milliseconds."""
    async with desk(tmp_path, {"fn": StandIn()}) as api:
        await submitted(api, 1)
        task = (await api.ask(f"{FUNCTIONS}/fn/async-tasks/t0")).json()
    steps = [(event["eventId"], event["status"]) for event in task["events"]]
    assert steps == [(1, "Enqueued"), (2, "Dequeued"), (3, "Running"), (4, "Succeeded")]
    assert task["events"][0]["timestamp"] == task["startedTime"] > 1_700_000_000_000
    assert task["endTime"] == task["events"][-1]["timestamp"]
    assert task["functionArn"] == "acs:fc:cn-hangzhou:1000000000000000:functions/fn"
    facts = {
        "status": "Succeeded",
        "alreadyRetriedTimes": 0,
        "durationMs": 4,
        "qualifier": "LATEST",
    }
    assert facts.items() <= task.items()


async def test_tasks_are_kept_where_the_file_says_so(tmp_path: Path) -> None:
    """Without `asyncTask: true` the platform keeps no state of a call, and here none is shown."""
    functions = {"fn": function(asynchronous=AsyncConfig())}
    async with desk(tmp_path, {"fn": StandIn()}, functions) as api:
        await submitted(api, 1)
        assert (await api.ask(f"{FUNCTIONS}/fn/async-tasks")).json() == {"tasks": []}
        answer = await api.ask(f"{FUNCTIONS}/fn/async-tasks/t0")
        assert "asyncTask: true" in refused(answer, 404, "AsyncTaskNotFound")


async def test_a_task_is_stopped(tmp_path: Path) -> None:
    """StopAsyncTask ends a running call; a second time it changes nothing."""
    held = Held()
    kind = {"x_fc_invocation_type": "Async", "x_fc_async_task_id": "t"}
    async with desk(tmp_path, {"fn": StandIn(held)}) as api:
        await api.invoke(b"x", "fn", **kind)
        await held.begun.wait()
        stop = f"{FUNCTIONS}/fn/async-tasks/t/stop"
        assert (await api.ask(stop, method="PUT")).status == 200
        task = await api.ended("fn", "t")
        assert task.status is Status.STOPPED
        assert (await api.ask(stop, method="PUT")).status == 200
        assert await api.ended("fn", "t") == task


async def test_functions_are_listed(tmp_path: Path) -> None:
    """By name and prefix, page by page."""
    pools = {name: StandIn() for name in ("b-1", "a", "b-2", "b-3", "c")}
    async with desk(tmp_path, pools) as api:
        seen, token = [], ""
        while True:
            page = (await api.ask(f"{FUNCTIONS}?prefix=b-&limit=2&nextToken={token}")).json()
            seen.append([found["functionName"] for found in page["functions"]])
            token = page.get("nextToken", "")
            if not token:
                break
        assert seen == [["b-1", "b-2"], ["b-3"]]
        assert len((await api.ask(FUNCTIONS)).json()["functions"]) == 5


async def test_with_an_access_key_only_signed_requests_are_taken(tmp_path: Path) -> None:
    """Whatever is asked for, a missing signature is told first, and no body is waited for."""
    pool = StandIn()
    key = ("id", "secret")
    async with desk(tmp_path, {"fn": pool}, access_key=key) as api, api.client() as client:
        head = f"POST {INVOCATIONS} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"
        refused(await client.ask(head.encode()), 400, "MissingRequiredHeader")
        for path in (FUNCTIONS, f"{FUNCTIONS}/fn", "/nowhere"):
            refused(await api.ask(path), 400, "MissingRequiredHeader")
    assert not pool.calls


async def test_a_signed_call_has_the_body_that_was_signed(tmp_path: Path) -> None:
    """Another body under the same signature is refused before the function sees it."""
    key, pool = ("id", "secret"), StandIn()

    def signed(nonce: str) -> dict[str, str]:
        headers = {
            "host": "127.0.0.1",
            "x-acs-content-sha256": hashlib.sha256(b"signed").hexdigest(),
            "x-acs-date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "x-acs-signature-nonce": nonce,
        }
        head = Head("POST", INVOCATIONS, "", {name: [value] for name, value in headers.items()})
        signature = signature_of(head, list(headers), key[1])
        fields = f"Credential={key[0]},SignedHeaders={';'.join(headers)},Signature={signature}"
        del headers["host"]  # each request has it
        return {**headers, "Authorization": f"{ALGORITHM} {fields}"}

    async with desk(tmp_path, {"fn": pool}, access_key=key) as api:
        assert (await api.invoke(b"signed", "fn", **signed("1"))).status == 200
        refused(await api.invoke(b"Signed", "fn", **signed("2")), 403, "SignatureNotMatch")
    assert len(pool.calls) == 1


async def test_a_connection_takes_one_call_after_another(tmp_path: Path) -> None:
    """Connections are kept."""
    async with desk(tmp_path, {"fn": StandIn()}) as api, api.client() as client:
        for _ in range(3):
            answer = await client.ask(request(b"x", path=INVOCATIONS))
            assert (answer.status, answer.closes) == (200, False)
