"""What ends a function's instances when the emulator itself is killed.

A process whose parent is killed goes on; a frozen one would stay for ever, holding its port. So a
small shell process waits at a pipe that ends with the emulator, however it ends, and then kills
what the emulator named: process groups, and on Linux every process that has one of its instance
ids in its environment. `setpriv --pdeathsig` would end the first process of an instance only, not
those that it started, and would hide from us why a command cannot be executed.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from contextlib import suppress

# It must outlive the signals that end the emulator: Ctrl-C is sent to a whole group.
SCRIPT = """
trap '' HUP INT TERM
while read -r line; do groups=$line; done
[ "$groups" = done ] && exit 0
for turn in 1 2 3; do
    for group in $groups; do kill -KILL "-$group"; done
    for file in $(grep -lzs -e "^FC_INSTANCE_ID=$1" /proc/[0-9]*/environ); do
        pid=${file#/proc/}
        kill -KILL "${pid%/environ}"
    done
done
rm -rf -- "$2"
"""


class Reaper:
    """Kills the instances whose ids begin with `prefix` once this process has ended, and removes
    their `folder`.
    """

    def __init__(self, prefix: str, folder: str) -> None:
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", SCRIPT, "fc-instances", prefix, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            start_new_session=True,
        )

    def watch(self, groups: Iterable[int]) -> None:
        """Name the process groups that are to be killed, in place of those named before."""
        self._write(" ".join(map(str, groups)))

    def close(self) -> None:
        """Let go: there is nothing left to kill."""
        self._write("done")
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # somebody has killed it: then nothing watches, as before
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()
