"""All rules, in the order in which they are told, and what they say of a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..emulator.spec.document import at
from ..emulator.spec.placed import PlacedSpec
from .access import access_rows
from .asked import asked_rows
from .both_sides import agreement_rows
from .checked import CheckedFunction, position_of
from .containers import container_rows
from .contents import content_rows
from .finding import DOUBT, FAULT, FINDING_LEVELS, CheckFinding
from .many_calls import many_calls_rows
from .network import network_rows
from .packages import package_rows
from .runtimes import runtime_rows
from .sizes import size_rows
from .starts import start_rows
from .syntax import syntax_rows
from .times import time_rows
from .triggers import event_trigger_rows

RuleFamily = Callable[[CheckedFunction], Iterator[CheckFinding]]
"""Yields what its rules say of a function."""

FAMILIES: Sequence[RuleFamily] = (
    runtime_rows,
    container_rows,
    start_rows,
    agreement_rows,
    time_rows,
    size_rows,
    network_rows,
    event_trigger_rows,
    access_rows,
    syntax_rows,
    many_calls_rows,
    asked_rows,
    package_rows,
    content_rows,
)


@dataclass(frozen=True, slots=True)
class FunctionCheck:
    """What was found of one function; the name is "" for what concerns the whole file."""

    name: str
    runtime: str
    findings: Sequence[CheckFinding]


def checked_file(spec: PlacedSpec, folder: Path) -> FunctionCheck:
    """Return what is wrong with a file whatever its functions do."""
    found = []
    for level, told in ((FAULT, spec.faults), (DOUBT, spec.doubts)):
        for place, text in told.items():
            where = position_of(spec.sources, place, folder)
            unread = place[-1:] == ("code",) and text.startswith("is in OSS")
            found.append(CheckFinding(DOUBT if unread else level, "file", text, at(place), where))
    return FunctionCheck("", "", sorted_findings(found))


def checked_function(function: CheckedFunction) -> FunctionCheck:
    """Return what all rules say of a function."""
    found = [finding for rows in FAMILIES for finding in rows(function)]
    return FunctionCheck(function.name, function.runtime, sorted_findings(found))


def sorted_findings(found: Sequence[CheckFinding]) -> list[CheckFinding]:
    """Return findings with the worst first, in their order else."""
    return sorted(found, key=lambda each: FINDING_LEVELS.index(each.level))
