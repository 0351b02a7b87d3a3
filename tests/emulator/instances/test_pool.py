"""The instances of a function: when one is started, and when one is stopped."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from service.emulator.calls import PlatformError
from service.emulator.instances import pool as module
from service.emulator.spec.model import HealthCheck
from tests.emulator.play import (
    WITHIN,
    Play,
    free_port,
    function,
    is_frozen,
    limit,
    our_function,
    playing,
)


async def started(play: Play, count: int) -> None:
    """Wait until so many instances have started to run."""
    await play.log.wait_for("runs: ", count)


# --- scaling


async def test_a_thousand_calls_at_250_at_once_make_three_instances_of_100() -> None:
    """None ever has more than its concurrency, and no call fails; then all are frozen, thawed by a
    call, and stopped by the book.
    """
    played = our_function(concurrency=100, pre_stop_timeout=20.0)
    async with playing(played) as play:
        todo = iter(range(1000))

        async def client() -> int:
            return sum([(await play.call("sleep 0.05")).error_type == "" for _ in todo])

        assert sum(await asyncio.gather(*(client() for _ in range(250)))) == 1000
        assert play.pool.started == 3
        assert max(each.peak for each in play.instances) == 100
        assert sum(each.served for each in play.instances) == 1000
        await is_frozen(*(each.processes.pid for each in play.instances if each.processes))
        assert (await play.call("again")).body == b"again"
    assert sum("FC PreStop End" in text for text in play.log.texts) == 3
    assert sum(text == "has ended with code 0" for text in play.log.texts) == 3


async def test_a_call_whose_instance_does_not_start_takes_no_other_call_along(
    tmp_path: Path,
) -> None:
    """Calls that waited with it go to an instance that has room by then; it alone has the error."""
    gate, done = tmp_path / "gate", tmp_path / "done"
    gate.touch()
    async with playing(function(concurrency=2, environment={"GATE": str(gate)})) as play:
        await play.call()
        gate.unlink()
        held = [play.begin(f"until {done}") for _ in range(2)]
        await asyncio.sleep(0)
        first, second = play.begin(), play.begin()
        await play.log.wait_for("starts on port", 2)
        done.touch()
        await asyncio.gather(*held)
        play.instances[1].kill()
        with pytest.raises(PlatformError, match="killed by SIGKILL"):
            await first
        assert (await second).body == b"{}"
        assert play.pool.started == 2


async def test_a_call_may_be_cancelled_while_its_instance_starts() -> None:
    """Its slot is free again, the instance starts all the same, and is frozen."""
    async with playing() as play:
        call = play.begin()
        await play.log.wait_for("starts on port")
        call.cancel()
        await started(play, 1)
        await play.pool.idle()
        assert (play.instance.in_flight, play.instance.served) == (0, 0)
        assert play.instance.frozen
        assert not (await play.call()).cold


# --- a client that leaves


async def test_a_call_whose_client_has_left_goes_on_and_keeps_its_slot(tmp_path: Path) -> None:
    """At a concurrency above 1 the instance stays; the log says what has happened."""
    done = tmp_path / "done"
    async with playing(function(concurrency=2), max_instances=1) as play:
        await play.call()
        call = play.begin(f"hang {done}", request_id="1-a-b")
        await play.log.wait_for("hangs")
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert play.instance.in_flight == 1
        assert play.pool.room == 1
        assert not play.instance.frozen
        await play.call()
        done.touch()
        await play.pool.idle()
        assert play.instance.frozen
    said, cancelled, console = play.log.of("1-a-b")
    assert said == "hangs"
    assert cancelled.startswith(
        "FC Invoke End RequestId: 1-a-b, Error: Invocation canceled by client (duration: "
    )
    assert console.startswith("RequestId: 1-a-b Duration: ")


@pytest.mark.parametrize("checked", [True, False], ids=["health check", "no health check"])
async def test_an_instance_of_one_call_whose_client_has_left_is_replaced(
    tmp_path: Path, checked: bool
) -> None:
    """At a concurrency of 1, unless a health check says that it is well (section 6)."""
    done = tmp_path / "done"
    check = HealthCheck("/", timeout=30.0) if checked else None
    async with playing(function(health=check)) as play:
        await play.call()
        call = play.begin(f"hang {done}")
        await play.log.wait_for("hangs")
        call.cancel()
        if checked:
            done.touch()
            await play.pool.idle()
            assert play.pool.started == 1
        else:
            await started(play, 2)
            await play.log.wait_for("stops: the client of its call has left")


# --- provisioned instances


async def test_provisioned_instances_are_there_from_the_start_and_are_not_frozen() -> None:
    """Nor stopped for being idle, nor cold."""
    async with playing(function(provisioned=2), idle_timeout=0.1) as play:
        assert [each.state for each in play.instances] == ["running", "running"]
        before = int((await play.call("ticks")).body)
        async with asyncio.timeout(WITHIN):
            while int((await play.call("ticks")).body) < before + 30:  # noqa: ASYNC110 # time
                await asyncio.sleep(0.1)
        assert not any(each.frozen for each in play.instances)
        assert not (await play.call()).cold


async def test_provisioned_instances_are_frozen_where_the_file_says_so() -> None:
    """`alwaysAllocateCPU: false`."""
    async with playing(function(provisioned=1, provisioned_freeze=True)) as play:
        assert play.instance.frozen


async def test_a_provisioned_instance_that_ends_is_replaced() -> None:
    """At once."""
    async with playing(function(provisioned=1)) as play:
        play.instance.kill()
        await started(play, 2)
        assert not (await play.call()).cold


async def test_a_provisioned_instance_that_does_not_start_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while; the start of the emulator goes on without it."""
    monkeypatch.setattr(module, "FIRST_RESTART_DELAY", 0.01)
    flag = tmp_path / "flag"
    command = ("sh", "-c", f"test -e {flag} && exec python bare.py")
    async with playing(function(command=command, provisioned=1)) as play:
        await play.log.wait_for("stops: its start failed")
        flag.touch()
        await started(play, 1)


# --- one port


async def test_a_server_with_a_port_of_its_own_can_be_replaced() -> None:
    """With one instance at most, the next one starts when the last one has let go of the port."""
    port = free_port()
    flask = function("flask_sample.py", str(port), port=port)
    async with playing(flask, max_instances=1) as play:
        assert (await play.call()).body == b"Hello, World!"
        limit(play.instance, 0.3)
        assert (await play.call("sleep 1000")).error_type == "UnhandledInvocationError"
        assert (await play.call()).body == b"Hello, World!"
        assert play.pool.started == 2


# --- the end


async def test_nothing_is_taken_once_the_pool_stops() -> None:
    """503, and no room."""
    async with playing() as play:
        await play.call()
    assert play.pool.room == 0
    with pytest.raises(PlatformError) as caught:
        await play.call()
    assert caught.value.status == 503


async def test_an_instance_that_starts_is_stopped_as_well() -> None:
    """Its call is told, and no process is left."""
    async with playing(function("exits.py", "never")) as play:
        call = play.begin()
        await play.log.wait_for("what it said last")
    with pytest.raises(PlatformError) as caught:
        await call
    assert caught.value.status == 503
    assert any("stops: nobody waits for its start any more" in text for text in play.log.texts)


async def test_calls_go_on_through_a_flood_of_output() -> None:
    """An instance that writes without end is served, and so is its log."""
    async with playing(function(concurrency=2)) as play:
        assert (await play.call("flood")).body == b"flooding"
        for _ in range(5):
            assert (await play.call("hello")).body == b"hello"
        await play.log.wait_for("a line of a flood", 100)
