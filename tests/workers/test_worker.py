"""What a worker has of all that the workers share, and what it tells the supervisor."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator

import pytest
from aiohttp import web

from service.errors import StartError
from service.instance.assembly import SERVICE
from service.settings.table import Settings
from service.workers.fair_listener import SharedCounts
from service.workers.messages import Inbox, WorkerReport, new_inbox, received
from service.workers.worker import WorkerShare
from tests.assembly import assembled, logged

Shared = tuple[WorkerShare, Inbox, int]


@pytest.fixture
def shared() -> Iterator[Shared]:
    """The share of one worker, the inbox of its reports, and the supervisor's end of the pipe."""
    alive, supervisor = os.pipe()
    reports = new_inbox()
    sock = socket.create_server(("127.0.0.1", 0))
    share = WorkerShare(0, 1, sock, [new_inbox()], SharedCounts(1), alive, reports.writing, None)
    yield share, reports, supervisor
    share.close()
    reports.close()


async def echo(event: bytes) -> bytes:
    """Answer with the event."""
    return event


def test_a_worker_reports_that_it_serves_or_why_it_cannot(shared: Shared) -> None:
    """In the order in which it does; and when nobody reads it, it goes on."""
    share, reports, supervisor = shared
    share.serves(["banner"])
    share.failed(StartError("no such module: \udce9"))
    serving, failed = received(reports, WorkerReport)
    assert serving == WorkerReport(os.getpid(), ["banner"])
    assert (failed.failure, failed.exit_code) == ("no such module: \udce9", 3)
    reports.reading.close()
    share.serves([])
    os.close(supervisor)


@pytest.mark.parametrize("told", [b".", b""], ids=["told", "the supervisor is gone"])
async def test_a_worker_ends_with_the_supervisor(shared: Shared, told: bytes) -> None:
    """A byte says that all are to end, the pipe's end that the supervisor is gone: the log tells
    them apart.
    """
    share, _, supervisor = shared
    with logged() as (logs, pipe):
        app = assembled(logs, echo)
        lifecycle = app[SERVICE].lifecycle
        share.join(app, share.peers(Settings()))
        runner = web.AppRunner(app)
        await runner.setup()
        assert not lifecycle.ending.is_set()
        os.write(supervisor, told)
        os.close(supervisor)
        async with asyncio.timeout(20):
            await lifecycle.ending.wait()
        await runner.cleanup()
        assert ("the parent process is gone" in "".join(pipe.lines())) == (told == b"")


async def test_a_worker_writes_down_whether_it_is_busy(shared: Shared) -> None:
    """As long as anything is in flight."""
    share, _, supervisor = shared
    with logged() as (logs, _):
        app = assembled(logs, echo)
        share.join(app, share.peers(Settings()))
        lifecycle, busy = app[SERVICE].lifecycle, []
        for step in (lifecycle.enter, lifecycle.enter, lifecycle.leave, lifecycle.leave):
            step()
            busy.append(share.counts.is_busy(0))
    assert busy == [True, True, True, False]
    os.close(supervisor)
