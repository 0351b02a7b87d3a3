"""Serverless Devs works with the emulator: what its component fc3 sends is answered, and `s plan`
finds no difference. The requests are those of `s` 3.1.10 with the component 0.1.22.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from service.emulator.api.models import function_model, trigger_model
from service.emulator.calls import Invocation, Outcome
from service.emulator.spec.model import DeployedFunction
from service.emulator.spec.read import read, read_mapping
from tests.emulator.api.component import file_side, platform_side, trigger_sides
from tests.emulator.standins import StandIn, desk
from tests.parse_spec import HERE, NAMES, RECORD, copied

ROOT = Path(__file__).parents[3]
ITSELF = {
    "11-nas-ids": "the component compares a NAS configuration without mount points with none",
    "55-code-oss": "the emulator refuses code in a bucket",
    "65-quoted-numbers": "the component compares a text with the number that it became",
    "71-nothing": "the component compares an empty network with none",
}
"""Cases in which the component finds a difference whatever the platform says."""

PROPS: Mapping[str, Any] = {
    "region": "cn-hangzhou",
    "functionName": "fn",
    "runtime": "custom.debian12",
    "code": ".",
    "customRuntimeConfig": {"command": ["python3"], "args": ["-m", "x"], "port": 9000},
}
OSS = {"events": ["oss:ObjectCreated:*"], "filter": {"key": {"prefix": "a", "suffix": ""}}}
HTTP = {"authType": "anonymous", "methods": ["GET"]}
POINT = {"mountDir": "/mnt/a", "bucketName": "b", "endpoint": "http://oss", "bucketPath": "/"}


def of_file(folder: Path, **props: Any) -> DeployedFunction:
    """The function of a file that says so."""
    resources = {"fn": {"component": "fc3", "props": {**PROPS, **props}}}
    spec = {"edition": "3.0.0", "name": "tests", "resources": resources}
    return read_mapping(spec, folder=folder).functions["fn"]


def told(function: DeployedFunction) -> dict[str, Any]:
    """GetFunction's answer."""
    answer: dict[str, Any] = json.loads(json.dumps(function_model(function, 0.0)))
    return answer


# --- s plan


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ITSELF])
def test_a_plan_for_a_file_of_users_finds_no_difference(name: str, tmp_path: Path) -> None:
    """For every case, in what Serverless Devs' own parser makes of it: function and triggers."""
    file = copied(name, tmp_path)
    functions = read(file, environ={"HOME": "/root", "PATH": "/usr/bin"}).functions
    record = json.loads(RECORD.read_text().replace(HERE, str(file.parent)))[name]
    compared = [each["props"] for each in record if each["props"].get("functionName") in functions]
    assert compared
    for props in compared:
        function = functions[props["functionName"]]
        found = platform_side(told(function))
        assert file_side(props, found) == found
        for trigger in props.get("triggers", []):
            mine, theirs = trigger_sides(trigger, trigger_model(trigger, 0.0))
            assert mine == theirs


@pytest.mark.parametrize("name", ["s.yaml", "s.image.yaml"])
def test_a_plan_for_what_this_repository_deploys_finds_no_difference(name: str) -> None:
    """As code and as an image, with variables and `auto`."""
    (function,) = read(ROOT / name, code=ROOT, environ={}).functions.values()
    found = platform_side(told(function))
    assert file_side(function.props, found) == found


@pytest.mark.parametrize(
    "said",
    [
        {"logConfig": "auto", "nasConfig": "auto", "vpcConfig": "auto", "ossMountConfig": "auto"},
        {"logConfig": "AUTO", "role": "someRole"},
        {"vpcConfig": {"vpcId": "v", "vSwitchIds": ["s"], "securityGroupId": "g"}},
        {"nasConfig": {"mountPoints": [{"serverAddr": "a:/", "mountDir": "/mnt/a"}]}},
        {"ossMountConfig": {"mountPoints": [POINT]}},
        {"layers": ["acs:fc:cn-hangzhou:official:layers/Python310/versions/3"]},
        {"sessionAffinityConfig": {"sseEndpointPath": "/sse"}, "sessionAffinity": "MCP_SSE"},
        {"instanceLifecycleConfig": {"initializer": {"handler": "initialize"}}},
        {"memorySize": 512, "cpu": 0.5, "diskSize": 10240},
        {"memorySize": 1024, "customRuntimeConfig": None, "description": None},
        {"runtime": "python3.10", "handler": "index.handler", "customRuntimeConfig": None},
        {
            "runtime": "custom-container",
            "customContainerConfig": {
                "image": "a/b:1",
                "registryConfig": {"auth": {"userName": "u", "password": "p"}},
            },
        },
    ],
)
def test_a_plan_finds_no_difference(said: dict[str, Any], tmp_path: Path) -> None:
    """Neither in what a deployment makes, nor in what it fills in or writes differently."""
    props = {key: each for key, each in {**PROPS, **said}.items() if each is not None}
    found = platform_side(told(of_file(tmp_path, **said)))
    assert file_side(props, found) == found


def test_what_a_deployment_makes_is_told_as_made(tmp_path: Path) -> None:
    """`auto` becomes an object, as the SDK's models want it, with the words that follow it."""
    answer = told(
        of_file(
            tmp_path,
            logConfig="auto|enableRequestMetrics=false",
            ossMountConfig="auto|mountDir=/mnt/o|readOnly=true",
            nasConfig="auto|nasDir=/n",
            vpcConfig={"vpcId": "v", "vSwitchIds": "auto", "securityGroupId": "auto"},
            role="Some",
        )
    )
    assert answer["logConfig"]["enableRequestMetrics"] is False
    assert answer["logConfig"]["project"]
    assert answer["logConfig"]["logstore"]
    [point] = answer["ossMountConfig"]["mountPoints"]
    assert (point["mountDir"], point["readOnly"], point["bucketPath"]) == ("/mnt/o", True, "/")
    assert answer["nasConfig"]["mountPoints"][0]["serverAddr"].endswith(":/n")
    assert answer["vpcConfig"]["vpcId"] == "v"
    assert isinstance(answer["vpcConfig"]["vSwitchIds"], list)
    assert answer["role"] == "acs:ram::1000000000000000:role/some"


def test_what_has_another_form_in_the_api_is_told_in_that_form(tmp_path: Path) -> None:
    """Layers and tags are objects, session affinity is a text, a password is not told."""
    container = {"image": " a/b:1 ", "registryConfig": {"auth": {"userName": "u", "password": "p"}}}
    answer = told(
        of_file(
            tmp_path,
            runtime="custom-container",
            customContainerConfig=container,
            layers=["acs:fc:x"],
            tags=[{"key": "k", "value": "v"}],
            sessionAffinityConfig={"sseEndpointPath": "/sse"},
        )
    )
    assert answer["layers"] == [{"arn": "acs:fc:x", "size": 0}]
    assert answer["tags"] == [{"Key": "k", "Value": "v"}]
    assert json.loads(answer["sessionAffinityConfig"]) == {"sseEndpointPath": "/sse"}
    assert answer["customContainerConfig"] == {"image": "a/b:1"}


@pytest.mark.parametrize(
    "key",
    [
        *("vpcConfig", "nasConfig", "ossMountConfig", "logConfig", "layers", "tags"),
        *("tracingConfig", "customDNS", "gpuConfig", "polarFsConfig"),
    ],
)
def test_a_value_of_another_type_is_left_out(key: str, tmp_path: Path) -> None:
    """One wrong key that is only warned of does not break the list of all functions."""
    assert key not in told(of_file(tmp_path, **{key: 5}))


def test_triggers_are_told_as_deployed(tmp_path: Path) -> None:
    """A role's name is a resource name, and an HTTP trigger has an address, which is none here."""
    trigger = {"triggerName": "o", "triggerType": "oss", "triggerConfig": OSS}
    answer = trigger_model({**trigger, "invocationRole": "R", "sourceArn": "acs:oss:b"}, 0.0)
    assert answer["invocationRole"] == "acs:ram::1000000000000000:role/r"
    assert answer["sourceArn"] == "acs:oss:b"
    web = trigger_model({"triggerName": "w", "triggerType": "http", "triggerConfig": HTTP}, 0.0)
    assert web["httpTrigger"] == {"urlInternet": "", "urlIntranet": ""}


# --- what the component sends

READ = {
    "list": ["functions?limit=100&nextToken="],
    "list --limit 1 --prefix f": ["functions?limit=1&prefix=f"],
    "plan, info": [
        "functions/fn",
        "functions/fn/triggers/t",
        "functions/fn/async-invoke-config?qualifier=LATEST",
        "functions/fn/vpc-bindings",
        "functions/fn/provision-config?qualifier=LATEST",
        "functions/fn/scaling-config?qualifier=LATEST",
        "functions/fn/concurrency",
    ],
    "instance list": ["functions/fn/instances?qualifier=LATEST&withAllActive=true"],
    "version list": ["functions/fn/versions?limit=100"],
    "alias list": ["functions/fn/aliases?limit=100"],
    "provision list": ["provision-configs?functionName=fn&limit=100"],
    "scaling list": ["scaling-configs?functionName=fn&limit=100"],
}
HEADERS = {
    "x-acs-version": "2023-03-30",
    "user-agent": "AlibabaCloud (linux; x64) Node.js/v20.20.2 Core/1.0.1 TeaDSL/2 "
    "S3:3.1.10;Component:fc3@0.1.22;Env:linux;Nodejs:v20.20.2;OS:linux-x64;",
    "accept": "application/json",
    "x-acs-credentials-provider": "static_ak",
    "Connection": "keep-alive",
}


@pytest.mark.parametrize("command", READ)
async def test_what_a_command_reads_is_answered(command: str, tmp_path: Path) -> None:
    """Each request of `s list`, `s plan` and the others has an answer."""
    timer = {"cronExpression": "@every 1h", "enable": True}
    function = of_file(
        tmp_path,
        triggers=[{"triggerName": "t", "triggerType": "timer", "triggerConfig": timer}],
        asyncInvokeConfig={"maxAsyncRetryAttempts": 1},
        vpcBinding={"vpcIds": ["v"]},
        scalingConfig={"minInstances": 1},
    )
    async with desk(tmp_path, {"fn": StandIn()}, {"fn": function}) as api:
        for path in READ[command]:
            answer = await api.ask(f"/2023-03-30/{path}", b"", "GET", **HEADERS)
            assert answer.status == 200, path
            assert answer.headers["content-type"] == "application/json"
            assert isinstance(answer.json(), dict)


async def test_what_belongs_to_a_function_is_told_as_in_the_file(tmp_path: Path) -> None:
    """Asynchronous calls, networks and scaling: what the file leaves out is not made up."""
    function = of_file(
        tmp_path,
        asyncInvokeConfig={"qualifier": "LATEST", "asyncTask": True},
        vpcBinding={"vpcIds": ["v2", "v1"]},
        scalingConfig={"horizontalScalingPolicies": []},
    )
    async with desk(tmp_path, {"fn": StandIn()}, {"fn": function}) as api:
        asked = "functions/fn/{}?qualifier=LATEST"
        config = await api.ask("/2023-03-30/" + asked.format("async-invoke-config"))
        apart = {"createdTime", "functionArn", "lastModifiedTime"}
        assert {k: v for k, v in config.json().items() if k not in apart} == {"asyncTask": True}
        scaling = await api.ask("/2023-03-30/" + asked.format("scaling-config"))
        assert "minInstances" not in scaling.json()
        assert scaling.json()["horizontalScalingPolicies"] == []
        bound = await api.ask("/2023-03-30/functions/fn/vpc-bindings")
        assert bound.json() == {"vpcIds": ["v2", "v1"]}
        listed = await api.ask("/2023-03-30/scaling-configs?functionName=fn&limit=100")
        assert [each["targetInstances"] for each in listed.json()["scalingConfigs"]] == [0]


async def test_s_invoke_gets_the_result_and_the_log(tmp_path: Path) -> None:
    """Its event comes in chunks, and it asks for the log."""

    async def play(call: Invocation) -> Outcome:
        log = b"a line\n" if call.tail else None
        return Outcome(call.request_id, call.event, instance_id="c-1", log=log)

    head = (
        "POST /2023-03-30/functions/fn/invocations?qualifier=LATEST HTTP/1.1",
        "host: 127.0.0.1",
        *(f"{name}: {value}" for name, value in HEADERS.items()),
        "x-acs-action: InvokeFunction",
        "x-fc-invocation-type: Sync",
        "x-fc-log-type: Tail",
        "content-type: application/octet-stream",
        "Transfer-Encoding: chunked",
    )
    body = 'f\r\n{"name": "you"}\r\n0\r\n\r\n'
    async with desk(tmp_path, {"fn": StandIn(play)}) as api, api.client() as client:
        answer = await client.ask(("\r\n".join(head) + "\r\n\r\n" + body).encode())
    assert (answer.status, answer.body) == (200, b'{"name": "you"}')
    assert base64.b64decode(answer.headers["x-fc-log-result"]) == b"a line\n"
    assert answer.headers["x-fc-instance-id"] == "c-1"
    assert answer.headers["x-fc-request-id"]
