"""One instance: what it is given, what is called, and what is said when it fails."""

from __future__ import annotations

import asyncio
import errno
import json
import math
import re
import time
from pathlib import Path
from typing import Any

import pytest

from service.emulator.calls import PlatformError
from service.emulator.failures import WantedPort, own_port, waits
from service.emulator.instances import start
from service.emulator.instances.faults import Faults
from service.emulator.instances.instance import DROPPED
from service.emulator.spec.model import HealthCheck
from tests.emulator.play import (
    FUNCTIONS,
    WITHIN,
    Play,
    free_port,
    function,
    is_frozen,
    our_function,
    playing,
    runs,
)
from tests.harness import least

# --- what it is given


async def test_an_instance_has_the_platforms_environment_and_nothing_of_the_desks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """PATH, HOME, LANG and TMPDIR, the function's own variables, and the platform's."""
    monkeypatch.setenv("OF_THE_DESK", "secret")
    played = function(environment={"MINE": "yes", "PATH": "/code/bin"}, memory=1024)
    async with playing(played) as play:
        variables = json.loads((await play.call("environment")).body)
        assert variables["FC_INSTANCE_ID"] == play.instance.id
    assert variables.pop("MINE") == "yes"
    assert variables.pop("PATH").split(":")[0] == "/code/bin"
    assert variables.pop("FC_CUSTOM_LISTEN_PORT") == variables.pop("FC_SERVER_PORT")
    assert variables.pop("FC_FUNC_CODE_PATH") == str(FUNCTIONS)
    assert variables.pop("FC_FUNCTION_MEMORY_SIZE") == "1024"
    given = {name for name in variables if not name.startswith(("FC_", "ALIBABA_CLOUD_"))}
    assert given <= {"HOME", "LANG", "TMPDIR", "LC_CTYPE", "PYTHONPATH", "PYTHONUSERBASE"}


async def test_each_instance_has_a_port_of_its_own() -> None:
    """The first one has the port of the file where that is free."""
    played = function()
    async with playing(played) as play:
        calls = [play.begin("environment") for _ in range(2)]
        ports = [json.loads((await call).body)["FC_CUSTOM_LISTEN_PORT"] for call in calls]
    assert ports[0] == str(played.port) != ports[1]


async def test_a_call_has_the_common_headers() -> None:
    """Those of every request, with credentials of its own each time."""
    async with playing(function(concurrency=2)) as play:
        first = await play.call("headers", request_id="1-6b032c21-1841a79b-86cdaf7927b1")
        second = await play.call("headers", retry_count=2)
    one, two = dict(json.loads(first.body)), dict(json.loads(second.body))
    assert one["x-fc-request-id"] == "1-6b032c21-1841a79b-86cdaf7927b1"
    assert one["x-fc-control-path"] == "/invoke"
    assert one["Content-Type"] == "application/octet-stream"
    assert one["x-fc-function-timeout"] == "30"
    assert (one["x-fc-retry-count"], two["x-fc-retry-count"]) == ("0", "2")
    assert one["x-fc-access-key-id"] != two["x-fc-access-key-id"]
    assert one["x-fc-security-token"]


async def test_debian_11_gets_no_security_token() -> None:
    """That runtime's requests carry none; its variables do."""
    async with playing(function(runtime="custom.debian11")) as play:
        headers = dict(json.loads((await play.call("headers")).body))
        assert json.loads((await play.call("environment")).body)["ALIBABA_CLOUD_SECURITY_TOKEN"]
    assert "x-fc-security-token" not in headers


# --- its start


async def refused(played: Any, **options: Any) -> tuple[PlatformError, Play]:
    """What a call gets whose instance does not start."""
    async with playing(played, **options) as play:
        with pytest.raises(PlatformError) as caught:
            await play.call()
        assert caught.value.status == 412
        return caught.value, play


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("./bootstrap", "/code/bootstrap"),
        (f"{FUNCTIONS}/bin/start", "/code/bin/start"),
        ("/none/start", "/none/start"),
    ],
)
async def test_a_missing_start_file_is_named(command: str, told: str) -> None:
    """With the platform's path, and the platform's words."""
    error, _ = await refused(function(command=(command,)))
    assert error.code == "CAFileNotFound"
    assert str(error).endswith(
        f"Failed to start function instance. Error: the file {told} is not exist"
    )


async def test_a_missing_code_directory_is_named(tmp_path: Path) -> None:
    """What `code` names has to be built first."""
    error, _ = await refused(function(code=tmp_path / "build" / "code"))
    assert error.code == "CAFileNotFound"
    assert f"The directory {tmp_path}/build/code does not exist" in str(error)


def script(folder: Path, text: str, mode: int = 0o755) -> Any:
    """A function that starts with a script."""
    file = folder / "bootstrap"
    file.write_text(text)
    file.chmod(mode)
    return function(code=folder, command=("./bootstrap",))


@pytest.mark.parametrize(
    ("text", "mode", "code", "message"),
    [
        ("#!/bin/sh\nexit 0", 0o644, 13, "permission denied"),
        ("exit 0", 0o755, 8, "exec format error"),
        ("#!/none\n", 0o755, 2, "no such file or directory"),
        ("#!/bin/sh\necho oh no\nexit 5", 0o755, 5, "exit status 5"),
        ("#!/bin/sh\necho oh no\nkill -KILL $$", 0o755, 137, "killed by SIGKILL"),
    ],
    ids=["not executable", "no shebang", "no interpreter", "exit", "killed"],
)
async def test_a_process_that_ends_at_the_start_is_told_with_code_and_output(
    tmp_path: Path, text: str, mode: int, code: int, message: str
) -> None:
    """In the platform's words, with the last that it wrote behind `Logs:`."""
    error, play = await refused(script(tmp_path, text, mode))
    said = "oh no\n" if "oh no" in text else ""
    assert error.code == "CAExited"
    assert str(error).endswith(
        f"Function instance exited unexpectedly(code {code}, message:{message})"
        f" with start command './bootstrap'. Logs:{said}"
    )
    assert any(text.startswith("stops: its start failed: ") for text in play.log.texts)


async def not_started(played: Any, said: str) -> None:
    """A port that is not open in time is an error that says something. On a busy machine a program
    needs longer to get as far as that.
    """
    for seconds in (0.7, 3.0, 20.0):
        error, _ = await refused(played, start_timeout=seconds)
        assert error.code == "FunctionNotStarted"
        if str(error).endswith(said):
            break
    assert str(error) == (
        f"Function instance health check failed on port {played.port} in {seconds:g} seconds.\n"
        f"Logs:{said}"
    )


async def test_a_port_that_never_opens_is_an_error_with_the_output() -> None:
    """The platform waits for 120 s, here for as long as it is told."""
    await not_started(function("exits.py", "never"), "what it said last\n")


async def test_a_server_on_127_0_0_1_does_not_start() -> None:
    """As on the platform; what the platform does not say is said here."""
    played = function(environment={"HOST": "127.0.0.1"})
    await not_started(
        played,
        f"\nIt listens on 127.0.0.1:{played.port} only: Function Compute needs 0.0.0.0.",
    )


async def test_a_server_that_listens_elsewhere_is_told_what_the_desk_needs() -> None:
    """On the platform each instance has all ports for itself, here they share them."""
    other = free_port()
    played = function(environment={"PORT": str(other)})
    await not_started(
        played,
        f"\nIt listens on 0.0.0.0:{other}."
        f"\nThis instance was to listen on port {played.port}: on the desk each instance needs a"
        " port of its own. Read it from FC_CUSTOM_LISTEN_PORT, or run with --max-instances 1.",
    )


async def test_a_start_that_takes_long_says_what_it_waits_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After three seconds, and not only at the end of 120: where it listens, or not yet."""
    assert start.SILENCE == 3.0
    monkeypatch.setattr(start, "SILENCE", 0.0)
    played = function(environment={"HOST": "127.0.0.1", "GATE": "/none"})
    async with playing(played) as play:
        call = play.begin()
        await play.log.wait_for(f"waits for port {played.port} to open, for 120 seconds in all.")
        await play.log.wait_for("It does not listen anywhere yet.")
        play.instance.kill()
        with pytest.raises(PlatformError):
            await call


def test_the_line_of_a_slow_start_says_where_the_server_listens() -> None:
    """And what to do about it."""
    port = WantedPort(9000, 9000, cap=10)
    assert waits(port, 120.0, [("127.0.0.1", 9000)]) == (
        "waits for port 9000 to open, for 120 seconds in all. It listens on 127.0.0.1:9000 only:"
        " Function Compute needs 0.0.0.0."
    )


@pytest.mark.parametrize(
    ("port", "advice"),
    [
        (WantedPort(9000, 9000, cap=10), "or run with --max-instances 1."),
        (WantedPort(4711, 9000, cap=1), "port 9000 of the file is another program's"),
        (WantedPort(9000, 9000, cap=1), "or change the file."),
    ],
    ids=["several", "taken", "one"],
)
def test_the_advice_on_a_port_is_not_what_was_done_already(port: WantedPort, advice: str) -> None:
    """With one instance at most there is no use in saying so."""
    assert advice in own_port(port)
    assert ("--max-instances" in own_port(port)) == (port.cap > 1)


async def test_a_second_server_on_the_same_port_is_told_what_the_desk_needs() -> None:
    """The Flask sample of the platform's documents listens on one port, whatever it is told."""
    port = free_port()
    async with playing(function("flask_sample.py", str(port), port=port)) as play:
        assert (await play.call()).body == b"Hello, World!"
        hanging = play.begin("sleep 1000")
        with pytest.raises(PlatformError, match="Address already in use") as caught:
            await play.call()
        assert "on the desk each instance needs a port of its own" in str(caught.value)
        assert "--max-instances 1" in str(caught.value)
        play.instances[0].kill()
        with pytest.raises(PlatformError):
            await hanging


# --- the initializer


async def test_the_initializer_runs_once_and_before_the_first_event() -> None:
    """POST /initialize, only where one is configured, and its lines are in the log."""
    async with playing(function(initializer_timeout=30.0)) as play:
        await play.call()
        await play.call()
    assert play.log.texts.count("INITIALIZER has run") == 1
    async with playing() as play:
        await play.call()
    assert "INITIALIZER has run" not in play.log.texts


@pytest.mark.parametrize(
    ("act", "message"),
    [
        ("fail no database", "no database"),
        ("refuse in plain text", "in plain text"),
        ("refuse", "Initialize failed with status 404"),
        ("refuse []", "Initialize failed with status 404"),
        ("sleep 1000", "Function initialization time out after 0.5 seconds"),
        ("exit 1", "Process exited unexpectedly before completing request"),
    ],
    ids=["fails", "plain text", "nothing", "no object", "takes too long", "ends the process"],
)
async def test_a_failed_initializer_is_an_answer_and_the_end_of_the_instance(
    act: str, message: str
) -> None:
    """Status 200 with the error type InitializationError; the next call starts another one."""
    limit = 0.5 if act == "sleep 1000" else 30.0
    played = function(initializer_timeout=limit, environment={"INITIALIZER": act})
    async with playing(played) as play:
        outcome = await play.call()
        assert outcome.error_type == "InitializationError"
        assert json.loads(outcome.body)["errorMessage"].startswith(message)
        assert [each.state for each in play.instances] in ([], ["stopping"])
        async with asyncio.timeout(WITHIN):
            await play.pool.idle()


async def test_a_slow_initializer_can_be_played() -> None:
    """The delay counts within the initializer's time-out."""
    async with playing(function(initializer_timeout=0.5)) as play:
        play.faults.initializer_delay = 1000.0
        assert (await play.call()).error_type == "InitializationError"
    async with playing(function(initializer_timeout=30.0)) as play:
        play.faults.initializer_delay = 0.01
        assert (await play.call()).error_type == ""


# --- calls


async def test_an_answer_is_what_the_function_gave() -> None:
    """Its bytes, whatever its status; x-fc-status alone says that it failed."""
    async with playing() as play:
        outcome = await play.call(b"\x00 any bytes \xff" * 500_000)
        assert outcome.body == b"\x00 any bytes \xff" * 500_000
        assert (outcome.error_type, outcome.cold) == ("", True)
        assert outcome.instance_id == play.instance.id
        failed = await play.call("fail")
        assert json.loads(failed.body) == {"errorMessage": "it failed"}
        assert (failed.error_type, failed.cold) == ("UnhandledInvocationError", False)
    assert play.pool.started == 1


async def test_each_call_has_its_line_of_the_console() -> None:
    """Duration, what is billed, memory."""
    async with playing(function(memory=256)) as play:
        outcome = await play.call("sleep 0.01")
        [line] = play.log.of(outcome.request_id)
    match = re.fullmatch(
        r"RequestId: (\S+) Duration: ([0-9.]+) ms, Billed Duration: (\d+) ms,"
        r" Memory Size: 256 MB, Max Memory Used: ([0-9.]+) MB",
        line,
    )
    assert match
    assert match[1] == outcome.request_id
    assert float(match[2]) >= 10
    assert int(match[3]) == math.ceil(float(match[2]))
    assert match[4] == f"{outcome.memory:.2f}"
    assert outcome.duration == pytest.approx(float(match[2]) / 1000, abs=1e-5)


async def test_a_call_that_asks_has_its_log_where_calls_come_one_by_one() -> None:
    """The last 4 KB of its own lines, and not at a concurrency above 1 (section 4)."""
    async with playing() as play:
        assert (await play.call("print one", tail=True)).log == b"one\n"
        assert (await play.call("write two", tail=True)).log == b"two\n"
        assert (await play.call("print three")).log is None
    async with playing(function(concurrency=2)) as play:
        assert (await play.call("print one", tail=True)).log is None


async def test_a_process_that_ends_in_a_call_is_a_502_and_the_next_call_has_another_one() -> None:
    """The platform's words; every call that the instance had gets them."""
    async with playing(function(concurrency=2)) as play:
        first = play.begin("sleep 1000")
        await play.log.wait_for("runs: ")
        second = play.begin("exit 7")
        for call in (first, second):
            with pytest.raises(PlatformError) as caught:
                await call
            assert caught.value.status == 502
            assert re.fullmatch(
                r"Process exited unexpectedly before completing request"
                r" \(duration: \d+ms, maxMemoryUsage: \d+\.\d\dMB\)",
                str(caught.value),
            )
        assert (await play.call()).cold
        await play.log.wait_for("stops: its process exited unexpectedly (code 7)")


async def test_a_process_that_is_about_to_end_gets_no_further_call() -> None:
    """Its connections end before it does: the call that sees it waits for what comes of it, longer
    than a moment if nobody listens any more.
    """
    async with playing() as play:
        with pytest.raises(PlatformError):
            await play.call(f"leave {2 * DROPPED}")
        assert (await play.call()).cold


async def test_a_closed_connection_is_a_502_and_the_instance_stays() -> None:
    """A POST is not sent again: the function may have begun."""
    async with playing() as play:
        with pytest.raises(PlatformError, match="Process exited unexpectedly") as caught:
            await play.call("close")
        assert caught.value.status == 502
        assert not (await play.call()).cold


async def test_a_closed_connection_is_a_502_with_no_file_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is not asked then whether the process listens still."""

    async def has_no_file(_port: int) -> bool:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("service.emulator.instances.instance.is_open", has_no_file)
    async with playing() as play:
        with pytest.raises(PlatformError, match="Process exited unexpectedly"):
            await play.call("close")
        assert not (await play.call()).cold


async def test_an_answer_that_is_not_http_is_a_502() -> None:
    """With what is wrong."""
    async with playing() as play:
        with pytest.raises(PlatformError, match="cannot be read") as caught:
            await play.call("garbage")
        assert (caught.value.status, caught.value.code) == (502, "BadResponse")


# --- freeze and thaw


async def test_an_idle_instance_is_frozen_and_thawed_by_the_next_call() -> None:
    """After each call, all its processes, on the same warm connection."""
    async with playing() as play:
        child = int((await play.call("child session")).body)
        pid = int((await play.call("pid")).body)
        assert play.instance.frozen
        await is_frozen(pid, child)

        async def ticks() -> int:
            before = int((await play.call("ticks")).body)
            await asyncio.sleep(0.5)
            return int((await play.call("ticks")).body) - before

        assert await least(ticks, below=25) < 25
        assert len(play.instance.calls.connections.all) == 1


async def test_an_instance_is_not_frozen_while_a_call_is_in_it(tmp_path: Path) -> None:
    """The last call to end is the one that it freezes after."""
    done = tmp_path / "done"
    async with playing(function(concurrency=2)) as play:
        pid = int((await play.call("pid")).body)
        slow = play.begin(f"until {done}")
        await asyncio.sleep(0)
        await play.call("hello")
        assert not play.instance.frozen
        done.touch()
        await slow
        await is_frozen(pid)


async def test_a_server_that_closes_idle_connections_loses_a_call_after_a_freeze(
    tmp_path: Path,
) -> None:
    """Its timer is overdue before the event that thaws it is read; a POST is not sent again."""
    overdue = tmp_path / "overdue"
    async with playing(function("closes_idle.py", environment={"OVERDUE": str(overdue)})) as play:
        assert (await play.call()).body == b"ok"
        assert play.instance.frozen
        overdue.touch()
        with pytest.raises(PlatformError, match="Process exited unexpectedly"):
            await play.call()
        assert (await play.call()).body == b"ok"


async def test_a_server_that_closes_idle_connections_is_served_where_nothing_freezes(
    tmp_path: Path,
) -> None:
    """A connection that is known to be closed is not used."""
    overdue = tmp_path / "overdue"
    played = function("closes_idle.py", provisioned=1, environment={"OVERDUE": str(overdue)})
    async with playing(played) as play:
        assert (await play.call()).body == b"ok"
        overdue.touch()
        async with asyncio.timeout(WITHIN):
            while play.instance.calls.connections.all:  # noqa: ASYNC110 # the server's timer ends them
                await asyncio.sleep(0.01)
        assert (await play.call()).body == b"ok"


async def test_our_service_keeps_its_warm_connections_through_a_freeze() -> None:
    """The same connection serves before and after."""
    served = our_function()
    async with playing(served) as play:
        assert (await play.call("hello")).body == b"hello"
        (connection,) = play.instance.calls.connections.all
        await asyncio.sleep(0.3)
        assert (await play.call("print hello", tail=True)).log
        assert play.instance.calls.connections.all == {connection}


async def test_an_instance_can_be_frozen_in_the_middle_of_a_call(tmp_path: Path) -> None:
    """By a test; `thaw` lets it go on."""
    done = tmp_path / "done"
    async with playing() as play:
        pid = int((await play.call("pid")).body)
        call = play.begin(f"hang {done}")
        await play.log.wait_for("hangs")
        play.instance.freeze()
        play.instance.freeze()  # it is
        await is_frozen(pid)
        done.touch()
        await asyncio.sleep(0.2)
        assert not call.done()
        play.instance.thaw()
        play.instance.thaw()  # it is
        await runs(pid)
        assert (await call).body == b"done"


async def test_the_connections_of_an_instance_can_be_dropped() -> None:
    """With the calls on them; the instance goes on."""
    async with playing(function(concurrency=2)) as play:
        pid = (await play.call("pid")).body
        call = play.begin("hang")
        await play.log.wait_for("hangs")
        play.instance.drop_connections()
        with pytest.raises(PlatformError, match="Process exited unexpectedly"):
            await call
        assert (await play.call("pid")).body == pid


async def test_an_instance_can_be_killed() -> None:
    """As by a crash, frozen or not."""
    async with playing() as play:
        await play.call()
        play.instance.kill()
        await play.log.wait_for("has ended with code 137")
        assert play.instances == ()
        assert (await play.call()).cold


# --- health


def checked(folder: Path, **fields: Any) -> Any:
    """A function whose health is checked often; it is sick while a file is there."""
    check = HealthCheck("/health", **{"period": 0.05, "failures": 2, "timeout": 30.0} | fields)
    return function(health=check, environment={"SICK": str(folder / "sick")}, concurrency=2)


async def test_an_instance_whose_first_check_fails_does_not_start(tmp_path: Path) -> None:
    """The check comes after the initializer."""
    (tmp_path / "sick").touch()
    error, _ = await refused(checked(tmp_path, initial_delay=0.01))
    assert error.code == "FunctionNotStarted"
    assert "health check failed on path /health: status 503." in str(error)


async def test_an_unhealthy_instance_gets_no_calls_and_is_replaced(tmp_path: Path) -> None:
    """It may end the calls that it has, and recover while it does."""
    sick, done = tmp_path / "sick", tmp_path / "done"
    async with playing(checked(tmp_path)) as play:
        call = play.begin(f"until {done}")
        await play.log.wait_for("runs: ")
        sick.touch()
        await play.log.wait_for("is unhealthy: status 503")
        sick.unlink()
        await play.log.wait_for("is healthy again")
        assert not (await play.call()).cold
        sick.touch()
        await play.log.wait_for("is unhealthy: status 503", 2)
        sick.unlink()
        play.instance._checks.cancel()  # type: ignore[union-attr] # it stays unhealthy
        assert (await play.call()).cold
        done.touch()
        assert (await call).body == b"done"
        await play.log.wait_for("stops: it is unhealthy")


async def test_a_frozen_instance_is_not_checked(tmp_path: Path) -> None:
    """It could not answer, and is healthy when it is thawed."""
    async with playing(checked(tmp_path)) as play:
        await play.call()
        await asyncio.sleep(0.3)
        assert not (await play.call()).cold
        play.begin("sleep 0.2")
        await asyncio.sleep(0.1)
    assert not any("unhealthy" in text for text in play.log.texts)


# --- memory


async def test_the_memory_of_all_processes_is_watched() -> None:
    """What an instance takes in a call is in the line after it."""
    async with playing() as play:
        small = (await play.call()).memory
        await play.call("grow 50")
        await asyncio.sleep(0.15)
        assert (await play.call()).memory >= small + 50


@pytest.mark.parametrize("enforced", [True, False])
async def test_an_instance_above_its_memory_is_killed_where_that_is_wanted(enforced: bool) -> None:
    """The caller gets the platform's words, with the memory that was too much."""
    async with playing(function(memory=128), enforce_memory=enforced) as play:
        call = play.begin("grow 150 0.3" if not enforced else "grow 150 1000")
        if not enforced:
            assert (await call).body == b"grown"
            return
        with pytest.raises(PlatformError, match="Process exited unexpectedly") as caught:
            await call
        used = re.search(r"maxMemoryUsage: ([0-9.]+)MB", str(caught.value))
        assert used
        assert float(used[1]) > 128
        await play.log.wait_for("and memorySize is 128 MB")


# --- the clock


async def test_the_clock_of_an_instance_can_be_set_while_it_runs() -> None:
    """The wall clock alone, and no warm connection ends by it."""
    played = our_function()
    async with playing(played) as play:
        try:
            play.faults.clock_skew = 3600.0
        except RuntimeError as reason:
            pytest.skip(str(reason))

        async def ahead() -> tuple[float, float]:
            wall, monotonic = json.loads((await play.call("clock")).body)
            return wall - time.time(), monotonic - time.monotonic()

        wall, monotonic = await ahead()
        assert wall == pytest.approx(3600, abs=30)
        assert monotonic == pytest.approx(0, abs=30)
        play.faults.clock_skew = -86400.0
        assert (await ahead())[0] == pytest.approx(-86400, abs=30)
        play.faults.clock_skew = 0.0
        assert (await ahead())[0] == pytest.approx(0, abs=30)
        assert play.pool.started == 1


def test_the_error_says_how_to_get_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where libfaketime is missing; a clock that is right needs none."""
    monkeypatch.setattr("service.emulator.instances.faults.LIBRARIES", ("/none/*",))
    faults = Faults()
    faults.clock_skew = 0.0
    assert (faults.clock_skew, faults.environment()) == (0.0, {})
    with pytest.raises(RuntimeError, match="apt-get install libfaketime"):
        faults.clock_skew = 1.0
    assert faults.clock_skew == 0.0
