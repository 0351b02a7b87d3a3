"""What the command line says of the console, and the port that it is opened on."""

from __future__ import annotations

import argparse
import socket
from pathlib import Path

import pytest

from service.console.places import ConsoleFlags
from service.emulator.console.emulator_source import EmulatorSource
from service.emulator.console.opening import console_flags, opened_console
from service.emulator.console.recorder import RecordedLog, Recorder
from service.emulator.flags import add_flags
from service.emulator.local import FunctionCompute
from service.emulator.spec.model import Spec
from service.errors import StartError, UsageError


def flags(*said: str) -> ConsoleFlags | None:
    """What `emulate` makes of its flags."""
    parser = argparse.ArgumentParser()
    add_flags(parser)
    return console_flags(parser.parse_args(said))


def test_the_console_is_beside_the_api_and_of_this_machine_unless_told() -> None:
    """The port after the API's, or any if the API has any."""
    assert flags() == ConsoleFlags("127.0.0.1", 8001, False, "", ("127.0.0.1",))
    assert flags("--port", "0") == ConsoleFlags("127.0.0.1", 0, False, "", ("127.0.0.1",))
    said = ("--console-port", "0", "--console-token", "x" * 16, "--console-host", "0.0.0.0")
    told = ConsoleFlags("0.0.0.0", 0, True, "x" * 16, ("desk", "0.0.0.0"))
    assert flags(*said, "--allow-host", "desk") == told
    assert flags("--no-console") is None


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (["--console-host", "0.0.0.0"], "needs --console-token"),
        (["--console-host", "desk.example"], "needs --console-token"),
        (["--console-token", "short"], "at least 16"),
        (["--console-token", ""], "at least 16"),
    ],
    ids=["all addresses", "a name", "a short token", "no token"],
)
def test_a_console_that_others_could_open_is_refused(said: list[str], told: str) -> None:
    """Who can reach it needs a token that the user knows and nobody guesses."""
    with pytest.raises(UsageError, match=told):
        flags(*said)


@pytest.mark.parametrize("is_wanted", [True, False], ids=["named", "not named"])
async def test_a_port_that_is_taken_is_told_if_it_was_named_and_else_another_one_is_used(
    tmp_path: Path, is_wanted: bool
) -> None:
    """The address says which."""
    recorder = Recorder()
    log = RecordedLog(lambda _: None, recorder)
    played = FunctionCompute(Spec({}), log=log, state=tmp_path / "t.db", watching=recorder)
    source = EmulatorSource(played, recorder, "s.yaml", None)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        opened = opened_console(
            source, recorder, ConsoleFlags("127.0.0.1", port, is_wanted, "x" * 16, ()), tmp_path
        )
        if is_wanted:
            with pytest.raises(StartError, match="--console-port for another"):
                await opened.__aenter__()
        else:
            async with opened as address:
                assert f":{port}/" not in address
                assert address.endswith(f"/?token={'x' * 16}")
