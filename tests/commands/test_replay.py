"""Recorded calls sent again from the command line: which, where to, and what is wrong with that."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from service.commands import client, invoke, replay
from service.commands.client import ApiAnswer
from service.errors import UsageError
from service.settings.load import load_settings
from tests.recording.test_writer import call, recorded


def flags_of(*arguments: str) -> argparse.Namespace:
    """The flags of `invoke` as they are typed."""
    parser = argparse.ArgumentParser()
    invoke.add_flags(parser)
    return parser.parse_args(arguments)


def sent(folder: Path, *arguments: str) -> int:
    """Send the calls of a recording again."""
    flags = flags_of("--replay", str(folder), *arguments)
    return invoke.send_recorded(load_settings({}, {}, folder), flags, folder)


class Api:
    """The API of an emulator: answers with the event, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, bytes]] = []

    async def __call__(self, url: str, function: str, event: bytes, **_named: Any) -> ApiAnswer:
        """Answer."""
        self.asked.append((url, function, event))
        request_id = f"2-{len(self.asked)}"
        if event == b"refuse":
            return ApiAnswer(b"", True, "", request_id, refusal="ResourceExhausted")
        log = (
            f"FC Invoke Start RequestId: {request_id}\nhello\nFC Invoke End RequestId: {request_id}"
        )
        return ApiAnswer(event, False, log, request_id, log)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    """In the place of the emulator."""
    found = Api()
    monkeypatch.setattr(replay, "post_invocation", found)
    return found


def test_calls_are_sent_to_a_function_of_the_emulator(
    tmp_path: Path, api: Api, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its log is compared if the API has it whole; a refusal is told by its code."""
    recorded(
        tmp_path,
        call(0, event=b"1", result=b"1", lines=["hello"]),
        call(1, event=b"2", result=b"3", lines=["hello", "and more"]),
        call(2, event=b"refuse", result=b"4"),
    )
    assert sent(tmp_path, "--function", "fn") == 1
    assert api.asked == [(client.EMULATOR, "fn", event) for event in (b"1", b"2", b"refuse")]
    told = capfd.readouterr().out
    assert "    $: 3 -> 2\n    - and more\n" in told
    assert "    succeeded -> failed (ResourceExhausted)\n" in told
    assert "1 the same, 2 with another result" in told


def test_of_several_functions_one_is_named(
    tmp_path: Path, api: Api, capfd: pytest.CaptureFixture[str]
) -> None:
    """No function is sent what another one's event was."""
    recorded(tmp_path, call(0, function="one"), call(1, function="two", event=b"5", result=b"5"))
    with pytest.raises(UsageError, match=r"calls of one, two: name the function with --of NAME"):
        sent(tmp_path, "--function", "fn")
    with pytest.raises(UsageError, match=r"--of three: the recording has calls of one, two"):
        sent(tmp_path, "--function", "fn", "--of", "three")
    assert api.asked == []
    assert sent(tmp_path, "--function", "fn", "--of", "two", "--url", "http://127.0.0.1:1") == 0
    assert api.asked == [("http://127.0.0.1:1", "fn", b"5")]
    assert "1 call sent again one by one: 1 the same" in capfd.readouterr().out


@pytest.mark.parametrize("further", [["{}"], ["--event", "{}"], ["--async"], ["--tail"]])
def test_recorded_calls_have_their_events(tmp_path: Path, further: list[str]) -> None:
    """What belongs to one call does not go with them."""
    with pytest.raises(UsageError, match="--replay has its events"):
        sent(tmp_path, *further)


@pytest.mark.parametrize("flags", [["--overlap"], ["--of", "fn"]])
def test_what_belongs_to_a_recording_needs_one(tmp_path: Path, flags: list[str]) -> None:
    """A flag that would do nothing is a mistake."""
    with pytest.raises(UsageError, match="--overlap and --of go with --replay"):
        invoke.event_of(flags_of(*flags), tmp_path, argparse.Namespace())  # type: ignore[arg-type]


def test_a_service_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    """It says where it was looked for."""
    recorded(tmp_path, call())
    with pytest.raises(UsageError, match=r"--url http://127\.0\.0\.1:1: .*is the service running"):
        sent(tmp_path, "--url", "http://127.0.0.1:1", "--overlap")
