"""`context.client`: one client for all calls, whoever asks from wherever."""

from __future__ import annotations

import asyncio
import functools
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from service.clients import registry
from service.clients.credentials import CallCredentials
from service.clients.registry import MOST_CLIENTS, Clients
from service.context.call import Context
from service.errors import ClientUnavailable
from tests.clients.test_credentials import call_of
from tests.harness import RUNS_WITHIN


@pytest.fixture(autouse=True)
def clients(monkeypatch: pytest.MonkeyPatch) -> Clients:
    """The clients of this test alone."""
    own = Clients()
    monkeypatch.setattr(registry, "CLIENTS", own)
    return own


class Made:
    """A client: it knows whose credentials it asks for, and its options."""

    count = 0

    def __init__(self, credentials: CallCredentials, **options: Any) -> None:
        type(self).count += 1
        self.credentials = credentials
        self.options = options


@pytest.fixture(autouse=True)
def count() -> None:
    """None is made yet."""
    Made.count = 0


def test_a_thousand_calls_make_one_client() -> None:
    """Fifty threads ask at once, each for twenty calls, before it is there."""
    start = threading.Barrier(50)

    def work(thread: int) -> set[int]:
        start.wait(20)
        calls = (
            call_of(number, float(number)) for number in range(thread * 20 + 1, thread * 20 + 21)
        )
        return {id(call.client(Made)) for call in calls}

    with ThreadPoolExecutor(50) as threads:
        found = set().union(*threads.map(work, range(50)))
    assert len(found) == 1
    assert Made.count == 1
    newest = call_of(1, 0.5).client(Made).credentials.get_credentials()
    assert newest.access_key_id == "key-1000"


async def test_async_and_plain_handlers_have_the_same_one() -> None:
    """It may be made in a thread and used on the loop."""
    plain = await asyncio.to_thread(call_of(1, 1.0).client, Made)
    assert call_of(2, 2.0).client(Made) is plain


def test_functions_of_two_accounts_share_nothing() -> None:
    """Each has its client, with its own credentials, also while the other one's call runs."""
    ours, theirs = call_of(1, 1.0), call_of(2, 2.0, account="2")
    first, second = ours.client(Made), theirs.client(Made)
    assert first is not second
    with theirs:
        assert first.credentials.get_credentials().access_key_id == "key-1"
    with ours:
        assert second.credentials.get_credentials().access_key_id == "key-2"


def test_options_tell_clients_apart() -> None:
    """The same options in any order are the same client."""
    call = call_of(1, 1.0)
    first = call.client(Made, endpoint="a", timeout=5)
    assert call.client(Made, timeout=5, endpoint="a") is first
    assert call.client(Made, timeout=6, endpoint="a") is not first
    assert first.options == {"endpoint": "a", "timeout": 5}


def test_a_lambda_that_each_call_writes_anew_makes_one_client() -> None:
    """As long as what it uses is equal; partials and methods alike."""

    def by_lambda(call: Context, bucket: str) -> Any:
        return call.client(lambda credentials: Made(credentials, bucket=bucket))

    def by_partial(call: Context, bucket: str) -> Any:
        return call.client(functools.partial(Made, bucket=bucket))

    for make in (by_lambda, by_partial):
        calls = [call_of(number, float(number)) for number in range(1, 30)]
        assert len({id(make(call, "photos")) for call in calls}) == 1
        assert make(calls[0], "books") is not make(calls[0], "photos")
    assert Made.count == 4


def test_who_makes_a_client_with_each_call_is_told() -> None:
    """Its values differ each time: that is refused before it costs all sockets."""
    call = call_of(1, 1.0)
    for number in range(MOST_CLIENTS):
        call.client(Made, number=number)
    with pytest.raises(ClientUnavailable, match=f"has made {MOST_CLIENTS} clients"):
        call.client(lambda credentials: Made(credentials))
    assert call.client(Made, number=0).options == {"number": 0}


def test_a_factory_that_fails_is_asked_again() -> None:
    """Nothing is kept of it; those that fail take nobody's place."""
    call, fails = call_of(1, 1.0), True

    def make(credentials: CallCredentials, **options: Any) -> Made:
        if fails:
            raise ConnectionError("not yet")
        return Made(credentials)

    for number in range(2 * MOST_CLIENTS):
        with pytest.raises(ConnectionError):
            call.client(make, number=number)
    fails = False
    assert isinstance(call.client(make, number=0), Made)


async def late(credentials: CallCredentials) -> Made:
    """A factory that cannot be one."""
    return Made(credentials)


@pytest.mark.parametrize(
    ("what", "options", "error", "why"),
    [
        ("s3", {}, ValueError, "the names are kms, oos, oss, oss.async, sls; for any other SDK"),
        (3, {}, TypeError, "takes a name or a function, not int"),
        (late, {}, TypeError, "late is async: a factory is a plain def"),
        (lambda credentials: None, {}, TypeError, "returned None"),
        (Made, {"tags": []}, TypeError, "the option tags of .*Made is of the type list"),
        ("oss", {"colour": "red"}, TypeError, "the client 'oss' has no option colour"),
        ("sls", {}, ClientUnavailable, "add alibabacloud-sls20201230 to the function's"),
        ("oss", {"region": ""}, ClientUnavailable, "needs a region"),
        ("oss.async", {}, ClientUnavailable, "ask for 'oss' here"),
    ],
)
def test_what_cannot_be_made_is_told(
    what: Any, options: dict[str, Any], error: type[Exception], why: str
) -> None:
    """The error says what to do."""
    with pytest.raises(error, match=why):
        call_of(1, 1.0).client(what, **options)


def test_a_call_without_credentials_is_told_where_they_come_from() -> None:
    """A function without a role, or a desk without variables."""
    with pytest.raises(ClientUnavailable, match="give the function a role"):
        Context({"x-fc-region": "cn-hangzhou"}, "1").client("oss")


def test_a_client_of_a_closed_event_loop_is_made_anew() -> None:
    """Tests have a loop each."""

    async def main() -> Any:
        call = call_of(1, 1.0)
        assert call.client(Made) is call.client(Made)
        return call.client(Made)

    assert asyncio.run(main()) is not asyncio.run(main())


def test_a_factory_may_ask_for_another_client() -> None:
    """Of one that it is made of."""
    call = call_of(1, 1.0)
    both = call.client(lambda credentials: (call.client(Made), Made(credentials)))
    assert both[0] is call.client(Made)


def test_a_forked_process_makes_its_own() -> None:
    """Two processes cannot read from one socket; nor can one wait for a lock that a thread of the
    other one held.
    """
    source = """
        import os
        from service.clients.registry import CLIENTS
        from service.context.call import Context

        call = Context({}, "1")
        first = call.client(lambda credentials: [os.getpid()])
        def again():
            return call.client(make)[0]
        make = lambda credentials: [os.getpid()]
        assert again() == os.getpid()
        (held,) = CLIENTS._credentials.values()
        with held._has.lock:
            if os.fork() == 0:
                os._exit(0 if again() == os.getpid() else 1)
        assert os.wait()[1] == 0
        assert again() == os.getpid()
    """
    command = [sys.executable, "-c", textwrap.dedent(source)]
    folder = Path(__file__).parents[2]
    subprocess.run(command, cwd=folder, check=True, timeout=RUNS_WITHIN)
