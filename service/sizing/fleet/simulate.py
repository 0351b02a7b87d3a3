"""The fleet at each concurrency: the same calls, instances of the size that each needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from ...errors import UsageError
from ..fit import CallFit
from ..recommend import size_for
from ..report import SizeReport
from ..sizes import InstanceSize
from .course import FleetCourse, FleetPlan
from .fleet import Fleet
from .patterns import CallPattern
from .prices import FleetBill, Prices, bill_of
from .rates import FleetRates

EXACT_CALLS = 150_000
"""Calls of one concurrency that are simulated one by one: all concurrencies take a minute."""

NEEDS_SIMPY = "--rate needs simpy: install fc-event-service[size]"


@dataclass(frozen=True, slots=True)
class FleetLimits:
    """What the platform grants (docs/platform.md section 13)."""

    instances: int
    at_once: int
    a_minute: int


@dataclass(frozen=True, slots=True)
class FleetRow:
    """One concurrency: the size of its instances, their course, and what a million calls take."""

    at_once: int
    size: InstanceSize
    course: FleetCourse
    bill: FleetBill


@dataclass(frozen=True, slots=True)
class FleetStudy:
    """What is simulated for each of `levels`."""

    report: SizeReport
    fitted: CallFit
    pattern: CallPattern
    limits: FleetLimits
    levels: Sequence[int]
    prices: Prices | None
    seed: int


def simulate(study: FleetStudy, tell: Callable[[str], None]) -> Iterator[FleetRow]:
    """Yield what becomes of each concurrency. Raises UsageError if simpy is missing."""
    exact = study.pattern.calls() <= EXACT_CALLS
    for at_once in study.levels:
        tell(f"a fleet with {at_once} at once")
        size = size_for(study.fitted, at_once, study.report.subject.workers)
        plan = plan_of(study, at_once, size)
        course = run_exactly(plan, study.pattern) if exact else FleetRates(plan).run(study.pattern)
        served = course.calls - course.refused
        yield FleetRow(at_once, size, course, bill_of(course.billed, served, size, study.prices))


def run_exactly(plan: FleetPlan, pattern: CallPattern) -> FleetCourse:
    """Simulate each call. Raises UsageError if simpy is missing."""
    try:
        from simpy import Environment
    except ImportError:
        raise UsageError(NEEDS_SIMPY) from None
    return Fleet(plan, Environment()).run(pattern.arrivals(plan.seed))


def plan_of(study: FleetStudy, at_once: int, size: InstanceSize) -> FleetPlan:
    """Return what a fleet of such instances is simulated with: less than a vCPU makes the CPU part
    of a call longer. Each start takes the median of those that were measured: there are too few of
    them for what this machine was busy with not to be drawn again and again.
    """
    fitted, report = study.fitted, study.report
    serial = fitted.blocked + min(fitted.serial, fitted.cpu) / min(1.0, size.cpu)
    waits = [max(0.0, each - fitted.serial) for each in report.times] or [fitted.wait]
    limits = study.limits
    return FleetPlan(
        at_once,
        serial,
        waits,
        [median(report.starts)],
        limit=limits.instances,
        starts_at_once=limits.at_once,
        starts_a_minute=limits.a_minute,
        seed=study.seed,
    )
