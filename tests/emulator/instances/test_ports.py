"""The ports of instances: which one is taken in place of one that is not free."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from service.emulator.instances import ports
from service.emulator.instances.ports import another_port, claim


@pytest.mark.parametrize("end", [32768, 21500])
def test_a_port_is_none_that_the_system_gives_away(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, end: int
) -> None:
    """Until the server of an instance listens, a connection could be given its port."""
    given = tmp_path / "ip_local_port_range"
    given.write_text(f"{end}\t60999\n")
    monkeypatch.setattr(ports, "GIVEN", given)
    for _ in range(300):
        assert ports.LOWEST <= another_port() < end


@pytest.mark.parametrize("text", ["1024\t65535\n", ""], ids=["all are given away", "not Linux"])
def test_a_port_is_any_where_the_system_gives_away_all(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    """The system names one."""
    given = tmp_path / "ip_local_port_range"
    if text:
        given.write_text(text)
    monkeypatch.setattr(ports, "GIVEN", given)
    assert 0 < another_port() < 1 << 16


def test_a_port_on_which_something_listens_is_not_taken() -> None:
    """Another one is, of which nobody else can have the claim."""
    with socket.create_server(("0.0.0.0", 0)) as taken:
        wanted = taken.getsockname()[1]
        port = claim(wanted)
    assert port.number != wanted
    with pytest.raises(OSError, match="in use"):
        ports.ClaimedPort(port.number)
    port.release()
    ports.ClaimedPort(port.number).release()
