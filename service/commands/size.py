"""`python -m service size`: which concurrency, measured with the user's handler, and the fleet that
it makes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..sizing.request import FleetWish, SizeRequest
from ..sizing.run import run_size
from .event_source import event_bytes


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `size`."""
    parser.add_argument(
        "--event",
        default="{}",
        metavar="FILE|-|JSON|@SAMPLE",
        help="the event that the handler is called with [default: {}]",
    )
    parser.add_argument(
        "--spec",
        metavar="FILE",
        help="what is deployed [default: s.yaml, if it is there]",
    )
    parser.add_argument(
        "--code", metavar="DIR", help="run this directory in place of the function's `code`"
    )
    parser.add_argument("--function", metavar="NAME", help="which one, if the file has several")
    parser.add_argument(
        "--handler",
        default="index.handler",
        metavar="NAME",
        help="without a file: the handler [default: index.handler]",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for CI")
    _add_load(parser)
    _add_files(parser)
    _add_fleet(parser)


def _add_load(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seconds",
        type=float,
        default=60.0,
        metavar="S",
        help="how long it may measure, about [default: 60]",
    )
    parser.add_argument(
        "--levels",
        metavar="N,N,...",
        help="calls at once that are measured [default: 1,2,5,10,20,50,100,200]",
    )
    parser.add_argument(
        "--p99",
        type=float,
        metavar="MS",
        help="the longest time that a call may take in a full instance [default: 1.5 times alone]",
    )


def _add_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--report",
        default="reports/size.json",
        metavar="FILE",
        help="where what was measured is kept [default: reports/size.json]",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="measure only what the report misses; if nothing is missing, print it again",
    )
    parser.add_argument(
        "--picture",
        metavar="FILE",
        help="a .svg or .png, drawn with the extra `size` [default: reports/size.svg, of a fleet"
        " reports/fleet.svg]",
    )


def _add_fleet(parser: argparse.ArgumentParser) -> None:
    fleet = parser.add_argument_group("a fleet, simulated from what was measured")
    fleet.add_argument("--rate", type=float, metavar="N", help="calls a second, at the most")
    fleet.add_argument(
        "--pattern",
        default="constant",
        metavar="NAME|FILE",
        help="constant, daily, burst, or a file with lines of SECOND,CALLS_A_SECOND",
    )
    fleet.add_argument(
        "--duration",
        type=float,
        metavar="S",
        help="seconds [default: 600, daily 86400, burst 1800, of a file its last]",
    )
    fleet.add_argument(
        "--max-instances",
        type=int,
        default=100,
        metavar="N",
        help="instances that the account may have [default: 100, the platform's]",
    )
    fleet.add_argument(
        "--burst",
        type=int,
        default=100,
        metavar="N",
        help="instances that may be started at once, and in each minute after [default: 100]",
    )
    fleet.add_argument(
        "--prices",
        metavar="FILE",
        help="TOML with date, currency, vcpu_second, gb_second and million_calls",
    )
    fleet.add_argument("--seed", type=int, default=1, metavar="N", help="[default: 1]")


def size_function(flags: argparse.Namespace, cwd: Path) -> int:
    """Measure, recommend, simulate; return the exit code. Raises StartError and UsageError."""
    wish = None
    if flags.rate is not None:
        wish = FleetWish(
            flags.rate,
            flags.pattern,
            flags.duration,
            flags.max_instances,
            flags.burst,
            None if flags.prices is None else cwd / flags.prices,
            flags.seed,
        )
    request = SizeRequest(
        event_bytes(flags.event, cwd, sys.stdin.buffer),
        cwd,
        spec=flags.spec,
        code=flags.code,
        function=flags.function,
        handler=flags.handler,
        seconds=flags.seconds,
        levels=flags.levels,
        p99=None if flags.p99 is None else flags.p99 / 1000,
        report=cwd / flags.report,
        resume=flags.resume,
        picture=None if flags.picture is None else cwd / flags.picture,
        as_json=flags.json,
        fleet=wish,
    )
    return run_size(request)
