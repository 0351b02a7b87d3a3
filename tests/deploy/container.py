"""A package in a root of its own, as an instance has it: process 1, loopback, nothing else."""

from __future__ import annotations

import array
import asyncio
import ctypes
import fcntl
import os
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.harness import STARTS_WITHIN, Client

PORT = 9000
SCRIPT = """
root=$1 user=$2 writes=$3; shift 3
mount --make-rprivate / && mount --bind "$root" "$root" || exit 125
[ "$writes" = yes ] || mount -o remount,bind,ro "$root" || exit 125
mount -t proc proc "$root/proc" && mount --rbind /dev "$root/dev" || exit 125
exec chroot --userspec="$user" --groups= "$root" /bin/sh -c 'cd /code && exec env -i "$@"' sh "$@"
"""
CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


class Failure(Exception):
    """What was not as it should be, and what to do, in a line."""


def leave_the_network() -> None:
    """Give this process, and all that it starts from now on, loopback and no other network.

    Raises OSError.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "no network of our own")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        request = array.array("B", struct.pack("16sH14x", b"lo", 0))
        fcntl.ioctl(asking, SIOCGIFFLAGS, request, True)
        (flags,) = struct.unpack_from("H", request, 16)
        struct.pack_into("H", request, 16, flags | IFF_UP)
        fcntl.ioctl(asking, SIOCSIFFLAGS, request)


@dataclass(frozen=True)
class Deployed:
    """What is started: a folder that is its root, the command, and variables."""

    name: str
    root: Path
    command: Sequence[str]
    environ: Mapping[str, str]
    user: str = "0:0"
    log: Path = field(default=Path("log"))


class Container:
    """One instance of it, which has just been started."""

    def __init__(self, deployed: Deployed, *, writes: bool = True, **environ: str) -> None:
        self.deployed = deployed
        variables = [f"{k}={v}" for k, v in {**deployed.environ, **environ}.items()]
        with deployed.log.open("ab") as log:
            self.began = time.monotonic()
            self.process = subprocess.Popen(
                [
                    *("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", SCRIPT),
                    *("sh", str(deployed.root), deployed.user, "yes" if writes else "no"),
                    *variables,
                    *deployed.command,
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def since(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.began

    async def client(self) -> Client:
        """A connection, as soon as there is one. Raises Failure if there is none in time."""
        while self.since() < STARTS_WITHIN:
            if self.process.poll() is not None:
                raise Failure(f"it ended at its start with exit code {self.process.returncode}")
            try:
                return Client(*await asyncio.open_connection("127.0.0.1", PORT))
            except ConnectionError:
                await asyncio.sleep(0.002)
        raise Failure(f"no port {PORT} within {STARTS_WITHIN:.0f} s")

    def inside(self) -> list[psutil.Process]:
        """Its processes, process 1 first."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def zombies(self) -> int:
        """How many of its processes have ended and were not reaped."""
        return sum(each.status() == psutil.STATUS_ZOMBIE for each in self.inside())

    def memory(self) -> int:
        """The resident bytes of the largest of its processes."""
        return max(int(each.memory_info().rss) for each in self.inside())

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to all its processes, as a freeze does."""
        for each in self.inside():
            with suppress(ProcessLookupError):  # it has ended
                os.kill(each.pid, number)

    def stop(self) -> None:
        """SIGTERM to process 1."""
        os.kill(self.inside()[0].pid, signal.SIGTERM)

    async def ended(self, seconds: float) -> int:
        """Its exit code. Raises Failure if it does not end in time."""
        try:
            return await asyncio.to_thread(self.process.wait, seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"it has not ended {seconds:.0f} s after SIGTERM") from None

    def kill(self) -> None:
        """End it, by its own ids."""
        if self.process.poll() is None:
            inside = self.inside()
            self.signal_all(signal.SIGKILL)  # with process 1 the kernel ends all others
            psutil.wait_procs(inside)  # its port is free then
            self.process.kill()
            self.process.wait()
