"""A server under test: started on a core of its own, watched, ended by its process group."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.lineup import Contender

SOURCES = Path(__file__).parent / "contenders"
ENDS_WITHIN = 2.0
"""Seconds from SIGTERM to SIGKILL."""


class NotRun(Exception):
    """A contender could not be measured; the text says why."""


@dataclass(frozen=True)
class Cores:
    """Where the server runs, and where everything else does."""

    server: int
    load: int

    @property
    def apart(self) -> bool:
        """Whether the server has its core for itself."""
        return self.server != self.load


@cache
def cores() -> Cores:
    """Return the last core that we may use for the server, the first one for the load: of those
    that this process had when it asked first. It gives itself the load's afterwards.
    """
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(server=allowed[-1], load=allowed[0])


@dataclass(frozen=True)
class Server:
    """A started server; `output` is the end of its stdout's pipe where the caller reads it."""

    process: subprocess.Popen[bytes]
    port: int
    began: float
    stderr: Path
    output: int | None

    def check_alive(self) -> None:
        """Raise NotRun with its last words when the process has ended."""
        if (code := self.process.poll()) is not None:
            raise NotRun(f"ended with {code}: {self.last_words()}")

    def last_words(self) -> str:
        """Return the last line it wrote to stderr."""
        lines = self.stderr.read_text(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else "it said nothing"

    def processes(self) -> list[int]:
        """Return the ids of all processes of its group."""
        return [pid for pid in _all_processes() if _group_of(pid) == self.process.pid]

    def proportional(self) -> float:
        """Return the bytes that its processes take of memory, shared pages by share."""
        return sum(_field(pid, "smaps_rollup", "Pss:") for pid in self.processes())

    def resident(self) -> float:
        """Return the bytes that its processes have in memory."""
        return sum(_field(pid, "status", "VmRSS:") for pid in self.processes())

    def peak(self) -> float:
        """Return the most bytes that its processes had in memory since `forget_peak`."""
        return sum(_field(pid, "status", "VmHWM:") for pid in self.processes())

    def worked(self) -> float:
        """Return the seconds that its processes have computed."""
        return sum(_times(pid) for pid in self.processes()) / os.sysconf("SC_CLK_TCK")

    def forget_peak(self) -> None:
        """Let the peak begin at what is in memory now."""
        for pid in self.processes():
            Path(f"/proc/{pid}/clear_refs").write_text("5")


def _all_processes() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdecimal()]


def _group_of(pid: int) -> int:
    with suppress(ProcessLookupError):
        return os.getpgid(pid)
    return 0


def _field(pid: int, file: str, name: str) -> float:
    with suppress(OSError):  # a process that ended meanwhile
        for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    return 0


def _times(pid: int) -> int:
    with suppress(OSError):
        _, _, fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")
        user, system = fields.split()[11:13]
        return int(user) + int(system)
    return 0


@dataclass(frozen=True)
class Stage:
    """Where servers are started: the folder for their copies, the cores, who reads stdout."""

    folder: Path
    cores: Cores
    log: str
    """`pipe`: `cat` reads it, as the platform does; `null`: nobody; `own`: the caller."""

    @contextmanager
    def server(self, contender: Contender, action: str, log: str = "") -> Iterator[Server]:
        """Start a server, which need not be ready yet; end it and all its processes."""
        home = prepared(self.folder / contender.name, contender)
        with _output(log or self.log) as (stdout, own), (home / "stderr").open("wb") as stderr:
            port = free_port()
            began = time.perf_counter()
            process = subprocess.Popen(
                contender.argv(port, action),
                cwd=home,
                env=_environ(contender, port),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
                preexec_fn=lambda: os.sched_setaffinity(0, {self.cores.server}),
            )
            try:
                yield Server(process, port, began, home / "stderr", own)
            finally:
                end(process)


def prepared(home: Path, contender: Contender) -> Path:
    """Copy what the contender needs to its folder, once; its byte code stays there."""
    if not home.exists():
        home.mkdir()
        shutil.copy(SOURCES / "marks.py", home)
        shutil.copy(SOURCES / contender.file, home / (contender.saved_as or contender.file))
    return home


@contextmanager
def _output(log: str) -> Iterator[tuple[int, int | None]]:
    """What becomes the server's stdout, and the end that the caller reads."""
    if log == "null":
        yield subprocess.DEVNULL, None
        return
    reading, writing = os.pipe()
    reader = None
    try:
        if log == "pipe":
            reader = subprocess.Popen(["cat"], stdin=reading, stdout=subprocess.DEVNULL)
        os.set_blocking(reading, log == "pipe")
        yield writing, None if reader else reading
    finally:
        os.close(writing)
        os.close(reading)
        if reader is not None:
            end(reader, group=False)


KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")


def _environ(contender: Contender, port: int) -> dict[str, str]:
    """Return a small environment: no setting of any contender comes from outside."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return kept | {"PORT": str(port)} | dict(contender.environ)


def free_port() -> int:
    """Return a port of the loopback that nobody uses now.

    It is below those that the kernel gives to clients: one that tries a port of its own range again
    and again, as we do while a server starts, is connected to itself now and then.
    """
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as sock, suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port
    raise NotRun("no port is free")


def end(process: subprocess.Popen[bytes], *, group: bool = True) -> None:
    """End a process, and its group, whose id is its own; never wait long.

    The process is reaped last, since its id keeps the group's from being given away.
    """
    send = os.killpg if group else os.kill
    try:
        with suppress(ProcessLookupError):
            send(process.pid, signal.SIGTERM)
        _await_end(process)
    finally:
        with suppress(ProcessLookupError):
            send(process.pid, signal.SIGKILL)
        process.wait(10)


def _await_end(process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + ENDS_WITHIN
    while process.returncode is None and time.monotonic() < until:
        if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None:
            return
        time.sleep(0.005)
