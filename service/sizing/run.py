"""`size` from first to last: what is there already, what is measured, what is shown."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import NamedTuple

from .fit import CallFit, fit
from .fleet.fleet_picture import draw_fleet
from .fleet.patterns import CallPattern, pattern_of
from .fleet.prices import Prices, read_prices
from .fleet.simulate import FleetLimits, FleetRow, FleetStudy, simulate
from .going_on import report_to_go_on
from .measuring.measure import SizeLoad, measure_levels
from .measuring.second_worker import try_workers
from .measuring.subject import sized_function
from .output import SizeJson, SizeText, say_size
from .picture import draw_size
from .recommend import recommend
from .report import SizeReport, write_report
from .request import FleetWish, SizeRequest, check_request
from .stopping import SizeStop, SizeStopped
from .trial import trial_plan


def run_size(request: SizeRequest) -> int:
    """Do what was asked for; return the exit code: 130 or 143 if a signal has ended it.

    Raises UsageError, StartError, and HandlerUnfit for a handler that cannot be measured.
    """
    check_request(request)
    stop, output = SizeStop(), SizeJson() if request.as_json else SizeText()
    with stop.heeded():
        with suppress(SizeStopped):
            _run(request, stop, output)
        output.end(stop.exit_code)
    return stop.exit_code


def _run(request: SizeRequest, stop: SizeStop, output: SizeText) -> None:
    function = sized_function(request)
    fleet = None if request.fleet is None else _fleet_of(request.fleet, request)
    report = report_to_go_on(request, function)
    if report.missing or (request.resume and trial_plan(report).level and not report.trial):
        load = SizeLoad(function, request.event, request.seconds)
        report = _measured(load, report, request, stop)
    if not report.levels:
        say_size("interrupted before anything was measured", last=True)
        return
    fitted: CallFit | None = None
    with suppress(ValueError):  # no call succeeds at any level: the findings say so
        fitted = fit(report.levels)
    output.measured(report, fitted)
    try:
        if fitted is not None:
            _show(report, fitted, request, output)
            if fleet is not None:
                _show_fleet(report, fitted, fleet, request, output)
    finally:
        if stop.number:
            told = f"interrupted: {request.report} has what was measured; --resume goes on"
            say_size(told, last=True)


def _measured(
    load: SizeLoad, report: SizeReport, request: SizeRequest, stop: SizeStop
) -> SizeReport:
    """Return the report with what was measured until the end or a signal."""
    kept = [report]

    def save(so_far: SizeReport) -> None:
        write_report(so_far, request.report)
        kept.append(so_far)

    async def measure() -> None:
        loop, work = asyncio.get_running_loop(), asyncio.current_task()
        assert work is not None

        def cancel() -> None:
            with suppress(RuntimeError):  # the loop is closed: all is measured
                loop.call_soon_threadsafe(work.cancel)

        stop.cancel = cancel
        whole = await measure_levels(load, report, save, tell)
        save(whole)
        await try_workers(load, whole, save, tell)

    def tell(line: str) -> None:
        say_size(f"{load.function.name}: {line}")

    try:
        with suppress(asyncio.CancelledError, SizeStopped):
            asyncio.run(measure())
    finally:
        stop.cancel = None
    return kept[-1]


# --- shown


def _show(report: SizeReport, fitted: CallFit, request: SizeRequest, output: SizeText) -> None:
    advice = recommend(report, fitted, request.p99)
    output.advised(advice)
    picture = request.picture if request.fleet is None else None
    file = picture or request.report.with_suffix(".svg")
    output.drawn(draw_size(report, fitted, advice, file), file)


class FleetInput(NamedTuple):
    """What a fleet is simulated with, read before anything is measured."""

    pattern: CallPattern
    limits: FleetLimits
    prices: Prices | None
    seed: int


def _fleet_of(wish: FleetWish, request: SizeRequest) -> FleetInput:
    """Return it. Raises UsageError for files that cannot be read."""
    return FleetInput(
        pattern_of(wish.pattern, wish.rate, wish.duration, request.folder),
        FleetLimits(wish.max_instances, wish.burst, wish.burst),
        None if wish.prices is None else read_prices(wish.prices),
        wish.seed,
    )


def _show_fleet(
    report: SizeReport,
    fitted: CallFit,
    fleet: FleetInput,
    request: SizeRequest,
    output: SizeText,
) -> None:
    levels = [level.at_once for level in report.levels if not level.broken]
    study = FleetStudy(
        report, fitted, fleet.pattern, fleet.limits, levels, fleet.prices, fleet.seed
    )
    rows: list[FleetRow] = []
    try:
        rows.extend(simulate(study, say_size))
    finally:
        if rows:  # those that were simulated until a signal came, too
            output.simulated(study, rows)
    file = request.picture or request.report.with_name("fleet.svg")
    output.drawn(draw_fleet(study, rows, file), file)
