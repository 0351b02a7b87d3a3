"""What process 1 makes of the service's end."""

from __future__ import annotations

import os
import signal

import pytest

from service.first.init import ended, exit_code


@pytest.mark.parametrize(
    ("code", "passed_on", "expected"),
    [
        (0, set(), 0),
        (3, {signal.SIGTERM}, 3),
        (-signal.SIGTERM, {signal.SIGTERM}, 0),
        (-signal.SIGKILL, set(), 137),
        (-signal.SIGSEGV, {signal.SIGTERM}, 139),
    ],
    ids=["clean", "its own", "stopped before it began", "killed", "crashed"],
)
def test_the_exit_code_is_the_services(code: int, passed_on: set[int], expected: int) -> None:
    """A death by a signal is 128 and its number, unless that was to stop it."""
    assert exit_code(code, passed_on) == expected


def test_every_child_that_has_ended_is_waited_for() -> None:
    """Without waiting for those that have not, and without children too."""
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 5"], {})
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert (pid, 5 << 8) in list(ended())
    assert list(ended()) == []
