"""Credentials for clients that outlive their call: always the newest, and never another's."""

from __future__ import annotations

import copy
import pickle
import threading
import time

import pytest
from alibabacloud_credentials.client import Client as CredentialsClient
from hypothesis import given, settings
from hypothesis import strategies as st

from service.clients.credentials import (
    VALID,
    CallCredentials,
    GetRunning,
    TemporaryKeys,
    owner_of,
    region_of,
)
from service.context.call import Context, Platform, caller_of
from service.context.derived import shared_context
from service.context.record import CallRecord


def call_of(
    number: int, arrived: float, *, account: str = "1", function: str = "f", token: str = "t"
) -> Context:
    """The context of a call whose credentials have its number."""
    headers = {
        "x-fc-access-key-id": f"key-{number}",
        "x-fc-access-key-secret": f"secret-{number}",
        "x-fc-security-token": token and f"{token}-{number}",
        "x-fc-account-id": account,
        "x-fc-function-name": function,
        "x-fc-region": "cn-hangzhou",
    }
    return Context(headers, f"call-{number}", record=CallRecord(arrived))


def nobody() -> None:
    """No call runs here."""


def credentials_of(context: Context, running: GetRunning = nobody) -> CallCredentials:
    """The provider of the function that the call is of, which has met nobody yet."""
    return CallCredentials(owner_of(caller_of(context)), running)


def test_an_older_call_brings_nothing_back() -> None:
    """A call that runs for hours asks again: the credentials stay those of the newest."""
    provider = credentials_of(call_of(1, 10.0))
    for number, arrived in ((1, 10.0), (3, 30.0), (2, 20.0), (1, 10.0)):
        provider.offer(caller_of(call_of(number, arrived)))
    assert provider.get_credentials() == TemporaryKeys("key-3", "secret-3", "t-3")


def test_the_call_in_which_a_client_is_used_counts() -> None:
    """A client that was kept in a global asks for credentials in the midst of a newer call."""
    running = [call_of(1, 10.0)]
    provider = credentials_of(call_of(1, 10.0), lambda: caller_of(running[0]))
    assert provider.get_credentials().access_key_id == "key-1"
    running[0] = call_of(2, 20.0)
    assert provider.get_credentials().access_key_id == "key-2"
    running[0] = call_of(9, 90.0, account="2")
    assert provider.get_credentials().access_key_id == "key-2"
    running[0] = call_of(9, 90.0, function="g")
    assert provider.get_credentials().access_key_id == "key-2"


def test_work_that_calls_share_is_as_new_as_the_first_of_them() -> None:
    """A batch brings the credentials of its calls, also after another call has brought some."""
    provider = credentials_of(call_of(1, 10.0))
    provider.offer(caller_of(call_of(1, 10.0)))
    provider.offer(caller_of(shared_context([call_of(2, 20.0), call_of(3, 30.0)], None)))
    assert provider.get_credentials().access_key_id == "key-2"


def test_a_call_without_credentials_takes_none_away() -> None:
    """The platform sends them in each call or in none; an empty field is no newer key."""
    provider = credentials_of(call_of(1, 10.0))
    assert not provider.get_credentials().has_keys()
    provider.offer(caller_of(call_of(1, 10.0)))
    provider.offer(caller_of(Context({}, "2", record=CallRecord(20.0))))
    assert provider.get_credentials().has_keys()


def test_a_hook_is_of_the_same_function_as_its_calls() -> None:
    """The initializer has no headers: the environment says whose it is, and where. Its credentials
    are as old as the instance, also if it comes after the first call.
    """
    instance = Platform("", "env", "s", "t", function_name="f", region="cn-a", account_id="1")
    hook = caller_of(Context({}, "hook", platform=instance))
    assert owner_of(hook) == owner_of(caller_of(call_of(1, 1.0)))
    assert region_of(hook) == "cn-a"
    provider = credentials_of(call_of(1, 1.0))
    provider.offer(hook)
    assert provider.get_credentials().access_key_id == "env"
    provider.offer(caller_of(call_of(1, 1.0)))
    provider.offer(hook)
    assert provider.get_credentials().access_key_id == "key-1"


def test_old_credentials_are_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The platform's hold 36 hours. The SDK tries them all the same; newer ones are new again. Keys
    of a person, without a token, do not grow old.
    """
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    provider = credentials_of(call_of(1, 0.0))
    provider.offer(caller_of(call_of(1, 1000.0)))
    now += VALID
    provider.offer(caller_of(call_of(1, now)))  # another call, and the same values
    now += 3600
    assert [provider.get_credentials().access_key_id for _ in range(3)] == ["key-1"] * 3
    (line,) = (record.message for record in caplog.records)
    assert "are 37 hours old" in line
    assert "key-1" not in caplog.text
    caplog.clear()
    provider.offer(caller_of(call_of(2, now)))
    provider.get_credentials()
    lasting = call_of(1, 1.0, token="")
    old = credentials_of(lasting)
    old.offer(caller_of(lasting))
    old.get_credentials()
    assert not caplog.records


async def test_each_sdk_reads_them() -> None:
    """The forms of alibabacloud-oss-v2, of the OpenAPI SDKs, of alibabacloud-credentials around it,
    and of older ones.
    """
    provider = credentials_of(call_of(1, 1.0))
    provider.offer(caller_of(call_of(1, 1.0)))
    around = CredentialsClient(provider=provider)
    for keys in (
        provider.get_credentials(),
        provider.get_credential(),
        await provider.get_credential_async(),
        await provider.get_credentials_async(),
        around.get_credential(),
        await around.get_credential_async(),
    ):
        found = keys.access_key_id, keys.access_key_secret, keys.security_token
        assert found == ("key-1", "secret-1", "t-1")
    keys = provider.get_credentials()
    assert keys.get_access_key_id() == "key-1"
    assert keys.get_access_key_secret() == "secret-1"
    assert keys.get_security_token() == "t-1"
    assert keys.get_provider_name() == provider.get_provider_name() == "fc"
    assert (keys.type, keys.has_keys(), keys.is_expired()) == ("sts", True, False)
    assert TemporaryKeys("a", "b", None).type == "access_key"


def test_tablestore_reads_them() -> None:
    """Its client asks the provider before each request, in the older form."""
    tablestore = pytest.importorskip("tablestore", reason="it has no release for this Python")
    provider = credentials_of(call_of(1, 1.0))
    client = tablestore.OTSClient(
        "http://127.0.0.1:1", instance_name="orders", credentials_provider=provider
    )
    for number in (1, 2):
        provider.offer(caller_of(call_of(number, float(number))))
        keys = client.credentials_provider.get_credentials()
        assert keys.get_access_key_id() == f"key-{number}"
        assert keys.get_access_key_secret() == f"secret-{number}"
        assert keys.get_security_token() == f"t-{number}"


def test_they_are_never_shown_or_pickled() -> None:
    """Neither in `repr`, nor by a pickle that goes to another process."""
    provider = credentials_of(call_of(1, 1.0))
    provider.offer(caller_of(call_of(1, 1.0)))
    for secret in (provider, provider.get_credentials()):
        assert "key-1" not in f"{secret!r} {secret} {[secret]}"
        for steal in (pickle.dumps, copy.deepcopy):
            with pytest.raises(TypeError, match="holds credentials"):
                steal(secret)


@settings(max_examples=40, deadline=None)
@given(st.permutations(range(1, 9)))
def test_whatever_comes_first_the_newest_wins(order: list[int]) -> None:
    """Calls offer theirs from threads, in any order; key, secret and token are of one call."""
    provider = credentials_of(call_of(1, 1.0))
    start = threading.Barrier(len(order))

    def offer(number: int) -> None:
        start.wait(20)
        provider.offer(caller_of(call_of(number, float(number))))
        seen = provider.get_credentials()
        assert seen.access_key_id.removeprefix("key-") == (seen.security_token or "")[2:]

    threads = [threading.Thread(target=offer, args=(number,)) for number in order]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert provider.get_credentials() == TemporaryKeys("key-8", "secret-8", "t-8")
