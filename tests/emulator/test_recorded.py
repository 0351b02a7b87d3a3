"""The calls that an emulator has recorded."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from service.emulator.calls import Invocation, Outcome, PlatformError
from service.emulator.log import Log
from service.emulator.recorded import EmulatorRecording
from service.recording.reading import StoredCall, read_recording
from tests.emulator.play import function


class Pool:
    """Calls a function that writes lines and answers with its event, refuses, or never answers."""

    room = 7

    def __init__(self, log: Log) -> None:
        self._log = log

    async def invoke(self, call: Invocation) -> Outcome:
        """Answer a call."""
        stamp, request_id = "2026-11-28T19:00:00.000Z", call.request_id
        for text in (
            f"FC Invoke Start RequestId: {request_id}",
            f"{stamp} {request_id} [INFO] got {call.event.decode()}",
            f"RequestId: {request_id} Duration: 1.00 ms, Billed Duration: 1 ms",
        ):
            self._log.line(text, function="played", request_id=request_id)
        self._log.line("of nobody")
        if call.event == b"refuse":
            raise PlatformError(429, "ResourceExhausted", "all are full")
        if call.event == b"wait":
            await asyncio.Event().wait()
        return Outcome(
            request_id, call.event, "UnhandledInvocationError" * (call.event == b"raise")
        )


async def recorded(folder: Path, *events: bytes, rate: float = 1.0) -> list[StoredCall]:
    """Record the calls of a function; return those that are read back, [] for no recording."""
    recording = EmulatorRecording(folder, pytest.fail, rate=rate, limit=1 << 20)
    log = recording.overheard(Log(lambda _line: None))
    invoker = recording.around(Pool(log), function())
    assert invoker.room == 7
    recording.start()
    for number, event in enumerate(events):
        begun = asyncio.ensure_future(invoker.invoke(Invocation("played", event, f"1-{number}")))
        if event == b"wait":
            await asyncio.sleep(0)
            begun.cancel()
        await asyncio.gather(begun, return_exceptions=True)
    recording.close()
    return read_back(folder)


def read_back(folder: Path) -> list[StoredCall]:
    """The calls of a recording, [] if it has none."""
    (file,) = folder.glob("*.jsonl")
    has_calls = len(file.read_bytes().splitlines()) > 1
    return read_recording(folder, pytest.fail) if has_calls else []


async def test_calls_are_recorded_as_the_function_saw_them(tmp_path: Path) -> None:
    """With the platform's headers, their keys replaced, and the lines that the function wrote;
    what the platform says in its place has its code, and a call whose caller has left is left out.
    """
    answered, failed, refused = await recorded(tmp_path, b"{}", b"raise", b"refuse", b"wait")
    told = answered.told
    assert (told.function, told.error, told.lines) == ("played", "", ["[INFO] got {}"])
    assert told.headers["x-fc-function-name"] == "played"
    assert told.headers["x-fc-access-key-secret"] == "(replaced)"
    assert answered.result.read() == b"{}"
    assert (failed.told.error, failed.result.read()) == ("UnhandledInvocationError", b"raise")
    assert (refused.told.error, refused.result.read()) == ("ResourceExhausted", b"")


async def test_a_sample_is_recorded_of_none(tmp_path: Path) -> None:
    """At a rate of 0 no call is, and each is made."""
    assert await recorded(tmp_path, b"{}", b"{}", rate=0.0) == []
