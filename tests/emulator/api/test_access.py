"""Who may ask the API: programs of this machine, and no web page."""

from __future__ import annotations

from pathlib import Path

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from service.emulator.api.access import Hosts
from service.emulator.calls import PlatformError
from tests.emulator.standins import FUNCTIONS, StandIn, desk
from tests.harness import request


def check(*fields: tuple[str, str], arrived: str = "127.0.0.1", named: str = "") -> None:
    """Check a request's head."""
    Hosts([named]).check(CIMultiDictProxy(CIMultiDict(fields)), arrived)


@pytest.mark.parametrize(
    "host",
    [
        "localhost:8000",
        "LOCALHOST",
        "localhost.:8000",
        "fc.localhost:8000",
        "127.0.0.1:8000",
        "127.1.2.3",
        "[::1]:8000",
        "10.0.0.7:8000",
        "Desk.example:8000",
    ],
)
def test_names_of_this_machine_are_served(host: str) -> None:
    """The loopback's, the address on which the request arrived, and what the user has named."""
    check(("Host", host), arrived="10.0.0.7", named="desk.EXAMPLE")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example@localhost.evil",
        "10.0.0.8",
        "[::2]",
        "[",
        "",
    ],
)
def test_any_other_host_is_refused(host: str) -> None:
    """A name of a page's own may lead to this machine: it is told by the name."""
    with pytest.raises(PlatformError, match="--allow-host") as caught:
        check(("Host", host), arrived="10.0.0.7")
    assert (caught.value.status, caught.value.code) == (403, "AccessDenied")


@pytest.mark.parametrize(
    "hosts", [[], ["localhost", "evil.example"], ["evil.example", "localhost"]]
)
def test_a_request_has_one_host(hosts: list[str]) -> None:
    """None, and two that differ, are refused."""
    with pytest.raises(PlatformError):
        check(*(("Host", host) for host in hosts))


def test_an_address_may_be_written_in_the_other_family() -> None:
    """A socket of both families tells an IPv4 address as one of IPv6."""
    check(("Host", "10.0.0.7"), arrived="::ffff:10.0.0.7")


@pytest.mark.parametrize(
    "field",
    [
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
        ("Origin", "http://localhost:3000"),
        ("Origin", "https://localhost:8000"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("sec-fetch-site", "anything"),
    ],
)
def test_what_a_browser_sends_for_a_page_is_refused(field: tuple[str, str]) -> None:
    """Of another origin, on this machine too."""
    with pytest.raises(PlatformError, match="web page"):
        check(("Host", "localhost:8000"), field)


@pytest.mark.parametrize(
    "field", [("Sec-Fetch-Site", "none"), ("Sec-Fetch-Site", "same-origin"), ("Accept", "*/*")]
)
def test_what_a_user_types_into_a_browser_is_served(field: tuple[str, str]) -> None:
    """And what comes of the API's own origin."""
    check(("Host", "localhost:8000"), field)
    check(("Host", "localhost:8000"), field, ("Origin", "http://localhost:8000"))


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Host": "evil.example"},
    ],
    ids=["another origin", "another site", "another host"],
)
async def test_a_web_page_can_run_no_function(tmp_path: Path, headers: dict[str, str]) -> None:
    """Neither call one nor read its variables, whatever method and path it uses."""
    pool = StandIn()
    async with desk(tmp_path, {"fn": pool}) as api:
        assert (await api.invoke(b"x", **headers)).status == 403
        for method, path in (
            ("GET", f"{FUNCTIONS}/fn"),
            ("OPTIONS", f"{FUNCTIONS}/fn/invocations"),
            ("GET", "/"),
        ):
            answer = await api.ask(path, b"", method, **headers)
            assert (answer.status, answer.json()["Code"]) == (403, "AccessDenied")
            assert "access-control-allow-origin" not in answer.headers
        async with api.client() as client:
            head = request(b"x", path=f"{FUNCTIONS}/fn/invocations")
            assert (await client.ask(head)).status == 200
    assert len(pool.calls) == 1
