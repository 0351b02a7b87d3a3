"""What happens if the desk has no more files: it is told, and nothing stays behind."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from service.emulator.calls import PlatformError
from service.emulator.instances import instance as instances
from service.emulator.instances import ports
from service.emulator.instances.client import InstanceConnections, OutOfFiles
from service.emulator.instances.descriptors import LIMIT, raise_limit
from service.emulator.instances.ports import claim
from service.emulator.instances.processes import Processes
from tests.emulator.play import FUNCTIONS, free_port, function, playing

PROGRAM = """
import asyncio, collections, json, resource, sys
spec, files, calls, instances = json.loads(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
from service.emulator import PlatformError, emulator
from service.emulator.log import Log

lines = []

async def main():
    log = Log(lines.append)
    async with emulator(spec, max_instances=instances, log=log, start_timeout=100) as fc:
        invoked = (fc.invoke("fn") for _ in range(calls))
        answers = await asyncio.gather(*invoked, return_exceptions=True)
        told = collections.Counter(
            f"{a.status} {a.code}" if isinstance(a, PlatformError) else type(a).__name__
            for a in answers
        )
        await fc.idle("fn")
        later = await fc.invoke("fn")
    print(json.dumps({"told": told, "later": later.body.decode(), "lines": len(lines)}))

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("files", "calls", "instances", "refused"),
    [
        (64, 30, 64, "503 ServiceUnavailable"),
        pytest.param(1024, 512, 512, "503 ServiceUnavailable", marks=pytest.mark.long),
        pytest.param(1024, 512, 20, "429 ResourceExhausted", marks=pytest.mark.long),
    ],
)
@pytest.mark.timeout(300)
def test_more_cold_starts_than_files_are_told_and_leave_nothing(
    files: int, calls: int, instances: int, refused: str
) -> None:
    """Some calls are answered, the others refused, a later one is served, the log is short, and the
    emulator ends by itself.
    """
    props = {
        "functionName": "fn",
        "region": "cn-hangzhou",
        "runtime": "custom.debian12",
        "code": str(FUNCTIONS),
        "timeout": 30,
        "customRuntimeConfig": {"command": ["python3", "bare.py"], "port": free_port()},
    }
    resources = {"fn": {"component": "fc3", "props": props}}
    spec = {"edition": "3.0.0", "name": "tests", "resources": resources}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps([spec, files, calls, instances])],
        capture_output=True,
        text=True,
        timeout=280,
        cwd=Path(__file__).parents[3],
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found["told"]) == {"Outcome", refused}
    assert found["later"] == "{}"
    assert found["lines"] < 20 * calls
    assert done.stderr.count("Traceback") == 0


async def test_the_limit_of_files_is_raised_for_instances_too() -> None:
    """To the platform's, or as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, soft), hard))
    try:
        raise_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(hard, LIMIT)
        command = ("sh", "-c", "echo limit $(ulimit -n); exec python bare.py")
        async with playing(function(command=command)) as play:
            await play.call()
            assert f"limit {min(hard, LIMIT)}" in play.log.texts
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def no_files(*_: object, **__: object) -> Any:
    """Fail as the system does if this process may open no more files."""
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def test_a_port_is_not_looked_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no matter of the port ends the search, and so does a desk without a free port."""
    monkeypatch.setattr(ports, "ClaimedPort", no_files)
    with pytest.raises(OSError, match="Too many open files"):
        claim(free_port())

    def taken(number: int) -> Any:
        raise OSError(errno.EADDRINUSE, "taken")

    monkeypatch.setattr(ports, "ClaimedPort", taken)
    with pytest.raises(OSError, match="no port is free"):
        claim(free_port())


async def test_a_start_without_files_is_a_503_for_each_caller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every one gets an error of its own, which says what to raise; the place is free again."""
    async with playing(function(concurrency=10), max_instances=1) as play:
        with monkeypatch.context() as patched:
            patched.setattr(instances, "start_process", no_files)
            calls = [play.begin() for _ in range(10)]
            answers = await asyncio.gather(*calls, return_exceptions=True)
        assert {str(answer) for answer in answers} == {
            "The desk cannot give more: Too many open files; raise the limit (`ulimit -n`), or run"
            " with a smaller --max-instances."
        }
        assert all(isinstance(each, PlatformError) and each.status == 503 for each in answers)
        assert len({id(answer) for answer in answers}) == 10
        await play.log.wait_for("has ended")
        assert (await play.call()).body == b"{}"


async def test_a_connection_that_cannot_be_opened_is_no_fault_of_the_function(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The call is refused with 503, and not with the function's own 502; its slot is free again."""
    async with playing() as play:
        await play.call()
        play.instance.drop_connections()
        with monkeypatch.context() as patched:

            async def refused(self: InstanceConnections, seconds: float) -> Any:
                raise OutOfFiles(OSError(errno.EMFILE, os.strerror(errno.EMFILE)))

            patched.setattr(InstanceConnections, "open", refused)
            with pytest.raises(PlatformError, match="Too many open files") as caught:
                await play.call()
            assert caught.value.status == 503
        assert play.instance.in_flight == 0
        assert not (await play.call()).cold


@pytest.mark.parametrize("step", ["kill", "signal_first"])
async def test_a_closing_that_raises_frees_its_place(
    monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The log says what went wrong, and the next call has another instance."""
    async with playing(max_instances=1) as play:
        await play.call()
        processes = play.instance.processes
        assert processes is not None
        with monkeypatch.context() as patched:
            patched.setattr(Processes, step, no_files)
            await play.instance.close("a test says so")
        assert any("could not be ended as it should: OSError" in line for line in play.log.texts)
        assert play.instances == ()
        await processes.kill()
        assert (await play.call()).cold


async def test_a_call_that_fails_in_the_emulator_gives_its_slot_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever is raised, wherever: the next call finds the instance as it was."""
    async with playing() as play:
        await play.call()
        for name in ("take", "open"):
            with monkeypatch.context() as patched:
                patched.setattr(InstanceConnections, name, no_files)
                play.instance.drop_connections()
                with pytest.raises((OSError, PlatformError)):
                    await play.call()
            assert play.instance.in_flight == 0
            await play.pool.idle()
        assert not (await play.call()).cold
