"""The platform's own clients, made of the real SDKs, against a cloud on loopback."""

from __future__ import annotations

import asyncio
import sys
import types
from typing import Any

import alibabacloud_oss_v2 as oss
import pytest

from service.clients import registry
from service.clients.registry import Clients
from service.context.call import RUNNING
from service.errors import ClientUnavailable
from tests.clients.test_credentials import call_of
from tests.cloud import apart, cloud


@pytest.fixture(autouse=True)
def clients(monkeypatch: pytest.MonkeyPatch) -> Clients:
    """The clients of this test alone."""
    own = Clients()
    monkeypatch.setattr(registry, "CLIENTS", own)
    return own


async def test_each_request_to_oss_is_signed_with_the_newest_credentials() -> None:
    """One client for a thousand calls; what it sends in the last is the last one's."""
    async with cloud() as played:
        first = call_of(1, 1.0).client("oss", endpoint=played.url)
        put = oss.PutObjectRequest(bucket="photos", key="a.png", body=b"picture")
        await asyncio.to_thread(first.put_object, put)
        for number in range(2, 1001):
            assert call_of(number, float(number)).client("oss", endpoint=played.url) is first
        get = oss.GetObjectRequest(bucket="photos", key="a.png")
        found = await asyncio.to_thread(lambda: first.get_object(get).body.read())
        assert found == b"picture"
        assert [(each.what, each.key, each.token) for each in played.asked] == [
            ("PUT /photos/a.png", "key-1", "t-1"),
            ("GET /photos/a.png", "key-1000", "t-1000"),
        ]
        first._client._options.http_client.close()


@apart
async def test_the_async_client_is_of_its_event_loop() -> None:
    """It asks for credentials in the same way."""
    async with cloud() as played:
        client = call_of(1, 1.0).client("oss.async", endpoint=played.url)
        RUNNING.set(call_of(7, 7.0))
        await client.put_object(oss.PutObjectRequest(bucket="photos", key="b", body=b"x"))
        assert call_of(2, 2.0).client("oss.async", endpoint=played.url) is client
        assert [each.key for each in played.asked] == ["key-7"]
        await client.close()


def test_the_async_client_closes_with_its_loop() -> None:
    """Nobody has to: nothing is said of a session that was left open."""

    async def main() -> Any:
        async with cloud() as played:
            client = call_of(1, 1.0).client("oss.async", endpoint=played.url)
            await client.put_object(oss.PutObjectRequest(bucket="photos", key="b", body=b"x"))
            return client._client._options.http_client

    transport = asyncio.run(main())
    assert transport.session is None


async def test_two_accounts_at_once_are_never_mixed() -> None:
    """Eight calls of two functions in threads: each request has its own function's keys."""
    async with cloud() as played:
        played.open.clear()

        def work(number: int) -> None:
            call = call_of(number, float(number), account=str(number % 2))
            RUNNING.set(call)
            client = call.client("oss", endpoint=played.url)
            key = str(number % 2)
            client.put_object(oss.PutObjectRequest(bucket="photos", key=key, body=b""))

        waiting = [asyncio.create_task(asyncio.to_thread(work, number)) for number in range(1, 9)]
        played.open.set()
        await asyncio.gather(*waiting)
        assert len(played.asked) == 8
        for each in played.asked:
            assert int(each.key.removeprefix("key-")) % 2 == int(each.what[-1])
            assert each.token == f"t-{each.key.removeprefix('key-')}"
        for account in "01":
            call = call_of(1, 1.0, account=account)
            call.client("oss", endpoint=played.url)._client._options.http_client.close()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the extra that brings it."""
    monkeypatch.setitem(sys.modules, "alibabacloud_oss_v2", None)
    with pytest.raises(ClientUnavailable, match=r"add fc-event-service\[clients\] to the"):
        call_of(1, 1.0).client("oss")


def test_a_package_that_lacks_one_of_its_own_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is installed, and the advice would be wrong."""
    monkeypatch.setitem(sys.modules, "alibabacloud_oss_v2.transport", None)
    with pytest.raises((ModuleNotFoundError, ClientUnavailable)):
        call_of(1, 1.0).client("oss")


def test_log_service_gets_its_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its SDK knows none by itself; a package of the user's that has its shape is asked."""
    package: Any = types.ModuleType("alibabacloud_sls20201230")
    package.client = types.ModuleType("alibabacloud_sls20201230.client")
    package.client.Client = lambda config: config
    monkeypatch.setitem(sys.modules, package.__name__, package)
    monkeypatch.setitem(sys.modules, package.client.__name__, package.client)
    config = call_of(1, 1.0).client("sls")
    assert (config.endpoint, config.region_id) == ("cn-hangzhou.log.aliyuncs.com", "cn-hangzhou")
    other = call_of(1, 1.0).client("sls", region="cn-beijing", endpoint="http://127.0.0.1:1")
    assert (other.endpoint, other.protocol) == ("127.0.0.1:1", "http")
    assert config.credential.get_credential().access_key_id == "key-1"
