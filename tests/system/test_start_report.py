"""What a start takes, told by the start itself."""

from __future__ import annotations

import asyncio

import pytest

from tests.conftest import Serve
from tests.harness import ServerProcess, request

FUNCTION = """
    TABLE = sum(range(3_000_000))

    async def initialize(context):
        pass

    async def handler(event, context):
        return event
"""
STEPS = [
    "Python is there: the service's first line",
    "the service is imported, settings are read",
    "the function is imported: index.handler",
    "the port answers",
    "the initializer is done",
    "the first call arrives",
    "its answer is made",
]


def reports(server: ServerProcess) -> list[str]:
    """The lines that a report begins with."""
    return [line for line in server.lines if line.startswith("start report: ")]


async def test_the_report_follows_the_first_answer(serve: Serve) -> None:
    """It comes once; each step has its time, and the dearest of the function is named."""
    server = serve(FUNCTION, "--start-report")
    for _ in range(2):
        assert (await server.ask(request(b"x"))).body == b"x"
    await asyncio.to_thread(server.wait_for, "index.py.: its own lines")
    told = "\n".join(server.lines)
    assert [step for step in STEPS if f"  {step}\n" not in told] == []
    for package in ("fc_event_service", "(Python's library)"):
        assert f"  {package}\n" in told
    assert "  index (index.py): its own lines take this long: " in told
    assert server.stop() == 0
    assert len(reports(server)) == 1


@pytest.mark.long
async def test_of_several_workers_one_reports(serve: Serve) -> None:
    """It is the one that answers first."""
    server = serve(FUNCTION, "--start-report", "--workers", "2")
    for _ in range(4):
        assert (await server.ask(request(b"x"))).body == b"x"
    await asyncio.to_thread(server.wait_for, "index.py.: its own lines")
    assert server.stop() == 0
    assert len(reports(server)) == 1
    assert "  no call came before the stop" not in server.lines
    first = next(line for line in server.lines if line.endswith(STEPS[0]))
    assert float(first.split()[0]) >= 0, "the parent's begin is that of the start"


async def test_a_start_that_nobody_calls_reports_at_the_stop(serve: Serve) -> None:
    """All but the call is told then."""
    server = serve(FUNCTION, "--start-report")
    await asyncio.to_thread(server.wait_for, "the start report follows the first answer")
    assert server.stop() == 0
    assert "  no call came before the stop" in server.lines
    assert len(reports(server)) == 1


def test_a_start_that_is_none_of_an_instance_is_refused(serve: Serve) -> None:
    """`--reload` starts otherwise than an instance does."""
    server = serve(FUNCTION, "--start-report", "--reload")
    assert server.wait() == 2
    assert "--reload" in server.errors[-1]
