"""What to deploy: the most calls at once at which none waits long for another, and the smallest
instance that does that with something to spare.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .fit import CallFit
from .level import SizeLevel
from .report import SizeReport
from .sizes import INSTANCE_THREADS, InstanceSize, smallest
from .trial import trial_text

SIZE_CHOICES = (1, 2, 3, 4, 5, 8, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100, 120, 150, 200)
"""Concurrencies that are recommended: no measurement tells 137 from 140."""

PLANNED_BUSY = 0.7
"""The share of a CPU that is planned with: the rest is for peaks, and for CPUs that are slower."""

LONGER_FULL = 1.5
"""How many times as long as alone a call may take in a full instance, unless --p99 says."""

MEMORY_SPARE = 1.4
"""Times the memory that was seen: for larger events, and for what grows in days."""

STRETCH = 0.1
"""The share of a call's time by which a small vCPU may lengthen it."""


@dataclass(frozen=True, slots=True)
class SizeAdvice:
    """What to deploy, and why; `busy` and `full` are what is expected of a full instance: the share
    of its vCPU, and the seconds of a call.
    """

    concurrency: int
    size: InstanceSize
    workers: int
    threads: int
    """Threads of the pool for plain `def` handlers, 0 if none is one."""
    busy: float
    full: float
    reasons: Sequence[str]


def recommend(report: SizeReport, fitted: CallFit, p99: float | None = None) -> SizeAdvice:
    """Return what to deploy for what was measured; `p99` is the longest time in seconds that a call
    may take in a full instance.
    """
    chosen, reason = _concurrency(report, fitted, p99)
    size = size_for(fitted, chosen, report.subject.workers)
    used = fitted.throughput(chosen) * fitted.cpu
    threads = chosen if _in_threads(report.levels) else 0
    reasons = [reason, *_reasons(report, fitted, chosen, size)]
    return SizeAdvice(
        chosen,
        size,
        report.subject.workers,
        threads,
        busy=used / size.cpu,
        full=fitted.full(chosen),
        reasons=reasons,
    )


def size_for(fitted: CallFit, at_once: int, workers: int = 1) -> InstanceSize:
    """Return the smallest instance for so many calls at once, with what is planned to spare."""
    used = fitted.throughput(at_once) * fitted.cpu / PLANNED_BUSY
    brisk = fitted.cpu / (STRETCH * fitted.alone)
    return smallest(
        min(max(used, min(brisk, 1.0)), float(workers)), MEMORY_SPARE * fitted.memory(at_once)
    )


def _concurrency(report: SizeReport, fitted: CallFit, p99: float | None) -> tuple[int, str]:
    """Return the most calls at once that keep every bound, and the bound that ends it."""
    best, ended = 1, ""
    for at_once in SIZE_CHOICES:
        ended = _against(report, fitted, at_once, p99)
        if ended and at_once > 1:
            return best, f"not {at_once}: {ended}"
        best = at_once
    return best, "the platform's most: calls wait, and hardly need the CPU"


def _against(report: SizeReport, fitted: CallFit, at_once: int, p99: float | None) -> str:
    """Return what speaks against so many at once, "" for nothing."""
    serial, workers = _serial(report, fitted), report.subject.workers
    busy = fitted.throughput(at_once) * serial
    full = fitted.full(at_once)
    if p99 is not None:
        if max(full, _measured_p99(report.levels, at_once)) > p99:
            return f"a call would take longer than --p99 {p99 * 1000:g} ms allows"
    elif full > LONGER_FULL * fitted.alone:
        return (
            f"a full instance would take {full * 1000:,.0f} ms for a call that takes"
            f" {fitted.alone * 1000:,.0f} ms alone"
        )
    if busy > PLANNED_BUSY:
        what = "blocked" if fitted.blocked > fitted.cpu else "busy"
        return (
            f"its one thread of work would be {what} {busy:.0%} of the time:"
            f" {PLANNED_BUSY:.0%} is planned"
        )
    broken = [level.at_once for level in report.levels if level.broken]
    if broken and at_once >= broken[0]:
        return f"calls fail with {broken[0]} at once"
    if _in_threads(report.levels) and at_once * workers > INSTANCE_THREADS / 2:
        return f"{at_once * workers} threads come near the platform's {INSTANCE_THREADS:,}"
    return ""


def _serial(report: SizeReport, fitted: CallFit) -> float:
    """Return the share of a second that a call takes of what serves one at a time; what waits is
    seen too seldom to tell its serial time, but it is not less than its CPU.
    """
    return max(fitted.serial, fitted.cpu / report.subject.workers)


def _measured_p99(levels: Sequence[SizeLevel], at_once: int) -> float:
    """Return the p99 of the largest level that is not above, 0 if there is none."""
    below = [level.p99 for level in levels if level.at_once <= at_once and not level.broken]
    return below[-1] if below else 0.0


def _in_threads(levels: Sequence[SizeLevel]) -> bool:
    """Return whether calls run in threads: a full instance has one for each."""
    return any(level.at_once >= 10 and level.threads >= level.at_once for level in levels)


def _reasons(report: SizeReport, fitted: CallFit, chosen: int, size: InstanceSize) -> list[str]:
    rate = fitted.throughput(chosen)
    used = rate * fitted.cpu
    found = [
        f"a call waits {fitted.wait * 1000:,.1f} ms and uses {fitted.cpu * 1000:,.2f} ms of CPU:"
        f" one full instance does {rate:,.0f} calls/s with {used:.2f} of a CPU",
        f"memory: {fitted.base:.0f} MB and {fitted.per_call:.2f} MB for each call at once, times"
        f" {MEMORY_SPARE:g}; the platform gives 1 to 4 GB a vCPU",
    ]
    if workers := trial_text(report):
        found.append(workers)
    now = report.deployed
    before = InstanceSize(now.get("cpu", 0.0), int(now.get("memory", 0)))
    if now.get("concurrency") and (before != size or now["concurrency"] != chosen):
        found.append(
            f"the file has {now['concurrency']:g} at once, {before.cpu:g} vCPU and"
            f" {before.memory} MB now"
        )
    return found
