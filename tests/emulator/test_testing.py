"""The emulator in tests: in a plain `with`, on a chosen port, with events of text."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from service.emulator import PlatformError, emulator
from service.emulator.api.signature import sign
from service.emulator.log import Log
from service.errors import UsageError
from tests.emulator.play import FUNCTIONS, free_port


def spec(**changes: Any) -> dict[str, Any]:
    """What a file with a bare server holds."""
    props = {
        "functionName": "fn",
        "region": "cn-hangzhou",
        "runtime": "custom.debian12",
        "code": str(FUNCTIONS),
        "timeout": 30,
        "customRuntimeConfig": {"command": ["python3", "bare.py"], "port": free_port()},
        **changes,
    }
    resources = {"fn": {"component": "fc3", "props": props}}
    return {"edition": "3.0.0", "name": "tests", "resources": resources}


def quiet() -> Log:
    """A log that nobody reads."""
    return Log(lambda _line: None)


def test_a_plain_test_plays_it_with_a_with(tmp_path: Path) -> None:
    """Calls, tasks and instances, without an event loop of its own; nothing is left of it."""
    before = set(threading.enumerate())
    port, state = free_port(), str(tmp_path / "tasks.db")
    with emulator(spec(), port=port, state=state, log=quiet()) as fc:
        assert fc.url == f"http://127.0.0.1:{port}"
        assert fc.invoke("fn", "a text é").body == "a text é".encode()
        assert fc.invoke("fn", bytearray(b"bytes")).body == b"bytes"
        task = fc.submit("fn", "queued", "the-task")
        fc.idle("fn")
        found = fc.task("fn", task.id)
        assert found is not None
        assert fc.task("fn", "none") is None
        [instance] = fc.instances("fn")
        assert fc.call(lambda: instance.frozen) in (True, False)
        with urllib.request.urlopen(f"{fc.url}/2023-03-30/functions/fn") as answer:
            assert json.load(answer)["functionName"] == "fn"
        with pytest.raises(KeyError):
            fc.invoke("other")
    assert fc.figures["fn"].calls >= 2
    assert set(threading.enumerate()) <= before
    assert Path(state).exists()


def test_a_with_ends_what_could_not_start(tmp_path: Path) -> None:
    """Its thread, too."""
    before = set(threading.enumerate())
    with pytest.raises(UsageError, match="there is no such file"):
        emulator(tmp_path / "s.yaml").__enter__()
    assert set(threading.enumerate()) <= before


def test_an_option_that_there_is_not_is_named() -> None:
    """With those that there are."""
    with pytest.raises(TypeError, match="no option 'max_instance'; there are max_instances, "):
        emulator(spec(), max_instance=1)


async def test_an_event_is_bytes_or_text() -> None:
    """Anything else is refused before it is sent, and costs no instance its slot."""
    event: Any = {"a": 1}
    async with emulator(spec(), log=quiet()) as fc:
        for call in (fc.invoke("fn", event), fc.submit("fn", event)):
            with pytest.raises(TypeError, match=r"not dict: json.dumps"):
                await call
        assert (await fc.invoke("fn", memoryview(b"view"))).body == b"view"
        assert [each.in_flight for each in fc.instances("fn")] == [0]


async def test_a_function_calls_the_emulator_with_its_own_keys() -> None:
    """It is told where the emulator is; with signatures checked, its keys are good."""
    async with emulator(spec(), access_key=("id", "secret"), log=quiet()) as fc:
        variables = json.loads((await fc.invoke("fn", "environment")).body)
        host = variables["FC_EMULATOR_ENDPOINT"]
        assert fc.url == f"http://{host}"
        key = variables["ALIBABA_CLOUD_ACCESS_KEY_ID"]
        secret = variables["ALIBABA_CLOUD_ACCESS_KEY_SECRET"]

        def ask(access_key: tuple[str, str]) -> int:
            path = "/2023-03-30/functions/fn"
            headers = sign("GET", path, host, b"", access_key, time.time())
            request = urllib.request.Request(fc.url + path, headers=headers)
            try:
                with urllib.request.urlopen(request) as answer:
                    return int(answer.status)
            except urllib.error.HTTPError as error:
                with error:
                    return error.code

        assert await asyncio.to_thread(ask, (key, secret)) == 200
        assert await asyncio.to_thread(ask, ("id", "secret")) == 200
        assert await asyncio.to_thread(ask, (key, "wrong")) == 403
        assert await asyncio.to_thread(ask, ("STS.DESKother", secret)) == 403


async def test_a_refusal_is_raised_in_a_plain_test_too() -> None:
    """As it is in an async one."""
    config = {"command": ["sh", "-c", "exit 5"], "port": free_port()}

    def play() -> None:
        with (
            emulator(spec(customRuntimeConfig=config), log=quiet()) as fc,
            pytest.raises(PlatformError, match="exit status 5"),
        ):
            fc.invoke("fn")

    await asyncio.to_thread(play)
