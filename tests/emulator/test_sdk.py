"""The official SDK's own client against the API: its tests need no change but the endpoint."""

# mypy: disable-error-code=import-untyped
# The SDK has no types.

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest
from alibabacloud_fc20230330 import models
from alibabacloud_fc20230330.client import Client
from alibabacloud_tea_openapi.exceptions import ClientException, ServerException
from alibabacloud_tea_openapi.utils_models import Config
from darabonba.runtime import RuntimeOptions

from service.emulator.calls import Invocation, Outcome, PlatformError
from tests.emulator.standins import Desk, Held, StandIn, desk, echo, failing

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")

KEY = ("LTAI-desk", "the-secret")


def client(api: Desk, key: tuple[str, str] = KEY) -> Client:
    """The SDK's client, pointed at the API."""
    endpoint = f"127.0.0.1:{api.port}"
    config = Config(
        access_key_id=key[0], access_key_secret=key[1], endpoint=endpoint, protocol="HTTP"
    )
    return Client(config)


def invoke_request(body: bytes, **values: Any) -> models.InvokeFunctionRequest:
    """An InvokeFunction request."""
    return models.InvokeFunctionRequest(body=body, **values)


def kind(**values: str) -> models.InvokeFunctionHeaders:
    """The `x-fc-*` headers of an InvokeFunction request."""
    return models.InvokeFunctionHeaders(**values)


async def play(call: Invocation) -> Outcome:
    """Fail as the event says, else answer with it."""
    if call.event == b"full":
        raise PlatformError(429, "ResourceExhausted", "all instances are full")
    if call.event == b"broken":
        raise PlatformError(503, "ServiceUnavailable", "no instance")
    if call.event == b"raise":
        return failing(call)
    outcome = await echo(call)
    return Outcome(call.request_id, outcome.body, log=b"a line\n" if call.tail else None)


@pytest.mark.parametrize("signed", [True, False])
async def test_the_sdk_invokes(tmp_path: Path, signed: bool) -> None:
    """Its blocking and its asyncio methods get the function's bytes; its signature is the one that
    is checked.
    """
    async with desk(tmp_path, {"fn": StandIn(play)}, access_key=KEY if signed else None) as api:
        sdk = client(api)
        request = invoke_request(b"\x00 event", qualifier="LATEST")
        answer = await asyncio.to_thread(sdk.invoke_function, "fn", request)
        assert (answer.status_code, answer.body.read()) == (200, b"\x00 event")
        answer = await sdk.invoke_function_async("fn", request)
        assert (answer.status_code, answer.body.read()) == (200, b"\x00 event")
        assert answer.headers["x-fc-request-id"].startswith("1-")


async def test_the_sdk_gets_the_tail_of_the_log(tmp_path: Path) -> None:
    """`x-fc-log-type: Tail` by the SDK's own field."""
    async with desk(tmp_path, {"fn": StandIn(play)}, access_key=KEY) as api:
        answer = await client(api).invoke_function_with_options_async(
            "fn", invoke_request(b"x"), kind(x_fc_log_type="Tail"), RuntimeOptions()
        )
    assert base64.b64decode(answer.headers["x-fc-log-result"]) == b"a line\n"


async def test_the_sdk_sees_function_errors(tmp_path: Path) -> None:
    """They raise nothing: the header tells."""
    async with desk(tmp_path, {"fn": StandIn(play)}) as api:
        answer = await client(api).invoke_function_async("fn", invoke_request(b"raise"))
    assert answer.headers["x-fc-error-type"] == "UnhandledInvocationError"
    assert b"errorMessage" in answer.body.read()


@pytest.mark.parametrize(
    ("name", "request_", "error", "code"),
    [
        ("other", invoke_request(b"x"), ClientException, "FunctionNotFound"),
        ("fn", invoke_request(b"x", qualifier="2"), ClientException, "VersionNotFound"),
        ("fn", invoke_request(b"full"), ClientException, "ResourceExhausted"),
        ("fn", invoke_request(b"broken"), ServerException, "ServiceUnavailable"),
    ],
    ids=["function", "version", "429", "503"],
)
async def test_the_sdk_raises_by_class(
    tmp_path: Path,
    name: str,
    request_: models.InvokeFunctionRequest,
    error: type[Exception],
    code: str,
) -> None:
    """4xx and 5xx are told apart, with the platform's code and the request's id."""
    async with desk(tmp_path, {"fn": StandIn(play)}, access_key=KEY) as api:
        sdk = client(api)
        with pytest.raises(error) as raised:
            await asyncio.to_thread(sdk.invoke_function, name, request_)
        assert raised.value.code == code  # type: ignore[attr-defined]  # the SDK has no types
        with pytest.raises(error):
            await sdk.invoke_function_async(name, request_)


@pytest.mark.parametrize(
    ("key", "code"),
    [(("LTAI-other", KEY[1]), "InvalidAccessKeyID"), ((KEY[0], "wrong"), "SignatureNotMatch")],
)
async def test_the_sdk_is_refused_with_a_wrong_key(
    tmp_path: Path, key: tuple[str, str], code: str
) -> None:
    """The key that was given to the emulator is the only one."""
    async with desk(tmp_path, {"fn": StandIn(play)}, access_key=KEY) as api:
        with pytest.raises(ClientException) as raised:
            await client(api, key).invoke_function_async("fn", invoke_request(b"x"))
    assert raised.value.code == code


async def test_the_sdk_submits_and_follows_tasks(tmp_path: Path) -> None:
    """Async invocation, GetAsyncTask, ListAsyncTasks with pages, all read into the SDK's models."""
    async with desk(tmp_path, {"fn": StandIn(play)}, access_key=KEY) as api:
        sdk = client(api)
        for index in range(3):
            headers = kind(x_fc_invocation_type="Async", x_fc_async_task_id=f"t{index}")
            answer = await sdk.invoke_function_with_options_async(
                "fn", invoke_request(b"x"), headers, RuntimeOptions()
            )
            assert answer.status_code == 202
            assert answer.headers["x-fc-async-task-id"] == f"t{index}"
            await api.ended("fn", f"t{index}")
        got = await asyncio.to_thread(sdk.get_async_task, "fn", "t1", models.GetAsyncTaskRequest())
        assert (got.body.status, got.body.task_payload) == ("Succeeded", "x")
        assert got.body.events[-1].status == "Succeeded"
        assert got.body.events[-1].timestamp == got.body.end_time
        seen, token = [], None
        while True:
            asked = models.ListAsyncTasksRequest(status="Succeeded", limit=2, next_token=token)
            page = await sdk.list_async_tasks_async("fn", asked)
            seen += [task.task_id for task in page.body.tasks]
            token = page.body.next_token
            if not token:
                break
        assert seen == ["t2", "t1", "t0"]


async def test_the_sdk_stops_a_task(tmp_path: Path) -> None:
    """StopAsyncTask by the blocking method, while the call runs."""
    held = Held()
    async with desk(tmp_path, {"fn": StandIn(held)}, access_key=KEY) as api:
        sdk = client(api)
        await sdk.invoke_function_with_options_async(
            "fn",
            invoke_request(b"x"),
            kind(x_fc_invocation_type="Async", x_fc_async_task_id="t"),
            RuntimeOptions(),
        )
        await held.begun.wait()
        await asyncio.to_thread(sdk.stop_async_task, "fn", "t", models.StopAsyncTaskRequest())
        assert (await api.ended("fn", "t")).status == "Stopped"
        got = await sdk.get_async_task_async("fn", "t", models.GetAsyncTaskRequest())
        assert got.body.status == "Stopped"


async def test_the_sdk_reads_functions(tmp_path: Path) -> None:
    """GetFunction and ListFunctions fill the SDK's models."""
    async with desk(tmp_path, {"a": StandIn(), "b": StandIn()}, access_key=KEY) as api:
        sdk = client(api)
        got = await sdk.get_function_async("a", models.GetFunctionRequest())
        assert got.body.function_name == "a"
        assert (got.body.runtime, got.body.memory_size) == ("custom.debian12", 512)
        listed = await asyncio.to_thread(sdk.list_functions, models.ListFunctionsRequest(limit=1))
        assert [found.function_name for found in listed.body.functions] == ["a"]
        assert listed.body.next_token == "a"
