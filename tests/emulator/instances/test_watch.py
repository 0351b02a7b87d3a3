"""The watch over instances: those that are idle, and what runs in them."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from service.emulator.instances.watch import InstanceWatch
from tests.emulator.play import WITHIN, function, is_frozen, playing, runs


async def test_an_instance_that_is_idle_for_long_is_stopped_by_the_book() -> None:
    """/pre-stop, SIGTERM; the next call starts another one."""
    async with playing(function(pre_stop_timeout=20.0), idle_timeout=0.3) as play:
        began = time.monotonic()
        await play.call()
        await play.log.wait_for("has ended with code 143")
        assert time.monotonic() - began >= 0.3
        assert "pre-stop /pre-stop" in play.log.texts
        assert "stops: it had no call for 0.3 seconds" in play.log.texts
        assert play.instances == ()
        assert (await play.call()).cold


class Idle:
    """An instance, as the watch sees it, that nobody calls."""

    state, in_flight, provisioned, idle_since = "running", 0, False, 0.0

    def __init__(self) -> None:
        self.looks = 0

    def close(self, _reason: str) -> None:
        self.looks += 1


async def test_a_watch_for_idle_instances_rests_whatever_the_limit() -> None:
    """Even if none may be idle at all, it does not keep the event loop busy."""
    idle: Any = Idle()
    watch = InstanceWatch([idle], idle_timeout=0.0, memory=None, held_until=lambda _each: 0.0)
    watch.start()
    for _ in range(100):
        await asyncio.sleep(0)
    await watch.stop()
    assert 1 <= idle.looks < 50


async def test_a_call_keeps_its_instance_however_long_it_takes() -> None:
    """An instance with a call in it is not idle."""
    async with playing(idle_timeout=0.1) as play:
        assert (await play.call("sleep 0.4")).body == b"slept"
        assert play.pool.started == 1


async def test_processes_that_come_later_are_known_too(tmp_path: Path) -> None:
    """In a call that runs for long, what is started is found: its memory counts."""
    done = tmp_path / "done"
    async with playing(function(concurrency=2)) as play:
        child = int((await play.call("child session")).body)
        call = play.begin(f"until {done}")
        assert play.instance.processes is not None
        async with asyncio.timeout(WITHIN):
            while child not in play.instance.processes._members:  # noqa: ASYNC110 # by the watch
                await asyncio.sleep(0.02)
        done.touch()
        await call
        await is_frozen(child)
        play.instance.thaw()
        await runs(child)
