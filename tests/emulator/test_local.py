"""The emulator as a whole, as tests use it: real instances behind the API, and the official SDK."""

# mypy: disable-error-code=import-untyped
# The SDK has no types.

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from alibabacloud_fc20230330 import models
from alibabacloud_fc20230330.client import Client
from alibabacloud_tea_openapi.utils_models import Config
from darabonba.runtime import RuntimeOptions

from service.emulator import emulator
from service.emulator.calls import Outcome, PlatformError
from service.emulator.instances.proc import process_table
from service.emulator.local import FunctionCompute
from service.emulator.log import Log
from service.emulator.queue.task import AsyncTask
from service.errors import StartError
from tests.emulator.play import FUNCTIONS, WITHIN, Entries, free_port

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")

Props = Mapping[str, Any]
HOOKS = {
    "initializer": {"handler": "initialize", "timeout": 30},
    "preStop": {"handler": "pre_stop", "timeout": 30},
}


def ours(name: str = "ours", **changes: Any) -> Props:
    """The `props` of a function that this service runs."""
    concurrency = changes.get("instanceConcurrency", 1)
    return {
        "functionName": name,
        "code": str(FUNCTIONS / "service"),
        "customRuntimeConfig": {
            "command": ["python3"],
            "args": ["-m", "service", "--concurrency", str(concurrency)],
            "port": free_port(),
        },
        "handler": "index.handler",
        **changes,
    }


def program(name: str, file: str, *arguments: str, **changes: Any) -> Props:
    """The `props` of a function whose server is a program of its own."""
    port = free_port()
    told = [argument.format(port=port) for argument in arguments]
    config = {"command": ["python3", file], "args": told, "port": port}
    return {
        "functionName": name,
        "code": str(FUNCTIONS),
        "customRuntimeConfig": config,
        **changes,
    }


def spec(*functions: Props) -> dict[str, Any]:
    """What a file with these functions holds."""
    common = {"region": "cn-hangzhou", "runtime": "custom.debian12", "timeout": 30}
    resources = {
        props["functionName"]: {"component": "fc3", "props": {**common, **props}}
        for props in functions
    }
    return {"edition": "3.0.0", "name": "tests", "resources": resources}


@asynccontextmanager
async def played(
    *functions: Props, **options: Any
) -> AsyncIterator[tuple[FunctionCompute, Entries]]:
    """An emulator and its log."""
    entries = Entries()
    log = Log(entries.write, as_json=True)
    async with emulator(spec(*functions), log=log, **options) as fc:
        yield fc, entries


def sdk(fc: FunctionCompute) -> Client:
    """The official client, of which nothing is changed but the endpoint."""
    endpoint = fc.url.removeprefix("http://")
    return Client(
        Config(access_key_id="ak", access_key_secret="sk", endpoint=endpoint, protocol="HTTP")
    )


ANY = [
    pytest.param(ours(), id="ours"),
    pytest.param(program("flask", "flask_sample.py", "{port}"), id="the platform's Flask sample"),
    pytest.param(program("bare", "bare.py"), id="a bare http.server"),
]


@pytest.mark.parametrize("function", ANY)
async def test_any_custom_runtime_is_called_by_the_sdk(function: Props) -> None:
    """Ours, the platform's Flask sample, and a server made of the standard library alone."""
    async with played(function) as (fc, _):
        request = models.InvokeFunctionRequest(body=b"an event")
        answer = await sdk(fc).invoke_function_async(function["functionName"], request)
        assert answer.status_code == 200
        assert "x-fc-error-type" not in answer.headers
        assert answer.body.read() in (b"an event", b"Hello, World!")
        assert answer.headers["x-fc-instance-id"] == fc.instances(function["functionName"])[0].id


async def test_the_sdk_gets_a_call_s_log_and_a_function_error() -> None:
    """The tail of a call is what it wrote, marker lines included; an error is a 200 with a type."""
    async with played(ours()) as (fc, _):
        answer = await sdk(fc).invoke_function_with_options_async(
            "ours",
            models.InvokeFunctionRequest(body=b"print seen"),
            models.InvokeFunctionHeaders(x_fc_log_type="Tail"),
            RuntimeOptions(),
        )
        tail = base64.b64decode(answer.headers["x-fc-log-result"]).decode()
        request_id = answer.headers["x-fc-request-id"]
        assert f"FC Invoke Start RequestId: {request_id}" in tail
        assert f"{request_id} [STDOUT] seen" in tail
        answer = await sdk(fc).invoke_function_async(
            "ours", models.InvokeFunctionRequest(body=b"sleep never")
        )
        assert answer.status_code == 200
        assert answer.headers["x-fc-error-type"] == "UnhandledInvocationError"
        assert json.loads(answer.body.read())["errorType"] == "ValueError"


async def test_an_asynchronous_call_reaches_the_function_and_its_destination() -> None:
    """202 at once; then the function runs, fails, is run again, and the other one is told."""
    failing = ours(
        "failing",
        asyncInvokeConfig={
            "maxAsyncRetryAttempts": 1,
            "asyncTask": True,
            "destinationConfig": {
                "onFailure": {"destination": "acs:fc:cn-hangzhou:123:functions/told"}
            },
        },
    )
    async with played(failing, ours("told")) as (fc, entries):
        client = sdk(fc)
        answer = await client.invoke_function_with_options_async(
            "failing",
            models.InvokeFunctionRequest(body=b"sleep never"),
            models.InvokeFunctionHeaders(
                x_fc_invocation_type="Async", x_fc_async_task_id="the-task"
            ),
            RuntimeOptions(),
        )
        assert (answer.status_code, answer.headers["x-fc-async-task-id"]) == (202, "the-task")
        await entries.wait_for("ValueError", 2)
        await entries.wait_for("FC Invoke End", 3)
        ends = [entry for entry in entries.all if entry["text"].startswith("FC Invoke End")]
        assert [entry["function"] for entry in ends] == ["failing", "failing", "told"]
        task = await client.get_async_task_async(
            "failing", "the-task", models.GetAsyncTaskRequest()
        )
        assert task.body.status == "Failed"
        assert task.body.already_retried_times == 1


async def test_a_timer_of_the_file_fires() -> None:
    """Its event has the trigger's name and payload."""
    trigger = {
        "triggerName": "each-second",
        "triggerType": "timer",
        "triggerConfig": {"cronExpression": "@every 1s", "enable": True, "payload": "the payload"},
    }
    async with played(program("bare", "bare.py", triggers=[trigger])) as (fc, entries):
        await entries.wait_for("Duration: ", 2)
        async with asyncio.timeout(WITHIN):
            while fc.figures["bare"].calls < 2:  # noqa: ASYNC110 # a few turns of the loop
                await asyncio.sleep(0)
        # Before the stop, which may come upon a third call.
        assert fc.figures["bare"].errors == 0


async def test_a_thousand_calls_at_once_find_three_instances() -> None:
    """250 at a time with `instanceConcurrency: 100`: three instances, none above 100, no error;
    then all are frozen, one is thawed by a call, and all are stopped by the book.
    """
    function = ours("many", instanceConcurrency=100, instanceLifecycleConfig=HOOKS)
    async with played(function) as (fc, entries):
        gate = asyncio.Semaphore(250)

        async def call(number: int) -> Outcome:
            async with gate:
                event = b"sleep 0.1" if number % 2 else b"event %d" % number
                return await fc.invoke("many", event)

        outcomes = await asyncio.gather(*map(call, range(1000)))
        assert [outcome.error_type for outcome in outcomes if outcome.error_type] == []
        assert [outcome.body for outcome in outcomes[::2]] == [
            b"event %d" % number for number in range(0, 1000, 2)
        ]
        instances = fc.instances("many")
        assert len(instances) == 3
        assert max(instance.peak for instance in instances) <= 100
        assert sum(instance.served for instance in instances) == 1000
        await fc.idle("many")
        assert [instance.frozen for instance in instances] == [True, True, True]
        outcome = await fc.invoke("many", b"sleep 0.2")
        assert outcome.instance_id == instances[0].id
        pids = {each.processes.pid for each in instances if each.processes is not None}
        assert len(pids) == 3
    assert fc.figures["many"].row()["calls"] == 1001
    assert sum("FC PreStop End" in text for text in entries.texts) == 3
    assert not pids & set(process_table())


async def test_a_stop_loses_a_call_of_the_flask_sample_and_none_of_ours(tmp_path: Path) -> None:
    """SIGTERM ends the sample in the middle of a call; our service answers first."""
    flask = program("flask", "flask_sample.py", "{port}", instanceConcurrency=2)
    async with played(ours(), flask, stop_grace=WITHIN, private_tmp=False) as (fc, entries):
        await fc.invoke("ours", b"warm")
        await fc.invoke("flask", b"warm")
        done = tmp_path / "done"
        events = {"ours": f"until {done}", "flask": "sleep 1000"}
        calls = {
            name: asyncio.ensure_future(fc.invoke(name, event)) for name, event in events.items()
        }
        await entries.wait_for("FC Invoke Start", 4)
        stopping = asyncio.create_task(entries.wait_for("SIGTERM: stopping"))
        stopping.add_done_callback(lambda _: done.touch())
    assert (await calls["ours"]).error_type == ""
    with pytest.raises(PlatformError, match="Process exited unexpectedly"):
        await calls["flask"]


async def test_queued_calls_are_done_after_the_next_start(tmp_path: Path) -> None:
    """The queue is a file: what the emulator did not get to is done when it is there again."""
    state = tmp_path / "tasks.db"
    async with played(ours(), state=state, max_instances=1) as (fc, entries):
        tasks = [await fc.submit("ours", b"sleep 0.3") for _ in range(5)]
        await entries.wait_for("FC Invoke Start")
    async with played(ours(), state=state) as (fc, entries):

        def left() -> list[AsyncTask | None]:
            found = (fc.task("ours", task.id) for task in tasks)
            return [task for task in found if task is None or task.status != "Succeeded"]

        async with asyncio.timeout(WITHIN):
            while left():  # noqa: ASYNC110 - what is in a file tells nobody
                await asyncio.sleep(0.01)


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    """And nothing is left of what was begun."""
    async with played(ours()) as (fc, entries):
        port = int(fc.url.rpartition(":")[2])
        second = FunctionCompute(
            fc.spec, log=Log(entries.write), state=tmp_path / "tasks.db", port=port
        )
        with pytest.raises(StartError, match=f"cannot listen on 127.0.0.1:{port}.*--port"):
            await second.start()
