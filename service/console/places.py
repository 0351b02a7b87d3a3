"""Where the console is, and what opens it: what the command line says."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError
from ..origins import is_loopback
from .access import check_token

TOKEN_FILE = Path(".emulator/console-token")
"""Where the token is kept, in the project's folder."""


@dataclass(frozen=True, slots=True)
class ConsoleFlags:
    """What the command line says of the console. A port that `is_wanted` was named by the user:
    another one would not do. A `token` of "" is one that is kept in a file.
    """

    host: str
    port: int
    is_wanted: bool
    token: str
    hosts: tuple[str, ...]


def console_places(
    flags: argparse.Namespace, beside: int, hosts: Iterable[str] = ()
) -> ConsoleFlags:
    """Return what the command line says; `beside` is the port of what the console is of, `hosts`
    are further names for which it may be asked. Raises UsageError.
    """
    try:
        token = "" if flags.console_token is None else check_token(flags.console_token)
    except ValueError as reason:
        raise UsageError(f"--console-token: {reason}") from None
    host, port = flags.console_host, flags.console_port
    if not is_loopback(host) and not token:
        raise UsageError(
            f"--console-host {host}: others can reach the console there, so it needs"
            " --console-token TEXT"
        )
    is_wanted = port is not None
    if port is None:
        port = (beside + 1) % 65_536 if beside else 0
    return ConsoleFlags(host, port, is_wanted, token, (*hosts, host))
