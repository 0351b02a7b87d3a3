"""Clocks that jump (row J of docs/faults.md): what is timed is timed by the monotonic one."""

from __future__ import annotations

import asyncio
import re
import time
from email.utils import parsedate_to_datetime

import pytest

from tests.conftest import Serve
from tests.harness import request
from tests.system.instance import HEALTH

HOUR = 3600.0
JUMPS = {
    "an hour ahead": HOUR,
    "an hour back": -HOUR,
    "past 2038": 15 * 365.25 * 24 * HOUR,
    "before 1970": -60 * 365.25 * 24 * HOUR,
}
SOURCE = """
    import asyncio, os, time

    real, moved = time.time, 0.0
    gmtime, strftime = time.gmtime, time.strftime

    def now():
        return real() + moved

    time.time = now

    async def handler(event, context):
        global moved
        word, _, rest = event.partition(b" ")
        if word == b"jump":
            moved += float(rest)
        if word == b"zone":
            os.environ["TZ"] = rest.decode()
            time.tzset()
        if word == b"wait":
            print("waiting")
            await asyncio.sleep(float(rest))
        if word == b"left":
            return context.remaining()
        print(word.decode())
        return event
"""


@pytest.mark.parametrize(
    ("loop_kind", "jump"), list(zip(["uvloop", "asyncio"] * 2, JUMPS, strict=True))
)
async def test_a_jump_of_the_clock_ends_no_call_and_no_connection(
    serve: Serve, loop_kind: str, jump: str
) -> None:
    """J: a call in flight, one whose body stands still and idle connections live through it; a
    deadline comes when it would have; the stamps of lines and the Date field follow the clock.
    """
    limits = ("--header-timeout", "30", "--body-timeout", "30", "--deadline-margin", "0")
    server = serve(SOURCE, "--loop", loop_kind, *limits)
    async with (
        server.client() as waiting,
        server.client() as late,
        server.client() as half,
        server.client() as head,
        server.client() as idle,
    ):
        await idle.ask(request(b"first"))
        began = time.monotonic()
        await waiting.send(request(b"wait 0.7", x_fc_function_timeout="100"))
        await late.send(request(b"wait 100", x_fc_function_timeout="1"))
        await asyncio.to_thread(server.wait_for, "STDOUT. waiting", count=2)
        await half.send(request(b"whole")[:-3])
        await head.send(request(b"headed")[:30])
        uptime = (await server.ask(HEALTH)).json()["uptimeSeconds"]
        answer = await idle.ask(request(b"jump %f" % JUMPS[jump]))
        assert answer.status == 200
        assert (await waiting.answer()).body == b"wait 0.7"
        assert (await late.answer()).json()["errorType"] == "FunctionTimeout"
        assert time.monotonic() - began > 0.9  # no timer was over by the jump
        await half.send(b"ole")
        assert (await half.answer()).body == b"whole"
        await head.send(request(b"headed")[30:])
        assert (await head.answer()).body == b"headed"
        left = (await idle.ask(request(b"left", x_fc_function_timeout="100"))).json()
        assert 50 < left <= 100
        answer = await idle.ask(request(b"after", request_id="after"))
        written = parsedate_to_datetime(answer.headers["date"]).timestamp()
        assert abs(written - time.time() - JUMPS[jump]) < 60
        later = (await server.ask(HEALTH)).json()["uptimeSeconds"]
        assert 0 <= uptime <= later < 600
    said = await asyncio.to_thread(server.wait_for, r" after \[STDOUT\] after")
    year = time.gmtime(time.time() + JUMPS[jump]).tm_year
    assert re.match(rf"{year}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z after ", said)
    assert "Traceback" not in server.log()
    assert await asyncio.to_thread(server.stop) == 0


async def test_a_leap_second_or_a_clock_that_stands_stops_nothing(
    serve: Serve, loop_kind: str
) -> None:
    """J: the clock goes back a second again and again: calls, their lines and a deadline go on."""
    server = serve(SOURCE, "--loop", loop_kind, "--deadline-margin", "0")
    async with server.client() as client:
        for _ in range(20):
            await client.ask(request(b"jump -1"))
            assert (await client.ask(request(b"same"))).body == b"same"
        answer = await client.ask(request(b"wait 100", x_fc_function_timeout="0.3"))
        assert answer.json()["errorType"] == "FunctionTimeout"
    assert len([line for line in server.lines if line.endswith("STDOUT] same")]) == 20


async def test_a_time_zone_changes_no_stamp(serve: Serve, loop_kind: str) -> None:
    """J: lines are stamped in UTC whatever the zone is, and calls go on."""
    server = serve(SOURCE, "--loop", loop_kind, environ={"TZ": "America/New_York"})
    for zone in (b"Asia/Shanghai", b"Pacific/Apia", b"no such zone"):
        assert (await server.ask(request(b"zone " + zone))).status == 200
        answer = await server.ask(request(b"hour", request_id=zone.decode().replace(" ", "-")[:4]))
        assert answer.headers["date"].endswith("GMT")
    utc = time.strftime("%Y-%m-%dT%H:", time.gmtime())
    before = time.strftime("%Y-%m-%dT%H:", time.gmtime(time.time() - 60))
    lines = [line for line in server.lines if line.endswith("STDOUT] hour")]
    assert len(lines) == 3
    assert all(line.startswith((utc, before)) for line in lines)
