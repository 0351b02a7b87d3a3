"""Whether a second worker helps a handler that computes: what to measure, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .fit import CallFit, fit, usable
from .level import SizeLevel
from .report import SizeReport

TRIAL_WORKERS = 2

BUSY_CPU = 0.8
"""The share of a CPU that an instance uses, or waits for, at its best level if it is its limit."""

MOST_DRIVEN = 0.25
"""The share of a CPU that sending the calls may take: the second worker needs one, too."""

AS_GOOD = 0.95
"""The share of the most calls a second from which on a level is as good as the best one."""

LEAST_EACH, ENOUGH_EACH = 2, 5
"""Calls at once of each worker, at least and better: they are not dealt out evenly."""

HELPS, HELPS_LITTLE = 1.5, 1.15
"""Times the calls a second of one worker from which on two are worth it, and from which on a
difference is more than noise.
"""

SEVERAL_CPUS = 1.3
"""CPUs that are used at once from which on they are called several."""


@dataclass(frozen=True, slots=True)
class TrialPlan:
    """The level that is measured again, or why none is; neither if the CPU is not the limit."""

    level: SizeLevel | None = None
    against: str = ""


def trial_plan(report: SizeReport) -> TrialPlan:
    """Return what to measure with more workers."""
    try:
        fitted = fit(report.levels)
    except ValueError:
        return TrialPlan()
    best = _best(usable(report.levels))
    if report.subject.workers > 1 or best.stalls is None or not _is_cpu(best, fitted):
        return TrialPlan()  # another server has no such setting
    if report.cpus < TRIAL_WORKERS:
        return TrialPlan(against="this machine has one CPU")
    if best.driven > MOST_DRIVEN:
        told = f"sending the calls takes {best.driven:.0%} of one of this machine's CPUs"
        return TrialPlan(against=told)
    if best.at_once < LEAST_EACH * TRIAL_WORKERS:
        return TrialPlan(against="it needs a level of 4 or more calls at once (--levels)")
    return TrialPlan(best)


def _best(levels: Sequence[SizeLevel]) -> SizeLevel:
    """Return the level with about the most calls a second: one at which each worker has enough, if
    there is one.
    """
    most = max(each.throughput for each in levels)
    good = [each for each in levels if each.throughput >= AS_GOOD * most]
    enough = [each for each in good if each.at_once >= ENOUGH_EACH * TRIAL_WORKERS]
    return enough[0] if enough else good[-1]


def _is_cpu(best: SizeLevel, fitted: CallFit) -> bool:
    """Return whether the CPU is the limit, also on a machine that is busy with other things."""
    wanted = best.cpu + best.kept_waiting
    return best.throughput * wanted >= BUSY_CPU and fitted.serial <= 1.5 * wanted


def trial_text(report: SizeReport) -> str:
    """Return whether more workers help, as it was measured; "" if the CPU is not the limit."""
    trial = report.trial
    if trial is None:
        plan = trial_plan(report)
        later = "--resume measures it, if --seconds are enough"
        why = plan.against or ("" if plan.level is None else later)
        return f"whether several workers help was not measured: {why}" if why else ""
    one = next((each for each in report.levels if each.at_once == trial.level.at_once), None)
    if one is None or trial.level.broken:
        return f"with {trial.workers} workers calls fail: {trial.level.error:.200}"
    two = trial.level
    gain = two.throughput / one.throughput
    told = (
        f"{trial.workers} workers do {gain:.2f} times the calls a second of one"
        f" ({two.throughput:,.1f} against {one.throughput:,.1f}, {one.at_once} at once,"
        f" {max(0.0, two.memory - one.memory):.0f} MB more)"
    )
    if gain >= HELPS:
        return (
            f"{told}: one process uses one CPU; with cpu: {trial.workers} a call costs the same, in"
            " half as many instances; with one vCPU or less they gain nothing"
        )
    if two.kept_waiting > two.cpu / 2:
        return f"{told}; this machine had no second CPU free: measure again in a quiet moment"
    verdict = "less than a second vCPU costs" if gain >= HELPS_LITTLE else "15% are noise"
    return f"{told}, {verdict}: stay with 1; {_why(one, two)}"


def _why(one: SizeLevel, two: SizeLevel) -> str:
    """Return what kept a second worker from doing as much as the first one."""
    used = one.throughput * one.cpu
    if used > SEVERAL_CPUS:
        return f"one process uses {used:.1f} CPUs already: it computes in threads"
    if two.throughput * two.cpu < SEVERAL_CPUS:
        return "their calls wait for something that they have in common"
    return "a call takes more CPU beside another one: memory or caches limit it"
