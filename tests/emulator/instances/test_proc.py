"""What /proc says of processes."""

from __future__ import annotations

import os
import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from service.emulator.instances import proc
from service.emulator.instances.proc import (
    entry_of,
    environment_of,
    listening,
    process_table,
    resident,
)


def test_the_table_has_the_processes_that_live() -> None:
    """Each with its parent and its group; one that has ended is not there, collected or not."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, start_new_session=True) as child:
        entry = process_table()[child.pid]
        assert (entry.parent, entry.group, entry.session) == (os.getpid(), child.pid, child.pid)
        alone = entry_of(child.pid)
        assert alone is not None
        # Only its state is another from one look to the next: it has just been started.
        assert replace(alone, state=entry.state) == entry
        assert child.stdin is not None
        child.stdin.close()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert child.pid not in process_table()
    assert entry_of(child.pid) is None


def test_what_a_process_was_started_with_and_what_it_takes() -> None:
    """Its variables, and its resident memory in bytes."""
    variables = environment_of(os.getpid())
    assert variables is not None
    assert b"PATH" in {each.partition(b"=")[0] for each in variables.split(b"\0")}
    assert resident(os.getpid()) > 1 << 20


def test_nothing_is_known_of_a_process_that_is_not_there() -> None:
    """Neither is it a fault to ask."""
    none = 1 << 30
    assert entry_of(none) is None
    assert environment_of(none) is None
    assert resident(none) == 0
    assert listening(none, [none]) == []


@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::")]
)
def test_it_is_known_where_a_process_listens(family: int, host: str) -> None:
    """As people write addresses; what others listen on is not among it."""
    with socket.create_server((host, 0), family=family) as server:
        address = (host, server.getsockname()[1])
        assert address in listening(os.getpid(), [os.getpid()])
        assert listening(os.getpid(), []) == []


def test_without_proc_the_table_is_empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As on macOS."""
    monkeypatch.setattr(proc, "PROC", tmp_path / "none")
    assert process_table() == {}
