"""What all calls share, in services that run: whose task a fetch is, threads, workers, the stop."""

from __future__ import annotations

import asyncio
import re
import signal
from collections import Counter
from typing import Any

from pytest_aiohttp.plugin import AiohttpClient

import service
from service import Context, shared
from tests.cloud import cloud
from tests.conftest import Serve
from tests.harness import ServerProcess, request

ASYNC = """
    import asyncio, pathlib
    from service import current_context, shared

    @shared(ttl=300, name="rates")
    async def rates():
        print("fetching with", current_context().credentials.access_key_id)
        while not pathlib.Path("go").exists():
            await asyncio.sleep(0.02)
        print("fetched")
        return 7

    @shared(ttl=300, name="never")
    async def never():
        print("hangs")
        await asyncio.Event().wait()

    async def handler(event, context):
        for what in (rates, never):
            if event == what.__name__.encode():
                waits = asyncio.ensure_future(what())
                while not what.counts.fetches:
                    await asyncio.sleep(0)
                return b"begun"
        return await rates()
"""

PLAIN = """
    import asyncio, os, pathlib, time
    from service import shared

    @shared(ttl=300, name="rates")
    def rates():
        print("fetching in", os.getpid())
        while not pathlib.Path("go").exists():
            time.sleep(0.02)
        return os.getpid()

    def handler(event, context):
        return rates.result()
"""

CLIENT = """
    import asyncio, os
    import alibabacloud_oss_v2 as oss

    async def handler(event, context):
        client = context.client("oss.async", endpoint=event.decode())
        await client.put_object(oss.PutObjectRequest(bucket="photos", key="a", body=b"x"))
        return id(client)
"""


async def at_once(server: ServerProcess, count: int, **headers: str) -> Counter[bytes]:
    """What so many calls are answered, each on a connection of its own."""
    asked = (server.ask(request(b"ask", request_id=f"call-{n}", **headers)) for n in range(count))
    return Counter(answer.body for answer in await asyncio.gather(*asked))


async def test_a_call_that_ends_takes_no_fetch_with_it(serve: Serve, loop_kind: str) -> None:
    """The call that has begun it leaves, and `background` cancels what it left; thirty others get
    the value. The fetch has an id of its own and the first call's credentials, and is not told of
    as left behind.
    """
    server = serve(ASYNC, "--background", "cancel", "--loop", loop_kind)
    keys = {"x_fc_access_key_id": "key-1", "x_fc_access_key_secret": "s"}
    begun = await server.ask(request(b"rates", request_id="first", **keys))
    assert begun.body == b"begun"
    asked = asyncio.ensure_future(at_once(server, 30))
    await asyncio.to_thread(server.wait_for, "Start RequestId: call-", count=30)
    (server.folder / "go").touch()
    assert await asked == {b"7": 30}
    metrics = (await server.ask(request(b"", path="/metrics", method="GET"))).body.decode()
    assert 'fc_shared_fetches_total{function="rates"} 1' in metrics
    assert await asyncio.to_thread(server.stop) == 0
    (line,) = re.findall(r"(\S+) \[STDOUT\] fetching with key-1", server.log())
    assert line.startswith("task-rates-")
    assert f"{line} [STDOUT] fetched" in server.log()
    assert len(re.findall("left running", server.log())) == 1
    assert "cancelled 1 tasks that the call left running: SharedFunction" in server.log()


async def test_a_stop_waits_for_calls_and_not_for_fetches(serve: Serve, loop_kind: str) -> None:
    """Calls that wait for a fetch when SIGTERM comes are answered with its value; a fetch that
    hangs, and that nobody waits for any more, ends with the instance.
    """
    server = serve(ASYNC, "--background", "cancel", "--loop", loop_kind)
    assert (await server.ask(request(b"never"))).body == b"begun"
    asked = asyncio.ensure_future(at_once(server, 20))
    await asyncio.to_thread(server.wait_for, "Start RequestId: call-", count=20)
    server.signal(signal.SIGTERM)
    await asyncio.to_thread(server.wait_for, "SIGTERM: stopping")
    (server.folder / "go").touch()
    assert await asked == {b"7": 20}
    assert await server.ends() == 0
    assert not re.search("never retrieved|was destroyed|has not ended", server.log())


async def test_plain_handlers_of_two_workers_fetch_once_each(serve: Serve) -> None:
    """Threads wait for the fetch of their worker."""
    server = serve(PLAIN, "--workers", "2")
    asked = asyncio.ensure_future(at_once(server, 40))
    await asyncio.to_thread(server.wait_for, "Start RequestId: call-", count=40)
    (server.folder / "go").touch()
    answers = await asked
    fetching = re.findall(r"fetching in (\d+)", server.log())
    assert sorted(fetching) == sorted(body.decode() for body in answers)
    assert answers.total() == 40
    assert await asyncio.to_thread(server.stop) == 0


async def test_one_client_signs_for_each_call(serve: Serve, loop_kind: str) -> None:
    """Each request to OSS has its own call's credentials or a newer call's, the last one the
    newest; the stop closes the client and says nothing of it.
    """
    server = serve(CLIENT, "--loop", loop_kind)
    async with cloud() as played:
        answers = []
        for number in range(5):
            keys = {"x_fc_access_key_id": f"key-{number}", "x_fc_access_key_secret": "s"}
            call = request(played.url.encode(), x_fc_region="cn-hangzhou", **keys)
            answers.append((await server.ask(call)).body)
        assert len(set(answers)) == 1
        assert [each.key for each in played.asked] == [f"key-{number}" for number in range(5)]
        assert await asyncio.to_thread(server.stop) == 0
    assert not re.search("unclosed|key-", server.log(), re.IGNORECASE)


async def test_they_work_on_aiohttps_own_server(aiohttp_client: AiohttpClient) -> None:
    """`create_app`, with an async handler and a plain one, and their clients."""
    asked = Counter[str]()

    @shared(ttl=300, name="rates")
    async def rates() -> int:
        asked["rates"] += 1
        return 7

    def make(_credentials: Any) -> object:
        asked["client"] += 1
        return object()

    async def handler(event: bytes, context: Context) -> int:
        context.client(make)
        return await rates()

    def plain(event: bytes, context: Context) -> int:
        context.client(make)
        return rates.result()

    for function in (handler, plain):
        rates.invalidate()
        client = await aiohttp_client(service.create_app(function))
        answers = await asyncio.gather(*(client.post("/invoke", data=b"{}") for _ in range(5)))
        assert [await answer.text() for answer in answers] == ["7"] * 5
    assert asked == {"rates": 2, "client": 1}
