"""What is read from a `s.yaml`, what is refused, and what is warned of."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.emulator.spec import schema, unplayed
from service.emulator.spec.document import load_document
from service.emulator.spec.model import (
    AsyncConfig,
    DeployedFunction,
    Destination,
    HealthCheck,
    Spec,
    Timer,
)
from service.emulator.spec.read import read, read_mapping
from service.errors import UsageError
from service.events.sample import names

ROOT = Path(__file__).parents[3]

LEAST = {
    "region": "cn-hangzhou",
    "functionName": "fn",
    "runtime": "custom.debian12",
    "code": "./code",
}
"""Props that are sound and have nothing that could be left out."""

TIMER = {
    "triggerName": "t",
    "triggerType": "timer",
    "triggerConfig": {"cronExpression": "@every 5m", "enable": True},
}
OSS = {
    "triggerName": "o",
    "triggerType": "oss",
    "triggerConfig": {
        "events": ["oss:ObjectCreated:*"],
        "filter": {"key": {"prefix": "", "suffix": ""}},
    },
}
PROVISION = {
    "defaultTarget": 2,
    "alwaysAllocateCPU": True,
    "alwaysAllocateGPU": False,
    "scheduledActions": [],
    "targetTrackingPolicies": [],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the file is, with a directory `code` beside it."""
    (tmp_path / "code").mkdir()
    return tmp_path


def document(*functions: Mapping[str, Any], **top: Any) -> dict[str, Any]:
    """A file with functions `fn`, `fn1` and so on, which have the least props and these."""
    resources = {
        f"fn{number or ''}": {"component": "fc3", "props": {**LEAST, **props}}
        for number, props in enumerate(functions)
    }
    return {"edition": "3.0.0", "name": "app", "resources": resources, **top}


def function(folder: Path, **props: Any) -> DeployedFunction:
    """The function of a file with these props."""
    spec = read_mapping(document(props), folder=folder, environ={})
    (found,) = spec.functions.values()
    return found


def refusal(folder: Path, value: Any, **environ: str) -> list[str]:
    """What is said against a document, one line for each fault."""
    with pytest.raises(UsageError) as told:
        read_mapping(value, folder=folder, environ=environ)
    text = str(told.value)
    return [line.strip() for line in text.removeprefix("the spec: ").splitlines()]


def faults(folder: Path, **props: Any) -> list[str]:
    """What is said against a function with these props, without the place of the props."""
    lines = [line for line in refusal(folder, document(props)) if not line.startswith("the spec")]
    assert all(line.startswith("resources.fn.props.") for line in lines)
    return [line.removeprefix("resources.fn.props.") for line in lines]


def warned(folder: Path, **props: Any) -> list[str]:
    """What a function with these props is warned of, without the place of the props."""
    lines = read_mapping(document(props), folder=folder, environ={}).warnings
    return [line.removeprefix("resources.fn.props.") for line in lines]


# --- a function


def test_the_least_that_a_function_needs_has_the_platforms_defaults(folder: Path) -> None:
    """What is not in the file is what the platform takes for it."""
    props = dict(LEAST)
    assert function(folder) == DeployedFunction(
        name="fn",
        region="cn-hangzhou",
        runtime="custom.debian12",
        code=folder / "code",
        command=(f"{folder}/code/bootstrap",),
        port=9000,
        handler="handler",
        environment={},
        concurrency=1,
        timeout=3.0,
        memory=512,
        initializer_timeout=None,
        pre_stop_timeout=None,
        health=None,
        asynchronous=AsyncConfig(3, 86_400.0, False, None, None),
        provisioned=0,
        provisioned_freeze=False,
        max_instances=None,
        timers=(),
        props=props,
    )


def test_everything_that_is_played_is_read(folder: Path) -> None:
    """Each key that the emulator plays reaches the function."""
    check = {
        "httpGetUrl": "/ready",
        "initialDelaySeconds": 5,
        "periodSeconds": 10,
        "timeoutSeconds": 2,
        "failureThreshold": 4,
        "successThreshold": 6,
    }
    found = function(
        folder,
        handler="index.handler",
        description="what it does",
        customRuntimeConfig={
            "command": ["python3", "-u"],
            "args": ["main.py"],
            "port": 8080,
            "healthCheckConfig": check,
        },
        environmentVariables={"LEVEL": "debug"},
        instanceConcurrency=20,
        timeout=60,
        memorySize=1024,
        instanceLifecycleConfig={
            "initializer": {"handler": "initialize", "timeout": 30},
            "preStop": {"handler": "stop"},
        },
        asyncInvokeConfig={
            "maxAsyncRetryAttempts": 1,
            "maxAsyncEventAgeInSeconds": 60,
            "asyncTask": True,
            "destinationConfig": {
                "onSuccess": {"destination": "acs:fc:cn-hangzhou:1234:functions/fn"},
                "onFailure": {"destination": "acs:fc:cn-hangzhou::functions/fn/LATEST"},
            },
        },
        provisionConfig=PROVISION,
        concurrencyConfig={"reservedConcurrency": 3},
        triggers=[TIMER],
    )
    assert (found.handler, found.description) == ("index.handler", "what it does")
    assert found.command == ("python3", "-u", "main.py")
    assert found.port == 8080
    assert found.health == HealthCheck("/ready", 5, 10, 2, 4, 6)
    assert found.environment == {"LEVEL": "debug"}
    assert (found.concurrency, found.timeout, found.memory) == (20, 60.0, 1024)
    assert (found.initializer_timeout, found.pre_stop_timeout) == (30.0, 3.0)
    assert found.asynchronous == AsyncConfig(1, 60.0, True, Destination("fn"), Destination("fn"))
    assert (found.provisioned, found.provisioned_freeze, found.max_instances) == (2, False, 3)
    assert found.timers == (Timer("t", "@every 5m", "", True),)


def test_session_affinity_sets_the_concurrency(folder: Path) -> None:
    """A function with sessions takes 200 calls at once; numbers may be text, with a warning."""
    config = {"affinityHeaderFieldName": "x-session", "sessionConcurrencyPerInstance": "2"}
    props = {"sessionAffinity": "HEADER_FIELD", "sessionAffinityConfig": config}
    found = function(folder, **props, instanceConcurrency=10)
    assert found.concurrency == 200
    assert found.sessions is not None
    assert (found.sessions.header, found.sessions.per_instance) == ("x-session", 2)
    told = " ".join(warned(folder, **props, instanceConcurrency=10))
    assert "instanceConcurrency: 10 is not played: session affinity sets it to 200" in told
    assert "'2' is text, read as a number" in told
    assert function(folder).sessions is None
    props["sessionAffinityConfig"] = {}
    assert faults(folder, **props)[0].startswith(
        "sessionAffinityConfig.affinityHeaderFieldName: is missing"
    )


def test_instances_at_least_are_provisioned_and_freeze(folder: Path) -> None:
    """`scalingConfig.minInstances` is played as provisioned instances that freeze when idle."""
    found = function(folder, scalingConfig={"minInstances": 1})
    assert (found.provisioned, found.provisioned_freeze) == (1, True)
    found = function(folder, provisionConfig={**PROVISION, "alwaysAllocateCPU": False})
    assert (found.provisioned, found.provisioned_freeze) == (2, True)


def test_a_timer_has_its_payload_and_may_be_off(folder: Path) -> None:
    """A timer trigger that is not enabled is read as such."""
    config = {"cronExpression": "0 0 4 * * *", "enable": False, "payload": '{"job": 1}'}
    found = function(folder, triggers=[{**TIMER, "triggerConfig": config}, OSS])
    assert found.timers == (Timer("t", "0 0 4 * * *", '{"job": 1}', False),)


@pytest.mark.parametrize("runtime", ["custom", "custom.debian10", "custom.debian11"])
def test_each_custom_runtime_is_played(folder: Path, runtime: str) -> None:
    """The runtimes differ in their images, which a desk has not."""
    assert function(folder, runtime=runtime).runtime == runtime


def test_a_container_runs_its_entrypoint_and_command(folder: Path) -> None:
    """An image is not used, which is said; `code` is where the file is."""
    props = {key: value for key, value in LEAST.items() if key != "code"}
    config = {"image": "a/b:1", "port": 8080, "entrypoint": ["sh"], "command": ["-c", "x /code/y"]}
    value = document({})
    value["resources"]["fn"]["props"] = {
        **props,
        "runtime": "custom-container",
        "customContainerConfig": config,
    }
    spec = read_mapping(value, folder=folder)
    found = spec.functions["fn"]
    assert found.command == ("sh", "-c", f"x {folder}/y")
    assert (found.port, found.code) == (8080, folder)
    assert spec.warnings == (
        "resources.fn.props.customContainerConfig.image: is not played:"
        " entrypoint and command run on this machine instead",
    )


# --- the code


@pytest.mark.parametrize(
    ("text", "here"),
    [
        ("/code", "HERE"),
        ("/code/", "HERE/"),
        ("/code/python:/opt:/code", "HERE/python:/opt:HERE"),
        ("--config=/code/app.toml", "--config=HERE/app.toml"),
        ("cd /code && exec '/code/run' >/code/log", "cd HERE && exec 'HERE/run' >HERE/log"),
        ("/codes /code.txt /code-x /code_x", "/codes /code.txt /code-x /code_x"),
        ("/opt/code ./code ~/code $HOME/code", "/opt/code ./code ~/code $HOME/code"),
        ("https://example.com/code/x", "https://example.com/code/x"),
    ],
)
def test_code_is_the_directory_on_this_desk(folder: Path, text: str, here: str) -> None:
    """In the command, its arguments and the environment, `/code` and what is below it are where the
    files are.
    """
    found = function(
        folder,
        customRuntimeConfig={"command": [text], "args": [text]},
        environmentVariables={"A": text},
    )
    expected = here.replace("HERE", str(folder / "code"))
    assert found.command == (expected, expected)
    assert found.environment == {"A": expected}
    assert found.props["environmentVariables"] == {"A": text}


def test_code_can_be_another_directory(folder: Path) -> None:
    """`code` takes the place of the file's, which need not be there then."""
    spec = read_mapping(document({"code": "./build/code"}), folder=folder, code=folder)
    assert spec.functions["fn"].code == folder
    with pytest.raises(UsageError, match=r"--code .*nowhere: is no directory"):
        read_mapping(document({}), folder=folder, code=folder / "nowhere")


def test_a_missing_directory_is_told_with_both_ways_out(folder: Path) -> None:
    """Make the bundle, or run the files where they are."""
    (told,) = faults(folder, code="./build/code")
    assert told == (
        "code: ./build/code is no directory: make it (`make bundle`), or run the files where they"
        " are with --code ."
    )
    (folder / "code.zip").touch()
    assert faults(folder, code="code.zip")[0].startswith("code: code.zip is no directory")


def test_code_may_be_an_object(folder: Path) -> None:
    """The source of the object form is a directory too."""
    code = {"src": "./code", "ossBucketName": "b", "ossObjectName": "o"}
    assert function(folder, code=code).code == folder / "code"


# --- references


REFERENCES: dict[str, tuple[str, object]] = {
    "a variable": ("${vars.name}", "app"),
    "a number keeps its type": ("${vars.deep.number}", 7),
    "a list keeps its type": ("${vars.deep.list}", ["a", "app"]),
    "an item of a list": ("${vars.deep.list.1}", "app"),
    "within text": ("x-${vars.name}-${vars.deep.number}-${vars.on}", "x-app-7-true"),
    "by way of another": ("${vars.other}", "app"),
    "the environment": ("${env('HERE')}", "set"),
    "the environment, with a default": ("${env('HERE', 'default')}", "set"),
    "a default": ("${env('NOWHERE', 'a, b')}", "a, b"),
    "an empty default": ("${env('NOWHERE', '')}", ""),
    "double quotes and spaces": ('${ env( "NOWHERE" , "x" ) }', "x"),
    "without quotes": ("${env(HERE)}", "set"),
    "as a path": ("${env.HERE}", "set"),
    "its own resource": ("${this.props.region}", "cn-hangzhou"),
    "another resource": ("${resources.fn.props.functionName}", "fn"),
    "the account": ("acs:ram::${config('AccountID')}:role/x", "acs:ram::1000000000000000:role/x"),
    "what a call returns is looked at once more": ("${env('DOLLAR')}", "app"),
    "a default that is a reference": ("${env('NOWHERE', vars.name)}", "app"),
    "a default keeps its type": ("${env('NOWHERE', 60)}", 60),
    "an empty variable is none": ("${env('EMPTY', 'x')}", "x"),
    "an index in brackets": ("${vars.deep.list[0]}", "a"),
    "by way of text of another form": ("${vars.parsed.a.b}", 1),
    "json": ("""${json('[1, "x"]')}""", [1, "x"]),
    "yaml": ("${yaml('[yes, 010]')}", ["yes", 10]),
    "text of a number": ("${str(vars.deep.number)}", "7"),
    "base64": ("${base64('abc')}", "YWJj"),
    "a list in text": ("x-${vars.deep.list}", "x-a,app"),
    "its resource's name": ("${this.name}", "fn"),
    "its resource's component": ("${this.component}", "fc3"),
    "the file's access": ("${this.access}", "default"),
    "what a deployment tells and the file knows": (
        "${resources.fn.output.runtime}",
        "custom.debian12",
    ),
    "what a deployment tells alone": ("${resources.fn.output.url}", "${resources.fn.output.url}"),
    "a secret": ("${secret('x')}", "${secret('x')}"),
    "no end": ("${vars.name", "${vars.name"),
    "a dollar": ("$HOME costs $5", "$HOME costs $5"),
}
VARS = {
    "name": "app",
    "other": "${vars.name}",
    "on": True,
    "deep": {"number": 7, "list": ["a", "${vars.name}"]},
}
PARSED = "${yaml(env('YAML'))}"


@pytest.mark.parametrize(("text", "value"), REFERENCES.values(), ids=REFERENCES)
def test_references_are_replaced(folder: Path, text: str, value: object) -> None:
    """What Serverless Devs fills in is filled in."""
    spec = read_mapping(
        document({"supplement": text}, vars={**VARS, "parsed": PARSED}, access="default"),
        folder=folder,
        environ={"HERE": "set", "DOLLAR": "${vars.name}", "EMPTY": "", "YAML": "{a: {b: 1}}"},
    )
    assert spec.functions["fn"].props["supplement"] == value


WRONG_REFERENCES: dict[str, tuple[str, str]] = {
    "unknown": ("${HOME}", "${HOME} is not known; there are ${vars.NAME}, ${env('NAME'"),
    "unknown function": ("${open('./x')}", "${open('./x')} is not known; there are"),
    "JavaScript": ("${env('A', 'x').trim()}", "is not known; there are"),
    "no such file": ("${file('./x')}", "file('./x') cannot be read: No such file"),
    "no such path": ("${path('./x')}", "path('./x') is not there: "),
    "no JSON": ("${json('x')}", "json() cannot read its text: "),
    "no YAML": ("${yaml('[')}", "yaml() cannot read its text: "),
    "no argument": ("${file()}", "file() takes one argument, here it has 0"),
    "no such variable": ("${vars.nmae}", "leads nowhere: vars has no 'nmae'; did you mean 'name'?"),
    "too deep": ("${vars.name.x}", "leads nowhere: vars.name has no 'x'"),
    "no such item": ("${vars.deep.list.2}", "leads nowhere: vars.deep.list has no '2'"),
    "no such resource": ("${resources.gn.props.x}", "leads nowhere: resources has no 'gn'"),
    "not set": ("${env('NOWHERE')}", "NOWHERE is not set; set it, write it into .env, or write"),
    "not set, as a path": ("${env.NOWHERE}", "NOWHERE is not set"),
    "config": ("${config('Other')}", "config('Other') is not known; there are AccountID"),
    "nested": ("${env('A', ${vars.name})}", "has a reference within a reference"),
    "a mapping in text": ("x-${vars.deep}", "${vars.deep} is a mapping: it cannot be part of text"),
    "itself": ("${this.props.supplement}", "leads back to itself"),
    "what it is in": ("${this.props}", "leads back to itself"),
}


@pytest.mark.parametrize(("text", "told"), WRONG_REFERENCES.values(), ids=WRONG_REFERENCES)
def test_a_wrong_reference_is_told_with_its_place(folder: Path, text: str, told: str) -> None:
    """A reference that leads nowhere is an error, not an empty value."""
    lines = refusal(folder, document({"supplement": text}, vars=VARS))
    assert lines[0].startswith("resources.fn.props.supplement: ")
    assert told in lines[0]
    assert len(lines) == 1


def test_a_ring_of_references_is_told(folder: Path) -> None:
    """Variables that name each other have no value."""
    ring = {"a": "${vars.b}", "b": "x-${vars.c}", "c": "${vars.a}"}
    lines = refusal(folder, document({"region": "${vars.a}"}, vars=ring))
    told = " ".join(lines)
    assert "leads back to itself: vars.b -> vars.c -> vars.a -> vars.b" in told
    assert "is not one of" not in told


def test_a_wrong_reference_in_a_variable_is_told_once(folder: Path) -> None:
    """Its place is that of the variable, whoever uses it."""
    value = document({"region": "${vars.r}"}, {"region": "${vars.r}", "functionName": "g"})
    assert refusal(folder, {**value, "vars": {"r": "${env('NOWHERE')}"}}) == [
        "vars.r: the environment variable NOWHERE is not set; set it, write it into .env, or write"
        " ${env('NOWHERE', 'default')}"
    ]
    lines = refusal(folder, {**value, "vars": {"r": "${this.props.region}"}})
    assert lines == ["vars.r: ${this.props.region} has a meaning within a resource only"]


def test_actions_are_not_read(folder: Path) -> None:
    """What stands in actions is for `s` alone."""
    value = document({})
    value["resources"]["fn"]["actions"] = {"pre-${regex('.*')}": [{"run": "${anything}"}]}
    assert read_mapping(value, folder=folder).warnings == ()


# --- faults


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "another type": ({"timeout": "soon"}, "timeout: 'soon' is not of type 'integer'"),
    "half a second": ({"timeout": "1.5"}, "timeout: 1.5 is not of type 'integer'"),
    "code": ({"code": 5}, "code: 5 is neither a directory nor an object"),
    "code of elsewhere": (
        {"code": {"ossBucketName": "b", "ossObjectName": "o"}},
        "code: is in OSS: run a directory of this machine with --code DIR",
    ),
    "a handler that is missing": ({"runtime": "python3.12"}, "handler: is missing"),
    "a mapping in the environment": (
        {"environmentVariables": {"N": {"a": "b"}}},
        "environmentVariables.N: {'a': 'b'} is not of type 'string'",
    ),
    "a command of one text": (
        {"customRuntimeConfig": {"command": "python3 app.py"}},
        "customRuntimeConfig.command: 'python3 app.py' is not of type 'array'",
    ),
    "a timer without a name": (
        {"triggers": [{**TIMER, "triggerName": None}]},
        "triggers[0].triggerName: is missing",
    ),
    "too small": ({"timeout": 0}, "timeout: 0 is less than the minimum of 1"),
    "too large": ({"instanceConcurrency": 201}, "instanceConcurrency: 201 is greater than the m"),
    "not a multiple": ({"memorySize": 100}, "memorySize: 100 is "),
    "a name": ({"functionName": "1st"}, "functionName: '1st' is not 1 to 64 letters"),
    "a long name": ({"functionName": "x" * 65}, "functionName: 'xxx"),
    "port": ({"customRuntimeConfig": {"port": 0}}, "customRuntimeConfig.port: 0 is not a whole"),
    "half a port": (
        {"customRuntimeConfig": {"port": 80.5}},
        "customRuntimeConfig.port: 80.5 is no",
    ),
    "initializer": (
        {"instanceLifecycleConfig": {"initializer": {"handler": "x", "timeout": 301}}},
        "instanceLifecycleConfig.initializer.timeout: 301 is not a whole number from 1 to 300",
    ),
    "preStop": (
        {"instanceLifecycleConfig": {"preStop": {"handler": "x", "timeout": 91}}},
        "instanceLifecycleConfig.preStop.timeout: 91 is not a whole number from 1 to 90",
    ),
    "two hooks in one": (
        {"instanceLifecycleConfig": {"preStop": {"handler": "x", "command": ["y"]}}},
        "instanceLifecycleConfig.preStop: has a handler and a command",
    ),
    "the platform's names": (
        {"environmentVariables": {"FC_X": "1"}},
        "environmentVariables.FC_X: names that begin with FC_ are the platform's own",
    ),
    "a variable's name": (
        {"environmentVariables": {"A-B": "1"}},
        "environmentVariables.A-B: a name is letters, digits and _",
    ),
    "a large environment": (
        {"environmentVariables": {"A": "é" * 2048}},
        "environmentVariables: names and values have 4097 bytes, the platform takes 4096",
    ),
    "a huge number": ({"customRuntimeConfig": {"port": 10**400}}, "customRuntimeConfig.port: 1000"),
    "a check of a host": (
        {"customRuntimeConfig": {"healthCheckConfig": {"httpGetUrl": "http://x/"}}},
        "customRuntimeConfig.healthCheckConfig.httpGetUrl: 'http://x/' is not a path",
    ),
    "a slow check": (
        {"customRuntimeConfig": {"healthCheckConfig": {"httpGetUrl": "/", "timeoutSeconds": 4}}},
        "customRuntimeConfig.healthCheckConfig.timeoutSeconds: 4 is not a whole number from 1 to 3",
    ),
    "retries": ({"asyncInvokeConfig": {"maxAsyncRetryAttempts": 9}}, "asyncInvokeConfig.maxAsyncR"),
    "a half retry": (
        {"asyncInvokeConfig": {"maxAsyncRetryAttempts": 1.5}},
        "asyncInvokeConfig.maxAsyncRetryAttempts: 1.5 is not a whole number from 0 to 8",
    ),
    "provisioned by half": (
        {"provisionConfig": {**PROVISION, "defaultTarget": 0.5}},
        "provisionConfig.defaultTarget: 0.5 is not a whole number",
    ),
    "no instance": (
        {"concurrencyConfig": {"reservedConcurrency": 0}},
        "concurrencyConfig.reserved",
    ),
    "a container without an image": (
        {"runtime": "custom-container"},
        "customContainerConfig: is m",
    ),
    "a container of no image": (
        {"runtime": "custom-container", "customContainerConfig": {"command": ["x"]}},
        "customContainerConfig.image: is missing",
    ),
    "a timer's expression": (
        {"triggers": [{**TIMER, "triggerConfig": {"cronExpression": "* *", "enable": True}}]},
        "triggers[0].triggerConfig.cronExpression: '* *' has 2 fields",
    ),
    "two triggers of a name": (
        {"triggers": [TIMER, {**OSS, "triggerName": "t"}]},
        "triggers[1].triggerName: 't' is the name of triggers[0] too",
    ),
    "triggers that are none": ({"triggers": "x"}, "triggers: 'x' is not of type 'array'"),
    "a trigger that is none": ({"triggers": ["x"]}, "triggers[0]: 'x' is not of type 'object'"),
}


@pytest.mark.parametrize(("props", "told"), FAULTS.values(), ids=FAULTS)
def test_what_the_platform_would_refuse_is_told(
    folder: Path, props: dict[str, Any], told: str
) -> None:
    """Each fault has its place, and says what is allowed."""
    assert faults(folder, **props)[0].startswith(told)


@pytest.mark.parametrize("key", ["functionName", "runtime", "code"])
def test_what_is_missing_is_told(folder: Path, key: str) -> None:
    """What the component requires is required, and nothing else is said."""
    value = document({})
    del value["resources"]["fn"]["props"][key]
    assert refusal(folder, value) == [f"resources.fn.props.{key}: is missing"]


def test_every_fault_is_told_at_once(folder: Path) -> None:
    """The first line counts the faults of all functions, and each has a line."""
    value = document(
        {"timeout": 0, "region": "${vars.nowhere}"},
        {"functionName": "g", "memorySize": 1, "code": "./nowhere"},
        edition="1.0.0",
        vars={"x": "${env('NOWHERE')}"},
    )
    first, *lines = refusal(folder, value)
    assert first == "the spec has 5 faults:"
    assert sorted(line.partition(": ")[0] for line in lines) == [
        "edition",
        "resources.fn.props.region",
        "resources.fn1.props.code",
        "resources.fn1.props.memorySize",
        "vars.x",
    ]


def test_functions_have_names_of_their_own(folder: Path) -> None:
    """Two functions of one name are told, with the place of both."""
    assert refusal(folder, document({}, {})) == [
        "resources.fn1.props.functionName: 'fn' is that of resources.fn.props.functionName too"
    ]


def test_a_destination_may_be_any_function_of_the_file(folder: Path) -> None:
    """A function that comes later in the file is known as well."""
    target = {"destination": "acs:fc:cn-hangzhou::functions/later"}
    first = {"asyncInvokeConfig": {"destinationConfig": {"onFailure": target}}}
    spec = read_mapping(document(first, {"functionName": "later"}), folder=folder)
    assert [*spec.functions] == ["fn", "later"]
    assert spec.functions["fn"].asynchronous.on_failure == Destination("later")


RESOURCES: dict[str, tuple[dict[str, Any], str]] = {
    "no edition": ({"resources": {}}, "edition: is missing: the emulator reads edition: 3.0.0"),
    "FC 2": ({"edition": "1.0.0", "resources": {}}, "edition: '1.0.0' is not read"),
    "no resources": ({"edition": "3.0.0"}, "resources: has no function of the component fc3"),
    "a list": ({"edition": "3.0.0", "resources": [1]}, "resources: has no function"),
    "no component": ({"edition": "3.0.0", "resources": {"x": {}}}, "resources.x.component: is mis"),
    "no mapping": (
        {"edition": "3.0.0", "resources": {"x": 1}},
        "resources.x.component: is missing",
    ),
    "fc": (
        {"edition": "3.0.0", "resources": {"x": {"component": "devsapp/fc"}}},
        "resources.x.component: fc is that of FC 2, and left out: the emulator reads fc3",
    ),
    "no props": (
        {"edition": "3.0.0", "resources": {"x": {"component": "fc3"}}},
        "resources.x.props: is not a mapping",
    ),
    "another language": (
        document({"runtime": "nodejs20"}),
        "resources.fn.props.runtime: 'nodejs20' brings a server of its own, and the function is"
        " left out",
    ),
    "a runtime of none": (
        document({"runtime": "cobol"}),
        "resources.fn.props.runtime: 'cobol' brings a server",
    ),
    "other components": (
        {"edition": "3.0.0", "resources": {"x": {"component": "fc3-domain"}}},
        "resources: has no function",
    ),
}


@pytest.mark.parametrize(("value", "told"), RESOURCES.values(), ids=RESOURCES)
def test_a_file_without_a_function_is_told(folder: Path, value: dict[str, Any], told: str) -> None:
    """What is not a Serverless Devs file of fc3 is refused."""
    assert refusal(folder, value)[0].startswith(told)


def test_a_document_that_is_no_mapping_is_told(folder: Path) -> None:
    """A list or a text is no `s.yaml`."""
    assert refusal(folder, ["x"]) == ["is not a mapping with edition, resources and so on"]


@pytest.mark.parametrize(
    "component", ["devsapp/fc3@0.1.2", "fc3@dev", "/opt/components/fc3", "./fc3/", "../fc3@0.1.2"]
)
def test_a_version_of_the_component_is_taken(component: str, folder: Path) -> None:
    """So is a copy of it on this machine; another component beside it is warned of."""
    value = document({})
    value["resources"]["fn"]["component"] = component
    value["resources"]["domain"] = {"component": "fc3-domain", "props": {}}
    spec = read_mapping(value, folder=folder)
    assert [*spec.functions] == ["fn"]
    assert spec.warnings == ("resources.domain.component: fc3-domain is not played",)


# --- warnings


QUIET: dict[str, Any] = {
    "description": "x",
    "cpu": 0.5,
    "diskSize": 512,
    "internetAccess": True,
    "logConfig": "auto|enableRequestMetrics=false",
    "tags": [{"key": "a", "value": "b"}],
    "resourceGroupId": "rg",
    "layers": [],
    "role": "",
    "provisionConfig": PROVISION,
    "triggers": [TIMER],
}


def test_what_changes_nothing_on_a_desk_is_silent(folder: Path) -> None:
    """Keys that a call does not feel, and values that ask for nothing, bring no warning."""
    assert warned(folder, **QUIET) == []


WARNED: dict[str, tuple[dict[str, Any], str]] = {
    "a number in quotes": (
        {"timeout": "60"},
        "timeout: '60' is text, read as a number: write it without quotes",
    ),
    "a switch in quotes": (
        {"asyncInvokeConfig": {"asyncTask": "true"}},
        "asyncInvokeConfig.asyncTask: 'true' is text, read as true",
    ),
    "a number in the environment": (
        {"environmentVariables": {"N": 1}},
        "environmentVariables.N: is not text, read as '1': write it in quotes",
    ),
    "a number in a command": (
        {"customRuntimeConfig": {"command": ["sleep", 5]}},
        "customRuntimeConfig.command[1]: is not text, read as '5'",
    ),
    "a region": ({"region": "mars-1"}, "region: 'mars-1' is not one of ['ap-northeast-1'"),
    "no region": ({"region": None}, "region: is missing: cn-hangzhou is played"),
    "a newer runtime": (
        {"runtime": "custom.debian13"},
        "runtime: 'custom.debian13' is not one of ['custom',",
    ),
    "a log of another form": ({"logConfig": "x"}, "logConfig: is not played: the log is on this"),
    "half a log": ({"logConfig": {"project": 5}}, "logConfig: is not played: the log is on this"),
    "cpu alone": (
        {"cpu": 1, "memorySize": 1024},
        "diskSize: is missing: the platform takes cpu and diskSize together only",
    ),
    "disk alone": ({"diskSize": 512}, "cpu: is missing: the platform takes diskSize and cpu toge"),
    "much memory": (
        {"cpu": 0.5, "diskSize": 512, "memorySize": 3072},
        "memorySize: 3072 MB for 0.5 vCPU: the platform takes 1 to 4 GB for each vCPU",
    ),
    "little memory": ({"cpu": 1, "diskSize": 512}, "memorySize: 512 MB for 1 vCPU"),
    "no number": ({"cpu": float("inf"), "diskSize": 512}, "cpu: inf is greater than"),
    "odd cpu": ({"cpu": 0.33, "diskSize": 512}, "cpu: 0.33 is not a multiple of 0.05"),
    "another disk": (
        {"cpu": 0.5, "diskSize": 1024},
        "diskSize: 1024 is not one of [10240, 512], says the component's schema",
    ),
    "a GPU": (
        {"gpuConfig": {"gpuType": "fc.gpu.hopper.9", "gpuMemorySize": 98304}},
        "gpuConfig: is not played: instances see this machine's devices",
    ),
    "half a mount": ({"nasConfig": {"userId": 0}}, "nasConfig: is not played: nothing is mounted"),
    "a destination of elsewhere": (
        {
            "asyncInvokeConfig": {
                "destinationConfig": {"onFailure": {"destination": "acs:fc:r::functions/g"}}
            }
        },
        "asyncInvokeConfig.destinationConfig.onFailure.destination: is not played: only functions",
    ),
    "a destination of FC 2": (
        {
            "asyncInvokeConfig": {
                "destinationConfig": {"onSuccess": {"destination": "acs:fc:r::services/s"}}
            }
        },
        "asyncInvokeConfig.destinationConfig.onSuccess.destination: is not played: only functions",
    ),
    "half a timer": (
        {"triggers": [{**TIMER, "triggerConfig": {"cronExpression": "@every 5m"}}]},
        "triggers[0].triggerConfig.enable: is missing: the timer fires",
    ),
    "half a trigger": (
        {"triggers": [{"triggerType": "eventbridge", "triggerConfig": {"triggerEnable": False}}]},
        "triggers[0]: does not fire on a desk; send its event with",
    ),
    "a newer trigger": (
        {"triggers": [{**TIMER, "triggerType": "clock"}]},
        "triggers[0]: a trigger of the type 'clock' is not played",
    ),
    "half a check": (
        {"customRuntimeConfig": {"healthCheckConfig": {"periodSeconds": 3}}},
        "customRuntimeConfig.healthCheckConfig.httpGetUrl: is missing: no check is made",
    ),
    "a built-in runtime": (
        {"runtime": "python3.10", "handler": "index.handler"},
        "runtime: python3.10 is played by this service on Python 3.",
    ),
    "an image of which nothing is known": (
        {"runtime": "custom-container", "customContainerConfig": {"image": "x"}},
        "customContainerConfig.image: is not played, and what it runs is not known here: this",
    ),
    "what a deployment tells": (
        {"supplement": "${resources.fn.output.url}"},
        "supplement: ${resources.fn.output.url} is known after a deployment only: it stays as it",
    ),
    "vpc": ({"vpcConfig": "auto"}, "vpcConfig: is not played: instances are in this machine's"),
    "nas": ({"nasConfig": "auto"}, "nasConfig: is not played: nothing is mounted"),
    "role": ({"role": "acs:ram::1:role/x"}, "role: is not played: the credentials of an instance"),
    "layers": ({"layers": ["x"]}, "layers: is not played: no layer is unpacked to /opt"),
    "log": ({"logConfig": {"project": "p", "logstore": "l"}}, "logConfig: is not played: the log"),
    "misspelt": (
        {"instanceConcurency": 5},
        "instanceConcurency: the component has no such key, it is left out;"
        " did you mean instanceConcurrency?",
    ),
    "misspelt inside": (
        {"customRuntimeConfig": {"prot": 9000}},
        "customRuntimeConfig.prot: the component has no such key, it is left out; did you mean",
    ),
    "misspelt in a trigger": (
        {"triggers": [{**TIMER, "triggerConfig": {**TIMER["triggerConfig"], "paylod": "x"}}]},  # type: ignore[dict-item]
        "triggers[0].triggerConfig.paylod: the component has no such key, it is left out; did you",
    ),
    "of FC 2": (
        {"instanceLifecycleConfig": {"preFreeze": {"handler": "x"}}},
        "instanceLifecycleConfig.preFreeze: the component has no such key",
    ),
    "a hook's command": (
        {"instanceLifecycleConfig": {"preStop": {"command": ["x"]}}},
        "instanceLifecycleConfig.preStop.command: is not played: the hook is left out",
    ),
    "a schedule": (
        {
            "provisionConfig": {
                **PROVISION,
                "scheduledActions": [
                    dict.fromkeys(
                        ("endTime", "name", "scheduleExpression", "startTime", "timeZone"), "x"
                    )
                    | {"target": 1}
                ],
            }
        },
        "provisionConfig.scheduledActions: is not played: there are always `defaultTarget` ins",
    ),
    "a queue": (
        {
            "asyncInvokeConfig": {
                "destinationConfig": {"onSuccess": {"destination": "acs:mns:r:1:/queues/q"}}
            }
        },
        "asyncInvokeConfig.destinationConfig.onSuccess.destination: is not played: only functions",
    ),
    "an oss trigger": (
        {"triggers": [OSS]},
        "triggers[0]: does not fire on a desk; send its event with"
        " `python -m service invoke @oss.put --function fn`",
    ),
    "an http trigger": (
        {
            "triggers": [
                {
                    "triggerName": "h",
                    "triggerType": "http",
                    "triggerConfig": {"authType": "anonymous", "methods": ["GET"]},
                }
            ]
        },
        "triggers[0]: an http trigger is not played: the emulator sends events only",
    ),
    "a timer of seconds": (
        {"triggers": [{**TIMER, "triggerConfig": {"cronExpression": "@every 5s", "enable": True}}]},
        "triggers[0].triggerConfig.cronExpression: the platform's page speaks of whole minutes",
    ),
}


@pytest.mark.parametrize(("props", "told"), WARNED.values(), ids=WARNED)
def test_what_is_not_played_is_said(folder: Path, props: dict[str, Any], told: str) -> None:
    """One sentence with its place, which says what is done instead."""
    (line,) = warned(folder, **props)
    assert line.startswith(told)


def test_every_key_of_the_component_is_thought_of() -> None:
    """Each key is played, silent, or warned of; each trigger has its configuration and sample."""
    keys = set(schema.component_schema()["properties"])
    assert keys == unplayed.PLAYED | unplayed.QUIET | set(unplayed.INSTEAD) | {
        *("instanceIsolationMode",)
    }
    kinds = set(schema.component_schema()["definitions"]["ITriggerType"]["enum"])
    assert kinds == {*unplayed.SAMPLES, "timer", "http"}


def test_the_samples_of_triggers_are_there() -> None:
    """What a warning tells the user to send exists."""
    assert set(unplayed.SAMPLES.values()) <= {*names()}


# --- the file


def written(folder: Path, text: str) -> Path:
    """A file in the folder."""
    (folder / "s.yaml").write_text(text)
    return folder / "s.yaml"


HEAD = """\
edition: 3.0.0
resources:
  fn:
    component: fc3
    props:
      region: cn-hangzhou
      functionName: fn
      runtime: custom
      code: ./code
"""


def test_yaml_is_that_of_serverless_devs(folder: Path) -> None:
    """It is YAML 1.2: `yes` and `12:30` are text, 010 is ten; anchors and merges are known."""
    spec = read(
        written(
            folder,
            HEAD
            + "      environmentVariables: &common\n"
            + "        {A: yes, B: 12:30, C: off, D: 2026-01-01, E: '', F: .inf}\n"
            + "      memorySize: 0x200\n      timeout: 010\n"
            + "  gn:\n    component: fc3\n    props:\n      region: cn-hangzhou\n"
            + "      functionName: gn\n      runtime: custom\n      code: ./code\n"
            + "      environmentVariables: {<<: *common, A: no}\n",
        )
    )
    first, second = spec.functions.values()
    assert first.environment == {
        "A": "yes",
        "B": "12:30",
        "C": "off",
        "D": "2026-01-01",
        "E": "",
        "F": ".inf",
    }
    assert second.environment == {**first.environment, "A": "no"}
    assert (first.memory, first.timeout) == (512, 10.0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [", "s.yaml:1:5: "),
        (HEAD + "      code: x\n", "s.yaml:10:7: the key 'code' is there twice"),
        ("a: 1\n---\nb: 2\n", "s.yaml:2:1: but found another document"),
        ("a: !Ref x", "s.yaml:1:4: could not determine a constructor"),
        ("a: \x07", "s.yaml: unacceptable character"),
        ("", "s.yaml: is not a mapping"),
        ("a: &a [*a]\nedition: 3.0.0\nvars: {x: &b [*b]}", "s.yaml: contains itself"),
        ("[" * 900, "s.yaml: is nested too deep"),
    ],
)
def test_what_is_no_yaml_is_told_with_its_line(folder: Path, text: str, told: str) -> None:
    """The place in the file, and what is wrong there."""
    with pytest.raises(UsageError, match=re.escape(told)):
        read(written(folder, text))


@pytest.mark.parametrize("number", ["1e999", "9" * 400, "9" * 5000, "-0", "0.1e-999"])
@pytest.mark.parametrize("key", ["timeout", "memorySize", "instanceConcurrency"])
def test_no_number_is_too_long_to_be_refused(folder: Path, key: str, number: str) -> None:
    """Numbers of any length are read, and refused where they stand."""
    with pytest.raises(UsageError, match=rf"(?s)s\.yaml.*resources\.fn\.props\.{key}: ") as told:
        read(written(folder, HEAD + f"      {key}: {number}\n"))
    assert len(str(told.value)) < 2000


def test_a_file_that_cannot_be_read_is_told(folder: Path) -> None:
    """No file, or one that is not text."""
    with pytest.raises(UsageError, match=r"nowhere\.yaml: cannot be read: No such file"):
        read(folder / "nowhere.yaml")
    (folder / "s.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"s\.yaml:1:1: is not UTF-8 text"):
        read(folder / "s.yaml")


def test_the_environment_is_that_of_the_process(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without another, `${env(...)}` is this process's."""
    monkeypatch.setenv("REGION_OF_THE_TEST", "cn-beijing")
    path = written(folder, HEAD.replace("cn-hangzhou", "${env('REGION_OF_THE_TEST')}"))
    assert read(path).functions["fn"].region == "cn-beijing"


def test_our_own_file_is_read_without_a_warning() -> None:
    """What we deploy, the emulator plays."""
    spec = read(ROOT / "s.yaml", code=ROOT, environ={})
    assert spec.warnings == ()
    (found,) = spec.functions.values()
    assert found.command == ("python3", "-P", "-m", "fc_event_service")
    assert found.environment["PYTHONPATH"] == f"{ROOT}/python"
    assert (found.concurrency, found.port, found.timeout) == (100, 9000, 60.0)


@pytest.mark.parametrize("package", ["yaml", "jsonschema"])
def test_a_missing_extra_is_told(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its packages, the emulator says how to install them."""
    schema._validator.cache_clear()
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=rf"\({package}\): install fc-event-service\[emulator\]"):
        read(ROOT / "s.yaml", code=ROOT)


# --- any value at all


texts = st.text("ab01.-:#{}[]$/ é\"'\\\n", max_size=8)
finite = st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | texts,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(texts, inside, max_size=3),
    max_leaves=8,
)
KEYS = sorted(schema.component_schema()["properties"])


@settings(max_examples=60)
@given(props=st.dictionaries(st.sampled_from(KEYS), values, max_size=4))
def test_any_props_are_a_function_or_an_error(props: dict[str, Any]) -> None:
    """No value of any key brings anything but a UsageError."""
    try:
        spec = read_mapping(document(props), folder=ROOT, code=ROOT, environ={})
    except UsageError as reason:
        assert "resources.fn.props" in str(reason)  # noqa: PT017 - either end is right
    else:
        assert isinstance(spec, Spec)


@settings(max_examples=40)
@given(value=values)
def test_yaml_means_the_same_as_json(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    """What JSON says, the YAML of a `s.yaml` says too."""
    path = tmp_path_factory.getbasetemp() / "json.yaml"
    path.write_text(f"value: {json.dumps(value, ensure_ascii=False)}")
    assert load_document(path).value == {"value": value}
