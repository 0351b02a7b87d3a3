"""The flags of `python -m service emulate`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from ..settings.flags import add_record_flags
from .console.opening import add_console_flags
from .instances.conditions import Options

STATE = Path(".emulator/tasks.db")
"""Where asynchronous calls are kept, beside the spec."""

DEBUG_PORT = 5678
"""Where debuggers look for debugpy."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `emulate`."""
    parser.add_argument(
        "--spec", default="s.yaml", metavar="FILE", help="what is deployed [default: s.yaml]"
    )
    parser.add_argument(
        "--code",
        metavar="DIR",
        help="run this directory in place of each function's `code`: --code . needs no build",
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="the API's address [default: 127.0.0.1]"
    )
    parser.add_argument(
        "--port",
        type=_within(int, 0, 65535),
        default=8000,
        metavar="PORT",
        help="the API's port, 0 for any that is free [default: 8000]",
    )
    _add_limits(parser)
    _add_api_flags(parser)
    parser.add_argument("--json", action="store_true", help="write the log as JSON lines")
    _add_desk_flags(parser)
    add_console_flags(parser)


def _add_api_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of who may call, and of what is kept of asynchronous calls."""
    parser.add_argument(
        "--access-key",
        metavar="ID:SECRET",
        help="check callers' signatures with it; otherwise any is accepted",
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a further name under which the API may be asked for, host.docker.internal for example"
        " (may be there several times)",
    )
    parser.add_argument(
        "--state",
        metavar="FILE",
        help=f"where asynchronous calls are kept [default: {STATE}, beside the spec]",
    )


def _add_desk_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of those who work on the functions."""
    parser.add_argument(
        "--debug",
        nargs="?",
        type=_within(int, 0, 65535),
        const=DEBUG_PORT,
        metavar="PORT",
        help="have each instance wait for a debugger (debugpy), the first on this port, further"
        f" ones on any; no time limits, no freeze [default: {DEBUG_PORT}]",
    )
    parser.add_argument(
        "--reload",
        action="store_true",
        help="new instances for changed code, and the functions of a changed spec; old instances"
        " end their calls",
    )
    add_record_flags(parser)


def _add_limits(parser: argparse.ArgumentParser) -> None:
    defaults = Options()
    parser.add_argument(
        "--max-instances",
        type=_within(int, 1, 10_000),
        default=defaults.max_instances,
        metavar="N",
        help=f"instances of a function at most [default: {defaults.max_instances}]",
    )
    parser.add_argument(
        "--idle-timeout",
        type=_within(float, 0.1, 86_400),
        default=defaults.idle_timeout,
        metavar="SECONDS",
        help="stop an instance that has had no call for so long"
        f" [default: {defaults.idle_timeout:g}]",
    )
    parser.add_argument(
        "--start-timeout",
        type=_within(float, 0.1, 86_400),
        default=defaults.start_timeout,
        metavar="SECONDS",
        help="give up an instance whose port is not open after so long"
        f" [default: {defaults.start_timeout:g}, the platform's]",
    )
    parser.add_argument(
        "--share-tmp",
        action="store_true",
        help="let instances have this machine's /tmp, not each one of its own",
    )
    parser.add_argument(
        "--enforce-memory", action="store_true", help="kill an instance above its memorySize"
    )


def _within(kind: Callable[[str], float], least: float, most: float) -> Callable[[str], float]:
    """Return what reads a flag's value: a number of that kind and range."""

    def read_number(text: str) -> float:
        what = "a whole number" if kind is int else "a number"
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not {what}") from None
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not from {least:g} to {most:,.0f}")
        return value

    return read_number
