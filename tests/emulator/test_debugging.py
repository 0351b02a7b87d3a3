"""`emulate --debug`: a debugger stops in the function, and nothing is short of time."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from service.emulator import emulator
from service.emulator.instances import debuggee
from service.emulator.instances.debugging import NO_LIMIT, Debugging, unlimited
from service.emulator.log import Log
from service.emulator.spec.model import HealthCheck
from service.errors import UsageError
from tests.emulator.debugger import debugging
from tests.emulator.play import WITHIN, Entries, free_port, function

HANDLER = """\
async def handler(event, context):
    seen = event.decode()
    return {"seen": seen, "limit": context.function.timeout}
"""
LINE = 3
needs_debugpy = pytest.mark.skipif(
    importlib.util.find_spec("debugpy") is None, reason="debugpy is not installed"
)


def spec(folder: Path) -> dict[str, object]:
    """A function of one file, with three seconds a call."""
    (folder / "index.py").write_text(HANDLER)
    props = {
        "functionName": "fn",
        "region": "cn-hangzhou",
        "runtime": "custom.debian12",
        "code": str(folder),
        "handler": "index.handler",
        "timeout": 3,
        "customRuntimeConfig": {
            "command": [sys.executable, "-m", "service"],
            "port": free_port(),
        },
    }
    resources = {"fn": {"component": "fc3", "props": props}}
    return {"edition": "3.0.0", "name": "tests", "resources": resources}


@needs_debugpy
async def test_a_debugger_stops_in_a_call(tmp_path: Path) -> None:
    """The instance waits for it on the port that the log names; at a breakpoint it shows variables;
    the call is answered when it goes on, and nothing is frozen then.
    """
    log = Entries()
    played = emulator(spec(tmp_path), log=Log(log.write, as_json=True), debug=0, private_tmp=False)
    async with played as fc:
        call = asyncio.ensure_future(fc.invoke("fn", "an event"))
        await log.wait_for("debugpy waits for a debugger on")
        (told,) = (text for text in log.texts if "debugpy waits" in text)
        async with debugging(int(told.rpartition(":")[2])) as debugger:
            await debugger.attach(tmp_path / "index.py", LINE)
            thread = (await debugger.event("stopped"))["threadId"]
            frame = (await debugger.ask("stackTrace", threadId=thread))["stackFrames"][0]
            assert (frame["name"], frame["line"]) == ("handler", LINE)
            value = await debugger.ask("evaluate", expression="seen", frameId=frame["id"])
            assert value["result"] == "'an event'"
            assert not call.done()
            await debugger.ask("continue", threadId=thread)
            async with asyncio.timeout(WITHIN):
                outcome = await call
            await debugger.ask("disconnect")
        assert json.loads(outcome.body) == {"seen": "an event", "limit": int(NO_LIMIT)}
        (instance,) = fc.instances("fn")
        assert not instance.frozen


def test_all_limits_are_lifted_and_no_hook_is_added() -> None:
    """A call, the initializer and the end may take a week; no health check ends what stands."""
    limited = function(timeout=3, initializer_timeout=3.0, health=HealthCheck("/health"))
    freed = unlimited(limited)
    assert (freed.timeout, freed.initializer_timeout) == (NO_LIMIT, NO_LIMIT)
    assert freed.pre_stop_timeout is None
    assert freed.health is None


async def test_what_the_instance_needs_is_found_though_it_has_a_path(tmp_path: Path) -> None:
    """The first instance has the port that was asked for, others any; PYTHONPATH is kept."""
    debugged = Debugging(5678)
    first, second = (debugged.environment(tmp_path, {"PYTHONPATH": "/own"}) for _ in range(2))
    assert first["FC_EMULATOR_DEBUG_PORT"] == "5678"
    assert second["FC_EMULATOR_DEBUG_PORT"] == "0"
    assert first["PYTHONPATH"] == f"{tmp_path}/debug{os.pathsep}/own"
    assert (tmp_path / "debug" / "sitecustomize.py").is_file()


def test_without_debugpy_the_start_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, before anything is started."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(UsageError, match=r"--debug needs debugpy: .*the extra `debug`"):
        Debugging(5678)


# --- what runs in the instance


class Debugpy(ModuleType):
    """Listens where it is told, if that is free."""

    def __init__(self, *taken: int) -> None:
        super().__init__("debugpy")
        self.asked: list[object] = []
        self._taken = taken

    def listen(self, address: tuple[str, int]) -> tuple[str, int]:
        """Listen."""
        self.asked.append(address)
        if address[1] in self._taken:
            raise RuntimeError("Can't listen for client connections")
        return address[0], address[1] or 40_000

    def wait_for_client(self) -> None:
        """Wait."""
        self.asked.append("waits")


def test_an_instance_waits_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On its port, or on another one if that is taken; processes that it starts do not wait."""
    fake = Debugpy(5678)
    monkeypatch.setitem(sys.modules, "debugpy", fake)
    monkeypatch.setenv("FC_EMULATOR_DEBUG_PORT", "5678")
    debuggee.wait_for_debugger()
    debuggee.wait_for_debugger()
    assert fake.asked == [("127.0.0.1", 5678), ("127.0.0.1", 0), "waits"]
    assert capsys.readouterr().err.splitlines() == [
        "debugpy waits for a debugger on 127.0.0.1:40000",
        "the debugger is there",
    ]


def test_another_python_without_debugpy_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The instance starts without it."""
    monkeypatch.setitem(sys.modules, "debugpy", None)
    monkeypatch.setenv("FC_EMULATOR_DEBUG_PORT", "0")
    debuggee.wait_for_debugger()
    assert re.match(r"debugpy is not installed for \S+: nobody", capsys.readouterr().err)
