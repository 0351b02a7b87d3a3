"""The report that a measurement begins with: an empty one, or one to go on with."""

from __future__ import annotations

import os
import time
from dataclasses import replace

from ..emulator.spec.model import DeployedFunction
from ..errors import UsageError
from .measuring.subject import deployed_size, subject_of
from .report import SizeReport, read_report, subject_differences
from .request import SizeRequest, levels_of


def report_to_go_on(request: SizeRequest, function: DeployedFunction) -> SizeReport:
    """Return that of the file if it is wanted and of the same subject, else an empty one. Raises
    UsageError.
    """
    subject, levels = subject_of(function, request.event), levels_of(request)
    fresh = SizeReport(
        subject,
        time.strftime("%Y-%m-%d"),
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        deployed_size(request, function),
        levels,
    )
    if not (request.resume or request.fleet is not None):
        return fresh
    kept = read_report(request.report)
    if kept is None:
        if request.resume:
            raise UsageError(f"--resume: there is no {request.report} to go on with")
        return fresh
    if other := subject_differences(kept.subject, subject):
        if request.resume:
            raise UsageError(
                f"--resume: {request.report} is of another measurement ({'; '.join(other)});"
                " leave --resume out to measure anew"
            )
        return fresh
    wanted = kept.planned if request.levels is None else sorted({*kept.planned, *levels})
    return replace(kept, planned=wanted, deployed=fresh.deployed)
