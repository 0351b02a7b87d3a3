"""`parameter` and `secret`, read with the real SDKs from a cloud on loopback."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from service.clients import registry
from service.clients.registry import Clients
from service.context.call import RUNNING, Context
from service.errors import ParameterUnavailable
from service.lifetime.spawned import spawn
from service.resources.parameters import parameter, secret
from tests.clients.test_credentials import call_of
from tests.cloud import Cloud, apart, cloud

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
"""The OpenAPI SDKs ask for the time in a way that Python 3.12 warns of."""

VALUE = "postgres://user:hunter2@db"


@pytest.fixture(autouse=True)
def clients(monkeypatch: pytest.MonkeyPatch) -> Clients:
    """The clients of this test alone."""
    own = Clients()
    monkeypatch.setattr(registry, "CLIENTS", own)
    return own


@apart
async def test_a_parameter_is_read_once_for_all_calls() -> None:
    """Fifty wait for one request, which is signed with the credentials of the first."""
    async with cloud() as played:
        played.values["url"] = VALUE
        url = parameter("url", endpoint=played.url)
        RUNNING.set(call_of(1, 1.0))
        assert await asyncio.gather(*(url() for _ in range(50))) == [VALUE] * 50
        RUNNING.set(call_of(2, 2.0))
        assert await url() == VALUE
        (asked,) = played.asked
        assert (asked.what, asked.key, asked.token) == ("GetParameter", "key-1", "t-1")
        url.invalidate()
        played.values["url"] = "new"
        assert await url() == "new"
        assert played.asked[-1].key == "key-2"


@apart
async def test_an_encrypted_parameter_and_a_secret_are_decrypted() -> None:
    """Each in its service's words; a version and a stage are asked for by name."""
    async with cloud() as played:
        played.values.update(token="T", password="P")
        RUNNING.set(call_of(1, 1.0))
        assert await parameter("token", encrypted=True, endpoint=played.url)() == "T"
        assert await secret("password", endpoint=played.url)() == "P"
        assert await secret("password", version="v2", stage="ACSPrevious", endpoint=played.url)()
        assert [(each.what, each.query) for each in played.asked] == [
            ("GetSecretParameter", {"Name": "token", "WithDecryption": "True"}),
            ("GetSecretValue", {"SecretName": "password"}),
            (
                "GetSecretValue",
                {"SecretName": "password", "VersionId": "v2", "VersionStage": "ACSPrevious"},
            ),
        ]


@apart
async def test_functions_of_two_accounts_have_each_its_own_value() -> None:
    """One parameter in the code, two accounts in one process."""
    async with cloud() as played:
        url = parameter("url", endpoint=played.url)
        for number, account in enumerate(("1", "2", "1"), 1):
            played.values["url"] = f"of {account}"
            RUNNING.set(call_of(number, float(number), account=account))
            assert await url() == f"of {account}"
        assert len(played.asked) == 2


@apart
async def test_a_plain_handler_reads_it_in_its_thread() -> None:
    """Without a service, as in a test, on a loop of its own."""
    async with cloud() as played:
        played.values["url"] = VALUE
        RUNNING.set(call_of(1, 1.0))
        assert await asyncio.to_thread(parameter("url", endpoint=played.url).result) == VALUE


@apart
async def test_a_task_of_the_instance_reads_it_as_well() -> None:
    """Once a call has: with the credentials of the newest call that used the client."""
    async with cloud() as played:
        played.values["url"] = VALUE
        url = parameter("url", endpoint=played.url)
        with call_of(1, 1.0):
            await url()
        url.invalidate()
        assert await spawn(url()) == VALUE
        with call_of(3, 3.0) as newer:
            newer.client("oos", endpoint=played.url)
        url.invalidate()
        assert await spawn(url()) == VALUE
        assert [each.key for each in played.asked] == ["key-1", "key-1", "key-3"]


async def refused(played: Cloud, reader: Any) -> str:
    """What the error says."""
    with pytest.raises(ParameterUnavailable) as caught:
        await reader()
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return str(caught.value)


@pytest.mark.parametrize(
    ("status", "code", "why"),
    [
        (
            403,
            "Forbidden.RAM",
            "the function's role may not (Forbidden.RAM, request R-1): allow it kms:GetSecretValue,"
            " and kms:Decrypt for its key on secret('password')",
        ),
        (
            404,
            "Forbidden.ResourceNotFound",
            "there is none of that name in cn-hangzhou (Forbidden.ResourceNotFound, request R-1):"
            " create it there, or name another",
        ),
        (
            400,
            "InvalidSecurityToken.Expired",
            "the role's credentials are not accepted (InvalidSecurityToken.Expired, request R-1):"
            " see that the role still exists",
        ),
        (
            503,
            "ServiceUnavailableTemporary",
            "the service is busy (ServiceUnavailableTemporary, request R-1): the next call tries"
            " again",
        ),
        (418, "Teapot", "it is refused with status 418 (Teapot, request R-1)"),
    ],
)
@apart
async def test_a_refusal_says_what_to_do(
    status: int, code: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It names what is missing. What the service said is not in it: that may quote the signature,
    and values.
    """
    caplog.set_level(logging.DEBUG)
    async with cloud() as played:
        played.values["password"] = VALUE
        played.refuses = status, code
        RUNNING.set(call_of(1, 1.0))
        password = secret("password", endpoint=played.url)
        assert await refused(played, password) == f"secret('password') cannot be read: {why}"
        assert VALUE not in f"{password!r} {caplog.text}"
        assert "secret-1" not in caplog.text
        assert "t-1" not in caplog.text
        played.refuses = None
        assert await password() == VALUE
        assert VALUE not in f"{password!r} {password} {vars(password)} {caplog.text}"


@apart
async def test_an_answer_that_is_none_is_told() -> None:
    """Bytes that are not the service's, an empty object, and a value that is not there."""
    async with cloud() as played:
        RUNNING.set(call_of(1, 1.0))
        url = parameter("url", endpoint=played.url)
        for nonsense in (b"\x00\xff<html>", b"[]", b"{}", b'{"Parameter": "x"}', b""):
            played.nonsense = nonsense
            assert "cannot be read: the answer " in await refused(played, url)
        played.nonsense = None
        played.values["url"] = None
        assert await refused(played, url) == (
            "parameter('url') cannot be read: the answer has no value in it"
        )
        assert "there is none of that name" in await refused(
            played, parameter("other", endpoint=played.url)
        )


@apart
async def test_a_service_that_cannot_be_reached_is_told() -> None:
    """Nothing listens there: a function in a VPC needs another endpoint."""
    async with cloud() as played:
        gone = played.url
    RUNNING.set(call_of(1, 1.0))
    assert "cannot be reached" in await refused(played, parameter("url", endpoint=gone))


@apart
async def test_what_is_missing_is_told() -> None:
    """No call, no credentials, no region, no name."""
    url, played = parameter("url"), Cloud()
    assert "none runs here: read it in a handler or in initialize" in await refused(played, url)
    RUNNING.set(Context({"x-fc-region": "cn-hangzhou"}, "1"))
    assert "give the function a role" in await refused(played, url)
    keys = {"x-fc-access-key-id": "a", "x-fc-access-key-secret": "b"}
    RUNNING.set(Context(keys, "1"))
    assert "needs a region" in await refused(played, url)
    with pytest.raises(ValueError, match=r"secret\(\) takes the name that it has in kms"):
        secret("")
