"""The table of duties: what every path but `/invoke` comes to, in one worker and in several."""

from __future__ import annotations

import asyncio

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from service import protocol
from service.app import assemble_app
from service.calls.function import HOOKS
from service.context.call import RUNNING, Context, Platform
from service.instance.assembly import SERVICE
from service.instance.duties import DUTIES, SLACK, Duty, runs
from service.protocol import Operation
from service.settings.table import Settings
from service.workers.messages import new_inbox
from service.workers.peers import Peers
from tests.assembly import handlers_of, logged

THAW = Duty(
    Operation("Thaw", "/thaw", ("GET", "POST")),
    work=runs("pre_freeze"),
    seconds=lambda settings: settings.drain_timeout + SLACK,
)
"""A hook that the platform might have one day: the whole of what it takes but its name."""


async def echo(event: bytes) -> bytes:
    """Answer with the event."""
    return event


async def test_a_new_row_is_a_hook_of_every_worker(aiohttp_client: AiohttpClient) -> None:
    """One row makes a path that runs the hook in each worker, with the platform's log lines."""
    ran: list[str] = []

    async def hook(context: Context) -> None:
        ran.append(context.request_id)

    with logged() as (logs, pipe):
        handlers = handlers_of(echo, pre_freeze=hook)
        inboxes, workers, duties = [new_inbox(), new_inbox()], [], (*DUTIES, THAW)
        for place in range(2):
            peers = Peers(place, inboxes, Settings())
            app = assemble_app(Settings(), Platform(), handlers, logs, peers.ask, duties)
            peers.work = {duty.path: duty.work(app[SERVICE]) for duty in duties}
            peers.open()
            workers.append((app, peers))
        client = await aiohttp_client(workers[0][0])
        got = await client.get("/thaw", headers={"x-fc-request-id": "t1"})
        lines = pipe.lines()
        missing = await client.get("/no")
        assert "/thaw" in await missing.text()
        for _, peers in workers:
            peers.close()
        for inbox in inboxes:
            inbox.close()
    assert (got.status, ran) == (200, ["t1", "t1"])
    assert lines[0] == "FC Thaw Start RequestId: t1"
    assert lines[-1] == "FC Thaw End RequestId: t1"


@pytest.mark.parametrize("row", DUTIES, ids=lambda row: row.path)
async def test_each_row_has_its_path(aiohttp_client: AiohttpClient, row: Duty) -> None:
    """Each method of each row is answered, and a method that it does not take is told."""
    with logged() as (logs, _):
        app = assemble_app(Settings(), Platform(), handlers_of(echo), logs)
        client = await aiohttp_client(app)
        for method in row.operation.methods:
            assert (await client.request(method, row.path)).status == 200
        assert (await client.request("DELETE", row.path)).status == 405


def test_the_platforms_operations_are_all_in_the_table() -> None:
    """What protocol lists is `/invoke`, or a row that has the platform's lines."""
    logged_rows = {row.path: row.operation for row in DUTIES if row.is_logged}
    assert {protocol.INVOKE.path: protocol.INVOKE, **logged_rows} == protocol.OPERATIONS


def test_each_hook_is_a_setting() -> None:
    """A hook's name in `Handlers` is the name of its setting."""
    assert set(HOOKS) <= set(Settings.__struct_fields__)


async def test_a_hook_outside_of_a_request_has_a_context_of_its_own() -> None:
    """Its request id is generated."""
    seen: list[str] = []

    async def hook(context: Context) -> None:
        seen.append(RUNNING.get().request_id)

    with logged() as (logs, _):
        handlers = handlers_of(echo, pre_freeze=hook)
        service = assemble_app(Settings(), Platform(), handlers, logs)[SERVICE]
        await asyncio.create_task(_awaited(runs("pre_freeze")(service)))
    assert protocol.request_id(seen) == (seen[0], "")


async def _awaited(work: object) -> None:
    await work()  # type: ignore[operator]
