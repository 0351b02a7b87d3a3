"""What a measurement says against the handler: one line each, which says what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from statistics import median

from .fit import DRIVEN, CallFit
from .level import SizeLevel
from .measuring.load import NO_ANSWER
from .measuring.memory import LEAK, LEAKED
from .report import SizeReport

BLOCKS = 0.005
"""Seconds of a call in which nothing else runs and no CPU is used, from which on it is told."""

CROWDED = 1.0
"""Times of a call's CPU, or of a fiftieth of its time, that it waits for one on a busy machine."""

NO_NETWORK = re.compile(
    r"gaierror|ClientConnect|ConnectionRefused|ConnectionError|ConnectTimeout|ConnectError"
    r"|Name or service not known|name resolution|nodename nor servname|Cannot connect"
    r"|Network is unreachable|No route to host|Max retries exceeded|Connect call failed",
)
"""How failures read of a network that is not there."""

STAND_IN = (
    "it needs something of its network: let its address come from environmentVariables and name a"
    " stand-in of this machine for the measurement, or run size where it can be reached"
)


TIMED_OUT_CALL = re.compile(r"time out after ([\d.]+) seconds")
"""How the platform reads that ends a call."""


def explained(failure: str, event: bytes) -> str:
    """Return why a handler that fails cannot be measured, and what to do."""
    text = f"{failure:.300}".rstrip(".")
    if TIMED_OUT_CALL.search(failure):
        return (
            f"the handler fails: {text}: raise `timeout` in s.yaml, or name an event that takes"
            " less with --event"
        )
    if NO_NETWORK.search(failure):
        return f"the handler fails: {text}: {STAND_IN}"
    shown = event[:60].decode(errors="replace")
    more = "" if len(event) <= 60 else "..."
    return (
        f"the handler fails: {text} (event {shown}{more}): name an event that it takes with"
        " --event, and try it with `invoke` first"
    )


def size_findings(report: SizeReport, fitted: CallFit | None) -> list[str]:
    """Return what is to be said of the levels, the worst first."""
    return [
        *_failures(report.levels),
        *_busy(report.levels),
        *(() if fitted is None else _blocks(report, fitted)),
        *_leaks(report),
        *_stalls(report.levels),
        *_limits(report),
    ]


def _failures(levels: Sequence[SizeLevel]) -> Iterator[str]:
    failed = [level for level in levels if level.errors]
    if not failed:
        return
    worst = max(failed, key=lambda level: level.errors / max(level.calls, 1))
    text = f"{worst.error:.200}".rstrip(".")
    told = "mend that first: a retry costs a call, too"
    if NO_NETWORK.search(worst.error):
        told = STAND_IN
    elif worst.error == NO_ANSWER:
        told = "the time was too short for them, or they never end: more --seconds tell"
    yield (
        f"fails: {worst.errors:,} of {worst.calls:,} calls with {worst.at_once} at once, the first"
        f" with {text}: {told}"
    )


def _busy(levels: Sequence[SizeLevel]) -> Iterator[str]:
    crowded = [
        level for level in levels if level.kept_waiting > CROWDED * max(level.cpu, level.full / 50)
    ]
    if len(crowded) > len(levels) / 3:
        worst = max(level.kept_waiting for level in crowded)
        yield (
            "this machine was busy: ready to go on, a call waited up to"
            f" {worst * 1000:.1f} ms for a CPU; the figures are too high, so measure again in a"
            " quiet moment"
        )


def _blocks(report: SizeReport, fitted: CallFit) -> Iterator[str]:
    waited = median(level.kept_waiting for level in report.levels)  # looks like it, and is not
    blocked = report.subject.workers * fitted.serial - fitted.cpu - waited
    if blocked > max(BLOCKS, 0.5 * fitted.cpu, waited):
        yield (
            f"blocks: for {blocked * 1000:.0f} ms of each call no other one gets on, and it is no"
            " CPU: a blocking call (time.sleep, requests, a lock) in async code, for which a plain"
            " `def` handler has threads; or one thing that all calls wait for"
        )


def _leaks(report: SizeReport) -> Iterator[str]:
    grown = [level.growth for level in report.levels if level.growth > 0]
    sizes = [level.growth * level.calls for level in report.levels]
    if len(grown) * 2 <= len(report.levels) or max(sizes, default=0) < LEAKED:
        return
    each = median(grown)
    if each < LEAK:
        return
    least = min(level.memory for level in report.levels)
    memory = report.deployed.get("memory") or 512
    room = max(0.0, memory - least) / each
    yield (
        f"leaks: memory grows by {each * 1000:.2f} MB per 1,000 calls and does not level off: an"
        f" instance of {memory:g} MB is full after about {_round(int(room)):,} calls; look for what"
        " keeps each call's data (a list, a dict, a cache without a limit)"
    )


def _round(value: int) -> int:
    """Return a number of which the first two digits count."""
    digits = max(0, len(str(int(value))) - 2)
    return round(value, -digits)


def _stalls(levels: Sequence[SizeLevel]) -> Iterator[str]:
    stalled = [level for level in levels if level.stalls]
    if stalled:
        first = stalled[0]
        yield (
            f"stalls: with {first.at_once} at once the loop stood still {first.stalls} times for"
            " half a second and longer: the service's log names file and line (`invoke`, `emulate`)"
        )


def _limits(report: SizeReport) -> Iterator[str]:
    driven = [level.at_once for level in report.levels if level.driven >= DRIVEN]
    if driven:
        yield (
            f"sending the calls took this machine's CPU from {driven[0]} at once on: an instance"
            " may do more than is shown there, and those levels are left out of the fit"
        )
    if report.missing:
        names = ", ".join(map(str, report.missing))
        yield f"not measured yet: {names}; --resume goes on"
    if report.left_out:
        yield f"left out: {report.left_out}"
