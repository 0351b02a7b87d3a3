"""Memory that fills up in an instance: a process beside its own takes it, as a leak would.

It has the instance's id in its environment, so it counts as one of the instance's processes: its
memory is the instance's, it is frozen and killed with it. It ends with the emulator, too, which
holds its stdin.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from ..instances.instance import Instance
from ..instances.proc import process_table

_PROGRAM = "import sys; held = b'\\1' * (int(sys.argv[1]) * 1024**2); sys.stdin.read()"

_LEFT_FREE = 512
"""MB of the machine's memory that are left to others."""


class FilledMemory:
    """What fills the memory of instances."""

    def __init__(self) -> None:
        self._fillers: dict[str, tuple[int, subprocess.Popen[bytes]]] = {}

    def fill(self, instance: Instance, megabytes: int) -> None:
        """Take so much memory in an instance, beside what was taken before; 0 gives all back.

        Raises ValueError if the machine has not so much, or the instance has no processes.
        """
        self.give_back(instance.id)
        if not megabytes:
            return
        if instance.processes is None or instance.state == "stopped":
            raise ValueError(f"{instance.name} has no processes")
        if megabytes > (room := _available() - _LEFT_FREE):
            raise ValueError(f"this machine has {max(room, 0)} MB to spare")
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", _PROGRAM, str(megabytes)],
            env={"FC_INSTANCE_ID": instance.id},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._fillers[instance.id] = (megabytes, process)
        instance.processes.look(process_table())

    def give_back(self, instance_id: str) -> None:
        """Give back what was taken in an instance."""
        if (filler := self._fillers.pop(instance_id, None)) is not None:
            _end(filler[1])

    def rows(self) -> dict[str, int]:
        """Return how many MB were taken in which instance; those that have ended are forgotten."""
        for instance_id, (_, process) in list(self._fillers.items()):
            if process.poll() is not None:
                self.give_back(instance_id)
        return {instance_id: megabytes for instance_id, (megabytes, _) in self._fillers.items()}

    def close(self) -> None:
        """Give everything back."""
        for instance_id in list(self._fillers):
            self.give_back(instance_id)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()
    process.wait()


def _available() -> int:
    """Return the MB that the machine could give to a process."""
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) // 1024
    with suppress(OSError, ValueError):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1024**2
    return 0
