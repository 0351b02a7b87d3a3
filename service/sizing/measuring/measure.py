"""Measure a function: an instance at each concurrency, first full, then called at even times."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ...emulator.spec.model import DeployedFunction
from ...errors import HandlerUnfit
from ..findings import explained
from ..level import SizeLevel, ordered_quantile, quantiles_of
from ..report import SizeReport
from .load import hold, offer, throughput
from .measured import one_instance
from .memory import growth_of
from .plan import in_line, planned_levels, seconds_for

FULL_SHARE, EVEN_SHARE = 0.4, 0.5
"""Shares of a level's time for its two parts."""

OFFERED = 0.8
"""The share of what a full instance does that is due in the second part."""

LEAST_PATIENCE = 3.0
"""Seconds at least for what is under way when a part is over."""

TRIAL_CALLS = 3
"""Calls in a warm instance whose median tells how long one takes."""

TellSize = Callable[[str], None]
Save = Callable[[SizeReport], None]


@dataclass(frozen=True, slots=True)
class SizeLoad:
    """What is measured with which event, and about how many seconds it may take."""

    function: DeployedFunction
    event: bytes
    seconds: float


async def measure_levels(
    load: SizeLoad, report: SizeReport, save: Save, tell: TellSize
) -> SizeReport:
    """Measure the levels that the report misses; return it with them. `save` is given it after each
    level, `tell` what is being done.

    Raises HandlerUnfit if no call succeeds, or none ends in time.
    """
    ends_at = time.monotonic() + load.seconds
    tell("one call, to see how long it takes")
    once = await _try(load)
    wanted = planned_levels(report.missing, once, ends_at - time.monotonic())
    if not wanted:
        raise HandlerUnfit(_too_slow(once, load.seconds, len(report.missing)))
    if len(wanted) < len(report.missing):
        report = replace(report, planned=_put_in(report, wanted), left_out=_no_time(once))
    for at_once in report.missing:
        left = len([each for each in report.missing if each >= at_once])
        share = max(0.0, ends_at - time.monotonic()) / left
        expected = in_line(at_once, report.levels)
        if expected > share:
            told = f"with {at_once} at once a call would take about {expected:.0f} s"
            report = replace(report, planned=_put_in(report, []), left_out=told)
            break
        tell(f"{at_once} at once, about {share:.0f} s")
        level, times = await measure_level(load, at_once, max(share, 2 * once))
        report = report.with_level(level)
        if not report.times and not level.broken:
            report = replace(report, times=times)
        save(report)
    return report


def _put_in(report: SizeReport, wanted: Sequence[int]) -> list[int]:
    return sorted({*wanted, *(level.at_once for level in report.levels)})


def _too_slow(once: float, seconds: float, levels: int) -> str:
    return (
        f"one call takes {once:.1f} s, and --seconds {seconds:g} are not enough for two levels: say"
        f" --seconds {seconds_for(levels, once)} for all, --seconds {seconds_for(3, once)} for"
        " three"
    )


def _no_time(once: float) -> str:
    return f"a call takes {once:.1f} s: more --seconds measure more of them"


async def _try(load: SizeLoad) -> float:
    """Return how long one call takes in a warm instance. Raises HandlerUnfit."""
    try:
        async with asyncio.timeout(load.seconds), one_instance(load.function, 1, load.event) as it:
            if failure := await it.first_call():
                raise HandlerUnfit(explained(failure, load.event))
            times = []
            for _ in range(TRIAL_CALLS):
                began = time.monotonic()
                if failure := await it.call():
                    raise HandlerUnfit(explained(failure, load.event))
                times.append(time.monotonic() - began)
                if sum(times) > load.seconds / 10:
                    break
            return ordered_quantile(sorted(times), 0.5)
    except TimeoutError:
        enough = seconds_for(3, load.function.timeout) + 2 * load.function.timeout
        raise HandlerUnfit(
            f"no answer within --seconds {load.seconds:g}: a call takes longer, or never ends; look"
            f" at one with `invoke` first, then say --seconds {enough:g}, which is enough for calls"
            f" of {load.function.timeout:g} s, their time-out"
        ) from None


async def measure_level(
    load: SizeLoad, at_once: int, seconds: float
) -> tuple[SizeLevel, Sequence[float]]:
    """Measure one level; return it, with quantiles of the times while it was full."""
    began = time.monotonic()
    async with one_instance(load.function, at_once, load.event) as it:
        failure = await it.first_call()
        left = max(0.5, seconds - (time.monotonic() - began))
        used, driven = it.use(), time.process_time()
        patience = max(LEAST_PATIENCE, left)
        full = await hold(it.call, at_once, FULL_SHARE * left, patience)
        driven = (time.process_time() - driven) / max(full.ends)
        most = throughput(full, at_once, FULL_SHARE * left)
        rate = max(OFFERED * most, 1 / left)
        even = await offer(it.call, at_once, rate, EVEN_SHARE * left, patience)
        now = it.use()
        calls = len(full.ends) + len(even.ends)
        level = SizeLevel(
            at_once,
            calls,
            throughput=most,
            full=full.at(0.5),
            rate=rate,
            p50=even.at(0.5),
            p99=even.at(0.99),
            cpu=max(0.0, now.cpu - used.cpu) / calls,
            memory=it.memory,
            kept_waiting=max(0.0, now.ready - used.ready) / calls,
            growth=growth_of(it.looks),
            threads=it.threads,
            stalls=await it.stalls(),
            errors=full.errors + even.errors + bool(failure),
            error=failure or full.error or even.error,
            start=it.start,
            driven=driven,
        )
    return level, quantiles_of(sorted(full.times))
