"""The start of an instance: what cannot be started is told before anything is."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from service.emulator.calls import PlatformError
from service.emulator.failures import WantedPort
from service.emulator.instances import start
from service.emulator.instances.output import Output
from service.emulator.instances.private import PrivateFolder
from service.emulator.instances.start import InstanceStart, start_process
from tests.emulator.play import WITHIN, function

Given = Callable[..., InstanceStart]


@pytest.fixture
async def given(tmp_path: Path) -> AsyncIterator[InstanceStart]:
    """All that an instance is started with."""
    output = Output(lambda lines: None)
    variables = {"FC_INSTANCE_ID": "c-test-1", "PATH": os.environ["PATH"]}
    private = PrivateFolder(tmp_path / "c-1", mounted=False)
    yield InstanceStart(function(port=9000), variables, 4711, output, private, cap=3)
    output.close()


async def test_a_command_that_cannot_be_executed_is_told_with_its_reason(
    given: InstanceStart, tmp_path: Path
) -> None:
    """By the platform's code; the end of the pipe that was the instance's is closed."""
    played = function(code=tmp_path, command=("nowhere-to-be-found",))
    with pytest.raises(PlatformError, match="no such file or directory") as caught:
        start_process(replace(given, function=played))
    assert (caught.value.status, caught.value.code) == (412, "CAExited")
    assert given.output.writer == -1


async def test_what_the_desk_has_no_more_of_is_no_fault_of_the_command(
    given: InstanceStart, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason is passed on as it is."""

    def full(*_: object) -> None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(start, "Processes", full)
    with pytest.raises(OSError, match="temporarily unavailable"):
        start_process(given)


async def test_a_process_is_started_in_the_code_with_the_variables(given: InstanceStart) -> None:
    """And nothing else of this process's."""
    played = replace(given.function, command=("sh", "-c", "pwd; env | grep -c OF_THE_DESK"))
    processes = start_process(replace(given, function=played))
    async with asyncio.timeout(WITHIN):
        assert await processes.ended == 1  # grep has found nothing
    given.output.catch_up()
    assert given.output.recent.splitlines() == [str(played.code), "0"]


def test_a_failure_names_the_port_that_was_wanted() -> None:
    """The instance's own, and that of the file."""
    played = function(port=9000)
    found = InstanceStart(played, {}, 4711, None, None, 3)  # type: ignore[arg-type] # not looked at
    assert found.wanted == WantedPort(4711, 9000, 3)
