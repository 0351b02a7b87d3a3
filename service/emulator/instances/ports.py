"""A port for each instance: on the platform each has a machine of its own, here they share one."""

from __future__ import annotations

import asyncio
import errno
import secrets
import socket
import sys
from contextlib import closing
from pathlib import Path

INSTANCE_HOST = "127.0.0.2" if sys.platform == "linux" else "127.0.0.1"
"""Where an instance is called. The platform calls it from outside, so a server that listens on
127.0.0.1 does not start there (docs/platform.md section 1.3); macOS has no second loopback address.
"""


TAKEN = frozenset({errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL})
"""What the system says of a port that this instance cannot have, and another one could."""

PORT_TRIES = 100
"""Ports that are tried in place of one that is taken."""

LOWEST = 20_000
"""Below are the ports of well-known servers."""

GIVEN = Path("/proc/sys/net/ipv4/ip_local_port_range")
"""The ports that Linux gives to whoever asks for any, each connection to somewhere included."""


class ClaimedPort:
    """A TCP port that no other instance of this machine is given until `release`.

    The claim is a UDP socket on the same number: every emulator sees it, it ends with the process,
    and the instance can still bind the TCP port.
    """

    def __init__(self, number: int) -> None:
        """Raises OSError when the port is claimed, or something listens there."""
        self.number = number
        self._claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._claim.bind((INSTANCE_HOST, number))
            with socket.socket() as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
                trial.bind(("0.0.0.0", number))
        except OSError:
            self._claim.close()
            raise

    def release(self) -> None:
        """Let others have it."""
        self._claim.close()


def claim(wanted: int) -> ClaimedPort:
    """Return the wanted port if it is free, else another one. Raises OSError if none can be had."""
    number = wanted
    for _ in range(PORT_TRIES):
        try:
            return ClaimedPort(number)
        except OSError as reason:
            if reason.errno not in TAKEN:
                raise
        number = another_port()
    raise OSError(errno.EADDRINUSE, "no port is free")


def another_port() -> int:
    """Return a port that may be free.

    If there are enough, it is one that the system gives to nobody by itself: until the instance
    listens, which takes as long as its imports, a connection could be given the port.
    """
    try:
        end = int(GIVEN.read_text().split()[0])
    except OSError:  # not Linux
        end = 0
    if end >= LOWEST + 10 * PORT_TRIES:
        return LOWEST + secrets.randbelow(end - LOWEST)
    with socket.socket() as trial:
        trial.bind(("0.0.0.0", 0))
        return int(trial.getsockname()[1])


async def is_open(number: int) -> bool:
    """Return whether a connection to an instance's port is accepted: the platform's start check,
    which sends nothing (docs/platform.md section 1.3).
    """
    with closing(socket.socket()) as trial:
        trial.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(trial, (INSTANCE_HOST, number))
        except OSError:
            return False
        return True
