"""The console of an emulator whose instances are real: what a page sends, sees and breaks."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service.emulator.local import FunctionCompute
from service.emulator.queue.store import Store
from tests.console.desk import CHANGES
from tests.emulator.console.desk import Desk, bare, desk, ours
from tests.emulator.play import WITHIN

TIMER = {
    "triggerName": "nightly",
    "triggerType": "timer",
    "triggerConfig": {"cronExpression": "0 0 3 * * *", "enable": True, "payload": "go"},
}


async def test_a_call_that_a_page_sends_is_seen_with_all_that_belongs_to_it(
    tmp_path: Path,
) -> None:
    """An instance starts for it, and freezes behind it; its time is split, its lines are its own,
    its failure has a trace; sent again, it is the same.
    """
    initializer = {"initializer": {"handler": "initialize", "timeout": 30}}
    async with desk(tmp_path, ours(instanceLifecycleConfig=initializer)) as seen:
        row = await seen.send("ours", "print <script>")
        assert (row["status"], row["cold"], row["instance"]) == ("ok", True, "c-1")
        assert row["ms"]["start"] > 0
        assert row["ms"]["handler"] > 0
        shown = await seen.page.get(f"/api/calls/{row['id']}")
        assert base64.b64decode(shown["result"]["base64"]) == b"print <script>"
        assert "<script>" in [line["text"] for line in shown["lines"]]
        assert shown["headers"]["x-fc-access-key-secret"] == "***"
        assert shown["headers"]["x-fc-request-id"] == row["id"]
        assert "STS.DESK" not in str(shown)
        await until_state(seen, "frozen")

        failed = await seen.send("ours", "sleep never")
        failure = (await seen.page.get(f"/api/calls/{failed['id']}"))["failure"]
        assert failure["type"] == "ValueError"
        assert "could not convert string to float" in failure["message"]
        assert "index.py" in str(failure["trace"])

        again = (await seen.page.post(f"/api/calls/{row['id']}/again"))["ids"]
        assert (await seen.ended(again[0]))["bytes_in"] == row["bytes_in"]

        kinds = [mark["kind"] for mark in seen.recorder.marks.rows()]
        assert kinds[:2] == ["cold", "freeze"]
        figures = await seen.page.session.get(f"{seen.page.url}/events")
        assert b'"snapshot"' not in await figures.content.readline()
        figures.close()


async def until_state(seen: Desk, state: str) -> dict[str, Any]:
    """Wait until the instance is told to have a state, if it has not."""
    for row in (await snapshot(seen))["instances"]:
        if row["state"] == state:
            return dict(row)
    return dict(await seen.stream.until("instances", state=state))


async def snapshot(seen: Desk) -> Any:
    """What a page that is opened now is told."""
    async with seen.page.stream() as stream:
        return (await stream.next())[1]


async def test_an_instance_is_frozen_thawed_killed_and_cut_off_by_hand(tmp_path: Path) -> None:
    """Each is seen as it happens, and leaves a mark; the next call starts another instance."""
    go = tmp_path / "go"
    async with desk(tmp_path, bare(instanceConcurrency=10)) as seen:
        await seen.send("bare", "{}")
        instance = (await until_state(seen, "frozen"))["id"]

        async def fault(kind: str, **fields: Any) -> Any:
            return await seen.page.post("/api/faults", kind=kind, instance=instance, **fields)

        await fault("thaw")
        await seen.stream.until("instances", id=instance, state="ready")
        await fault("freeze")
        await seen.stream.until("instances", id=instance, state="frozen")
        sent = (await begin(seen, f"until {go}"))[0]
        await seen.stream.until("instances", id=instance, state="busy", in_flight=1)
        await fault("drop")
        lost = await seen.ended(sent)
        assert (lost["status"], lost["code"]) == ("error", 502)
        go.touch()
        told = await fault("fill_memory", mb=40)
        assert told["faults"]["filled"] == {instance: 40}
        while (await seen.stream.until("instances", id=instance))["memory_mb"] < 40:
            pass
        assert (await fault("fill_memory", mb=0))["faults"]["filled"] == {}
        await fault("kill")
        while instance not in (await seen.stream.next())[1].get("gone", ()):
            pass
        marks = [mark["kind"] for mark in (await snapshot(seen))["marks"]]
        assert marks.count("kill") == 1
        assert marks[-1] == "stop"
        assert (await seen.send("bare", "{}"))["cold"] is True


async def begin(seen: Desk, text: str, **fields: Any) -> list[str]:
    """Send an event by the page."""
    sent = await seen.page.post("/api/send", function="bare", event={"text": text}, **fields)
    return list(sent["ids"])


async def test_many_calls_are_sent_at_a_concurrency_and_binary_stays_what_it_is(
    tmp_path: Path,
) -> None:
    """As many are in flight together as the page asks for, in as many instances as that takes."""
    async with desk(tmp_path, ours(instanceConcurrency=20), max_instances=2) as seen:
        event = base64.b64encode(b"\x00\xff<b>").decode()
        sent = await seen.page.post(
            "/api/send", function="ours", event={"base64": event}, count=60, at_once=40
        )
        assert len(set(sent["ids"])) == 60
        for call_id in sent["ids"]:
            while seen.recorder.history.find(call_id).status == "running":
                await seen.stream.next()
        results = {seen.recorder.history.find(call_id).result for call_id in sent["ids"]}
        assert results == {b"\x00\xff<b>"}
        assert seen.played.figures["ours"].calls == 60
        told = await snapshot(seen)
        assert told["functions"][0]["calls"] == 60
        assert len(told["instances"]) == 2
        for fields, status, reason in (
            ({"function": "none"}, 404, "no function"),
            ({"event": {"base64": "%"}}, 400, "base64"),
            ({"count": 10_001}, 400, "count"),
            ({"at_once": 0}, 400, "at_once"),
            ({"async": "maybe"}, 400, "async"),
            ({"event": {"text": "x" * 131_073}, "async": True}, 413, "131,072"),
        ):
            asked = {"function": "ours", "event": {"text": "{}"}, **fields}
            found = await seen.page.refusal("POST", "/api/send", json=asked)
            assert (found[0], reason in found[1]) == (status, True), found


async def test_timers_are_fired_at_once_and_tasks_are_told_with_their_tries(
    tmp_path: Path,
) -> None:
    """A timer's call is one of its kind; an asynchronous one that fails is tried as the file says,
    and each try is a call.
    """
    tried = {"maxAsyncRetryAttempts": 1, "asyncTask": True}
    function = ours(triggers=[TIMER], asyncInvokeConfig=tried, instanceConcurrency=5)
    async with desk(tmp_path, function) as seen:
        (row,) = (await snapshot(seen))["functions"]
        assert row["triggers"] == [
            {"name": "nightly", "type": "timer", "cron": "0 0 3 * * *", "enabled": True}
        ]
        fired = await seen.page.post("/api/timers", function="ours", trigger="nightly")
        row = await seen.ended(fired["ids"][0])
        assert (row["type"], row["status"]) == ("timer", "ok")
        event = seen.recorder.history.find(row["id"]).event or b""
        assert b'"payload":"go"' in event
        sent = await seen.page.post(
            "/api/send", function="ours", event={"text": "sleep never"}, **{"async": True}
        )
        first = await seen.ended(sent["ids"][0])
        assert (first["type"], first["status"], first["retry"]) == ("async", "error", 0)
        second = await until_told(seen, f"{first['id']}~2")
        assert (second["status"], second["retry"]) == ("error", 1)
        task = await until_task(seen, first["task"], "Failed")
        assert task["tries"] == 2
        assert [each["text"].split()[0] for each in task["events"]].count("Running") == 2
        found = await seen.page.refusal(
            "POST", "/api/timers", json={"function": "ours", "trigger": "hourly"}
        )
        assert (found[0], "no timer" in found[1]) == (404, True)


async def until_told(seen: Desk, call_id: str) -> dict[str, Any]:
    """Return a call's row once it has ended, whenever a page was told of it."""
    while True:
        known = seen.recorder.history
        for each in known.newest(200):
            if each.id == call_id and each.status != "running":
                return each.row()
        await seen.stream.next()


async def until_task(seen: Desk, task_id: str, status: str) -> dict[str, Any]:
    """Return a task's row once it has a status."""
    while True:
        for row in seen.recorder.tasks.rows():
            if (row["id"], row["status"]) == (task_id, status):
                return row
        await seen.stream.next()


async def test_faults_of_all_instances_are_switched_and_what_cannot_be_is_told(
    tmp_path: Path,
) -> None:
    """They stay switched until they are set to 0."""
    async with desk(tmp_path, bare()) as seen:
        told = await seen.page.post("/api/faults", kind="initializer_delay", seconds=1.5)
        assert told["faults"]["initializer_delay"] == 1.5
        assert seen.played.faults.initializer_delay == 1.5
        assert (await snapshot(seen))["faults"]["initializer_delay"] == 1.5
        for fields, status, reason in (
            ({"kind": "melt"}, 400, "fill_memory"),
            ({"kind": "freeze"}, 400, "which one"),
            ({"kind": "freeze", "instance": "c-9"}, 404, "no instance"),
            ({"kind": "kill", "function": "bare"}, 404, "has none"),
            ({"kind": "initializer_delay", "seconds": -1}, 400, "seconds"),
            ({"kind": 5}, 400, "text"),
        ):
            found = await seen.page.refusal("POST", "/api/faults", json=fields)
            assert (found[0], reason in found[1]) == (status, True), found


async def test_the_clock_of_instances_is_switched_if_its_library_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And else the page is told how to install it; nothing is switched then."""
    skew = {"kind": "clock_skew", "seconds": 3600}
    async with desk(tmp_path, bare()) as seen:
        monkeypatch.setattr("service.emulator.instances.faults.LIBRARIES", ("/none/*",))
        status, told = await seen.page.refusal("POST", "/api/faults", json=skew)
        assert (status, "apt-get install libfaketime" in told) == (409, True)
        assert (await snapshot(seen))["faults"]["clock_skew"] == 0.0
        library = tmp_path / "libfaketimeMT.so.1"
        library.touch()
        monkeypatch.setattr("service.emulator.instances.faults.LIBRARIES", (str(library),))
        assert (await seen.page.post("/api/faults", **skew))["faults"]["clock_skew"] == 3600.0
        assert seen.played.faults.environment()["LD_PRELOAD"] == str(library)
        off = await seen.page.post("/api/faults", kind="clock_skew", seconds=0)
        assert off["faults"]["clock_skew"] == 0.0


async def test_a_call_is_copied_as_a_command_a_program_and_a_test_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command is run by a shell: quotes and markup in the event are its event's. The test
    passes with the file of the functions.
    """
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(json.dumps(one(ours())))  # which is YAML, too
    async with desk(tmp_path, ours()) as seen:
        row = await seen.send("ours", """print it's "<$HOME>" `x`""")

        async def copied(form: str) -> str:
            address = f"{seen.page.url}/api/calls/{row['id']}/copy?as={form}"
            async with seen.page.session.get(address) as response:
                return await response.text()

        command = await copied("curl")
        done = await asyncio.create_subprocess_exec(
            *("bash", "-c", command), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert (await done.communicate())[0] == b"""print it's "<$HOME>" `x`"""
        compile(await copied("sdk"), "sdk", "exec")
        names: dict[str, Any] = {}
        exec(compile(await copied("pytest"), "pytest", "exec"), names)
        (test,) = (names[name] for name in names if name.startswith("test_"))
        await asyncio.to_thread(test)
        assert "assert outcome.body == " in await copied("pytest")
        assert (await seen.page.refusal("GET", f"/api/calls/{row['id']}/copy?as=x"))[0] == 400


async def test_an_event_of_32_mb_goes_through_and_is_shown_cut(tmp_path: Path) -> None:
    """As bytes, which a page sends of a file."""
    async with desk(tmp_path, bare()) as seen:
        event = bytes(32 * 1024 * 1024)
        async with seen.page.session.post(
            f"{seen.page.url}/api/send?function=bare",
            data=io.BytesIO(event),
            headers=CHANGES | {"Content-Type": "application/octet-stream"},
            timeout=aiohttp.ClientTimeout(total=WITHIN),
        ) as response:
            (call_id,) = (await response.json())["ids"]
        row = await seen.ended(call_id)
        assert (row["status"], row["bytes_in"], row["bytes_out"]) == ("ok", len(event), len(event))
        shown = await seen.page.get(f"/api/calls/{call_id}")
        assert (shown["result"]["bytes"], shown["result"]["cut"]) == (len(event), True)


async def test_an_emulator_without_a_console_has_nothing_around_its_calls(tmp_path: Path) -> None:
    """Its invokers, its file and its instances are those of an emulator that knows no console."""
    from service.emulator import emulator

    async with emulator({"resources": {}} | one(bare()), state=tmp_path / "t.db") as played:
        assert isinstance(played, FunctionCompute)
        assert played._invokers is played._played.invokers
        assert type(played._tasks._store) is Store
        assert played._played._pools["bare"]._changed is None


def one(function: dict[str, Any]) -> dict[str, Any]:
    """What a file of one function holds."""
    resources = {function["functionName"]: {"component": "fc3", "props": function}}
    return {"edition": "3.0.0", "name": "tests", "resources": resources}


def test_the_console_is_imported_by_no_service() -> None:
    """It is the emulator's command that brings it."""
    code = "import sys, service, service.emulator; print('service.console' in str(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout == "False\n", found.stderr
