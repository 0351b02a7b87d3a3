"""What an instance is given: its PATH, and the heads of its requests."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from service.emulator.account import Account
from service.emulator.instances.contract import Requests, environment, path_for
from service.protocol import INITIALIZE, INVOKE, PRE_STOP
from tests.emulator.play import function

OURS = str(Path(sys.executable).parent)


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("", f"{OURS}:/desk/bin"),
        ("/code/bin:/usr/local/bin:/usr/bin", f"/code/bin:{OURS}:/usr/local/bin:/usr/bin"),
        ("/code/bin", f"/code/bin:{OURS}"),
        ("/code/bin:/var/fc/lang/python3.12/bin:/usr/bin", f"/code/bin:{OURS}:/usr/bin"),
        ("/opt/bin:/usr/bin/", f"/opt/bin:{OURS}:/usr/bin/"),
    ],
    ids=["none", "before the system's", "alone", "the platform's Python", "with a slash"],
)
def test_our_python_stands_where_the_platforms_would(written: str, path: str) -> None:
    """What the file puts before it stays before it."""
    assert path_for(written, "/desk/bin") == path.replace(":", os.pathsep)


def test_an_instance_knows_where_the_api_is_and_has_keys_for_it() -> None:
    """Others each time; the account knows them again."""
    account = Account()
    account.endpoint = "127.0.0.1:8000"
    one, two = (
        environment(function(), f"c-{number}", 9000, account, home="/h", temporary="/t", desk={})
        for number in (1, 2)
    )
    assert one["FC_EMULATOR_ENDPOINT"] == "127.0.0.1:8000"
    key = one["ALIBABA_CLOUD_ACCESS_KEY_ID"]
    assert account.secret_of(key) == one["ALIBABA_CLOUD_ACCESS_KEY_SECRET"]
    assert key != two["ALIBABA_CLOUD_ACCESS_KEY_ID"]
    assert account.secret_of("LTAI-other") is None
    assert Account().secret_of(key) != account.secret_of(key)


def test_each_request_has_its_operation_its_id_and_credentials_of_its_own() -> None:
    """Events and the initializer are posted, the hook before an end is asked for."""
    account = Account()
    requests = Requests(function(timeout=1.5), account)
    first, second = requests.head(INVOKE, "1-a", 5), requests.head(INITIALIZE, "1-b")
    assert first.startswith(b"POST /invoke HTTP/1.1\r\n")
    assert second.startswith(b"POST /initialize HTTP/1.1\r\n")
    assert requests.head(PRE_STOP, "1-c").startswith(b"GET /pre-stop HTTP/1.1\r\n")
    assert b"\r\nContent-Length: 5\r\n" in first
    assert b"\r\nx-fc-request-id: 1-a\r\n" in first
    assert b"\r\nx-fc-function-timeout: 1.5\r\n" in first
    keys = {field(head, "x-fc-access-key-id") for head in (first, second)}
    assert len(keys) == 2
    for head in (first, second):
        secret = account.secret_of(field(head, "x-fc-access-key-id"))
        assert field(head, "x-fc-access-key-secret") == secret


def test_no_text_of_the_file_forges_a_field() -> None:
    """Control characters are dropped."""
    head = Requests(function(handler="index.handler\r\nx-evil: 1"), Account()).head(INVOKE, "1-a")
    assert b"x-fc-function-handler: index.handlerx-evil: 1\r\n" in head


def field(head: bytes, name: str) -> str:
    """A field's value."""
    fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if ": " in line)
    return fields[name]
