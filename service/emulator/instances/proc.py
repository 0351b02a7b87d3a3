"""What Linux's /proc says of the processes of this machine: who they are, what memory they have,
and where they listen. Without it (macOS) there is nothing to say.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .descriptors import OUT_OF_FILES

PROC = Path("/proc")
MEMORY_PAGE = os.sysconf("SC_PAGE_SIZE")
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
"""Of CPU time, in a second."""
LISTENING = "0A"
"""The state of a listening socket in /proc/net/tcp."""


@dataclass(frozen=True, slots=True)
class ProcessEntry:
    """A process as /proc/PID/stat has it; `started` is in clock ticks since boot."""

    pid: int
    state: str
    parent: int
    group: int
    session: int
    started: int


def process_table() -> dict[int, ProcessEntry]:
    """Return all processes of this machine that live; none if there is no /proc.

    Raises OSError if this process may open no more files.
    """
    if not PROC.is_dir():
        return {}
    found = (entry_of(int(name)) for name in os.listdir(PROC) if name.isdigit())
    return {entry.pid: entry for entry in found if entry is not None}


def entry_of(pid: int) -> ProcessEntry | None:
    """Return a process that lives, None for any other.

    Raises OSError if this process may open no more files.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name, in parentheses, may have any character.
            fields = file.read().rpartition(b")")[2].split()
    except OSError as reason:
        if reason.errno in OUT_OF_FILES:
            raise
        return None  # it has ended
    state = fields[0].decode()
    if state in "ZX":
        return None
    parent, group, session = map(int, fields[1:4])
    return ProcessEntry(pid, state, parent, group, session, int(fields[19]))


def environment_of(pid: int) -> bytes | None:
    """Return the variables that a process was started with, separated by NUL; none in the middle of
    an exec. None if it has ended, or is another user's.
    """
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return None


def resident(pid: int) -> int:
    """Return the resident memory of a process in bytes, 0 if it has ended."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * MEMORY_PAGE
    except (OSError, IndexError):
        return 0


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """What a process has used by now, in seconds: CPU, with that of its children which have ended,
    and the time in which its threads were ready and had no CPU.
    """

    cpu: float = 0.0
    ready: float = 0.0


def threads_of(pid: int) -> int:
    """Return how many threads a process has, 0 if it has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[17])
    except OSError:
        return 0


def use_of(pid: int) -> ProcessUse:
    """Return what a process uses, nothing if it has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        own = time.clock_gettime((~pid << 3) | 2)  # what clock_getcpuclockid(3) returns on Linux
    except OSError:
        return ProcessUse()
    of_children = sum(map(int, fields[13:15])) / CLOCK_TICKS
    return ProcessUse(own + of_children, _ready(pid))


def _ready(pid: int) -> float:
    """Return the seconds in which threads of a process were ready and had no CPU, 0 if the kernel
    does not count them.
    """
    waited = 0
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError, IndexError):
                text = Path(f"/proc/{pid}/task/{thread}/schedstat").read_bytes()
                waited += int(text.split()[1])
    return waited / 1e9


def listening(namespace: int, members: Collection[int]) -> list[tuple[str, int]]:
    """Return the IPv4 and IPv6 addresses and ports on which any of `members` listens, in the
    network of the process `namespace`.
    """
    sockets = {link for pid in members for link in _links(pid)}
    return [
        address
        for name in ("tcp", "tcp6")
        for inode, address in _listeners(Path(f"/proc/{namespace}/net/{name}"))
        if f"socket:[{inode}]" in sockets
    ]


def _links(pid: int) -> Iterable[str]:
    folder = f"/proc/{pid}/fd"
    with suppress(OSError):
        for name in os.listdir(folder):
            with suppress(OSError):
                yield os.readlink(f"{folder}/{name}")


def _listeners(file: Path) -> Iterable[tuple[str, tuple[str, int]]]:
    try:
        lines = file.read_text().splitlines()[1:]
    except OSError:
        return
    for fields in map(str.split, lines):
        if fields[3] == LISTENING:
            host, port = fields[1].split(":")
            yield fields[9], (_address(host), int(port, 16))


def _address(text: str) -> str:
    """Return an address as people write it; the kernel has it in words of the machine's order."""
    words = [bytes.fromhex(text[at : at + 8])[::-1] for at in range(0, len(text), 8)]
    if len(words) == 1:
        return ".".join(map(str, words[0]))
    joined = b"".join(words)
    return "::" if not any(joined) else joined.hex(":", 2)
