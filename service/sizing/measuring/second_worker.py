"""The best level once more, with more workers."""

from __future__ import annotations

from dataclasses import replace

from ...emulator.spec.model import DeployedFunction
from ..report import SizeReport, WorkersTrial
from ..trial import TRIAL_WORKERS, trial_plan
from .measure import Save, SizeLoad, TellSize, measure_level
from .plan import WAVES

LONGEST_TRIAL = 10.0
"""Seconds at most."""


async def try_workers(load: SizeLoad, report: SizeReport, save: Save, tell: TellSize) -> SizeReport:
    """Return the report with what two workers do, if the CPU is the limit and there is time."""
    level = trial_plan(report).level
    if report.trial is not None or report.missing or level is None:
        return report
    share = min(LONGEST_TRIAL, load.seconds / len(report.levels))
    seconds = max(share, WAVES * level.full)
    if seconds > load.seconds / 2:
        return report
    tell(f"{level.at_once} at once with {TRIAL_WORKERS} workers, about {seconds:.0f} s")
    with_workers = replace(load, function=of_workers(load.function, TRIAL_WORKERS))
    found, _times = await measure_level(with_workers, level.at_once, seconds)
    report = replace(report, trial=WorkersTrial(TRIAL_WORKERS, found))
    save(report)
    return report


def of_workers(function: DeployedFunction, workers: int) -> DeployedFunction:
    """Return the function as it would be deployed with so many workers."""
    variables = {**function.environment, "SERVICE_WORKERS": str(workers)}
    return replace(function, environment=variables)
