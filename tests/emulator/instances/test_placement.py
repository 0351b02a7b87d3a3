"""Which instance takes a call, and when none does."""

from __future__ import annotations

import asyncio

import pytest

from service.emulator.calls import PlatformError
from tests.emulator.play import function, playing


async def test_the_least_loaded_instance_takes_a_call() -> None:
    """Of those that run; of equals the oldest."""
    async with playing(function(concurrency=2)) as play:
        calls = [play.begin("sleep 1000") for _ in range(3)]
        await play.log.wait_for("runs: ", 2)
        await asyncio.sleep(0)
        assert [each.in_flight for each in play.instances] == [2, 1]
        calls.append(play.begin("sleep 1000"))
        await asyncio.sleep(0)
        assert [each.in_flight for each in play.instances] == [2, 2]
        for each in play.instances:
            each.kill()
        assert len(await asyncio.gather(*calls, return_exceptions=True)) == 4


async def test_calls_wait_for_an_instance_that_starts_and_is_not_full() -> None:
    """One start serves as many calls as the instance may have; only the first one is cold."""
    async with playing(function(concurrency=3)) as play:
        outcomes = await asyncio.gather(*(play.begin() for _ in range(3)))
        assert [outcome.cold for outcome in outcomes] == [True, False, False]
        assert play.pool.started == 1


async def test_above_the_cap_a_call_is_refused_at_once() -> None:
    """With 429 ResourceExhausted, while `room` says how many more would be taken."""
    async with playing(function(concurrency=2), max_instances=2) as play:
        assert play.pool.room == 4
        calls = []
        for room in (3, 2, 1, 0):
            calls.append(play.begin("sleep 0.2"))
            await asyncio.sleep(0)
            assert play.pool.room == room
        with pytest.raises(PlatformError) as caught:
            await play.call()
        assert (caught.value.status, caught.value.code) == (429, "ResourceExhausted")
        await asyncio.gather(*calls)
        await play.pool.idle()
        assert play.pool.room == 4


@pytest.mark.parametrize(
    ("of_the_file", "of_the_emulator", "cap"), [(1, 5, 1), (5, 1, 1), (None, 5, 5), (0, 5, 0)]
)
async def test_the_smaller_limit_holds(
    of_the_file: int | None, of_the_emulator: int, cap: int
) -> None:
    """reservedConcurrency of the file, --max-instances of the command line; 0 refuses all calls."""
    async with playing(function(max_instances=of_the_file), max_instances=of_the_emulator) as play:
        assert play.pool.room == cap
        if not cap:
            with pytest.raises(PlatformError, match="as many instances as it may have"):
                await play.call()
