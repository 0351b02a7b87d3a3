"""Functions that read the context as the built-in runtime has it, run as they are: by `serve`, by
`invoke` and under the emulator. They are in tests/cases/functions.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from service.emulator import emulator
from tests.conftest import Serve
from tests.emulator.play import free_port
from tests.harness import request, run_service

FUNCTIONS = Path(__file__).parents[1] / "cases" / "functions"
SENT = {
    "x_fc_access_key_id": "STS.KEY",
    "x_fc_access_key_secret": "HUSH",
    "x_fc_security_token": "TOKEN",
    "x_fc_function_name": "job",
    "x_fc_region": "cn-hangzhou",
    "x_fc_account_id": "1357",
}
ENVIRON = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID": "STS.KEY",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "HUSH",
    "ALIBABA_CLOUD_SECURITY_TOKEN": "TOKEN",
}
KEYS = {"accessKeyId": "STS.KEY", "accessKeySecret": "HUSH", "securityToken": "TOKEN"}
JSON_KEYS = [
    "requestId",
    "credentials",
    "function",
    "service",
    "region",
    "accountId",
    "retryCount",
    "tracing",
]
CASES = ["camel", "tojson", "setctx"]


@pytest.fixture(params=CASES)
def name(request: pytest.FixtureRequest) -> str:
    """Each case."""
    return str(request.param)


def copied(name: str, tmp_path: Path) -> Path:
    """A copy of a case's function."""
    return Path(shutil.copytree(FUNCTIONS / name, tmp_path / name))


def check(name: str, result: bytes, keys: dict[str, str]) -> None:
    """The function has answered what the built-in runtime's would."""
    value = json.loads(result)
    if name == "camel":
        assert value[0]
        assert value[1:] == list(keys.values())
    elif name == "tojson":
        assert list(value) == JSON_KEYS
        assert value["requestId"]
        assert value["credentials"] == keys
    else:
        assert value == 1


async def test_a_case_is_served(serve: Serve, tmp_path: Path, name: str) -> None:
    """The credentials are whole in the answer, and nowhere in the log."""
    server = serve("", folder=copied(name, tmp_path))
    answer = await server.ask(request(b"{}", request_id="r1", **SENT))
    check(name, answer.body, KEYS)
    assert await asyncio.to_thread(server.stop) == 0
    for secret in KEYS.values():
        assert secret not in server.log()


@pytest.mark.parametrize(
    "name",
    ["tojson", *(pytest.param(each, marks=pytest.mark.long) for each in CASES if each != "tojson")],
    indirect=True,
)
def test_a_case_is_invoked(tmp_path: Path, name: str) -> None:
    """`invoke` has the same context, with the environment's credentials."""
    done = run_service(copied(name, tmp_path), "invoke", environ=ENVIRON)
    assert done.returncode == 0, done.stderr
    check(name, done.stdout, KEYS)
    assert b"HUSH" not in done.stderr


async def test_a_case_is_emulated(tmp_path: Path, name: str) -> None:
    """Under the emulator the credentials are those that it has made for the instance."""
    props: dict[str, Any] = {
        "functionName": name,
        "runtime": "custom.debian12",
        "region": "cn-hangzhou",
        "handler": "index.handler",
        "timeout": 30,
        "code": str(copied(name, tmp_path)),
        "customRuntimeConfig": {
            "command": ["python3"],
            "args": ["-m", "service", "--concurrency", "1"],
            "port": free_port(),
        },
    }
    resources = {name: {"component": "fc3", "props": props}}
    async with emulator({"edition": "3.0.0", "name": "tests", "resources": resources}) as fc:
        outcome = await fc.invoke(name, b"{}")
    value = json.loads(outcome.body)
    if name == "setctx":
        assert value == 1
    else:
        keys = value[1:] if name == "camel" else list(value["credentials"].values())
        assert all(keys)
        assert len(keys) == 3


@pytest.mark.parametrize("arguments", [("--port", "0"), ("invoke",)], ids=["serve", "invoke"])
def test_a_wsgi_application_does_not_start(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """A handler of an HTTP function is told in one line, with exit code 3."""
    folder = copied("wsgi", tmp_path)
    done = run_service(folder, *arguments, environ=ENVIRON)
    assert done.returncode == 3
    last = done.stderr.decode().splitlines()[-1]
    assert f"{folder / 'index.py'} line 1 takes (environ, start_response)" in last
    assert "it is an HTTP function's handler (WSGI)" in last
    assert "Traceback" not in done.stderr.decode()
