"""How an instance ends: by the book, and after a call that ran over its time."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from service.emulator.calls import PlatformError
from tests.emulator.play import WITHIN, function, limit, our_function, playing
from tests.emulator.standins import settled

# --- by the book


async def test_an_instance_is_stopped_by_the_book() -> None:
    """/pre-stop where it is configured, then SIGTERM; frozen ones are thawed for it."""
    async with playing(function(pre_stop_timeout=20.0)) as play:
        await play.call()
        assert play.instance.frozen
    assert play.log.texts[-4:] == [
        "stops: the emulator stops",
        "pre-stop /pre-stop",
        "PRE_STOP has run",
        "has ended with code 143",
    ]


@pytest.mark.parametrize(
    ("act", "seconds", "line"),
    [
        ("fail no time", WITHIN, "no time"),
        ("sleep 1000", 0.3, "PreStop had no answer within 0.3 seconds"),
    ],
    ids=["fails", "takes too long"],
)
async def test_a_pre_stop_that_fails_holds_nothing_up(act: str, seconds: float, line: str) -> None:
    """The log says so, and the stop goes on."""
    async with playing(function(pre_stop_timeout=seconds, environment={"PRE_STOP": act})) as play:
        await play.call()
    assert play.log.texts[-2:] == [line, "has ended with code 143"]


async def test_what_does_not_end_after_sigterm_is_killed() -> None:
    """With all its processes, after a while."""
    deaf = "trap '' TERM; setsid sleep 1000 & python bare.py & while true; do wait; done"
    played = function(command=("sh", "-c", deaf))
    async with playing(played, stop_grace=0.2) as play:
        await play.call()
    assert play.log.texts[-2:] == [
        "did not end after SIGTERM, and is killed",
        "has ended with code 137",
    ]


async def test_calls_in_flight_end_before_our_service_does_and_are_lost_with_flask(
    tmp_path: Path,
) -> None:
    """The Flask sample of the platform's documents ends at once on SIGTERM, in the middle of a
    call; our service finishes it.
    """
    done = tmp_path / "done"

    async def stopped(played: Any, event: str, said: str) -> Any:
        async with playing(played) as play:
            await play.call()
            call = play.begin(event)
            await play.log.wait_for("FC Invoke Start", 2)
            lets_go = asyncio.create_task(play.log.wait_for(said))
            lets_go.add_done_callback(lambda _: done.touch())
        return (await asyncio.gather(call, lets_go, return_exceptions=True))[0]

    kept = await stopped(our_function(concurrency=10), f"until {done}", "SIGTERM: stopping")
    assert kept.body == f"until {done}".encode()
    flask = function("flask_sample.py", "own", concurrency=10)
    lost = await stopped(flask, "sleep 1000", "has ended")
    assert isinstance(lost, PlatformError)


# --- over its time


async def test_a_call_over_its_time_ends_its_instance_but_not_the_calls_beside_it(
    tmp_path: Path,
) -> None:
    """SIGTERM and no further call; what it has besides ends in its own time; then SIGKILL."""
    done = tmp_path / "done"
    played = function(concurrency=10, environment={"DEAF": "yes"})
    async with playing(played, stop_grace=0.1) as play:
        await play.call()
        beside = play.begin(f"until {done}")
        await settled()
        limit(play.instance, 0.3)
        outcome = await play.call("sleep 1000")
        assert json.loads(outcome.body) == {"errorMessage": "Function time out after 0.3 seconds"}
        assert outcome.error_type == "UnhandledInvocationError"
        await play.log.wait_for("SIGTERM")
        done.touch()
        assert (await beside).body == b"done"
        assert (await play.call()).cold
        await play.log.wait_for("has ended with code 137")


async def test_a_call_over_its_time_ends_its_instance_when_nothing_else_is_in_it() -> None:
    """After `stop_grace` at the latest, or as soon as it ends by itself."""
    async with playing(function(timeout=0.3)) as play:
        outcome = await play.call("sleep 1000")
        assert outcome.error_type == "UnhandledInvocationError"
        await play.log.wait_for("has ended with code 143")
