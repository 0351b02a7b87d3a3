"""What a measurement leaves in a file, to be printed anew, gone on with, or simulated."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from ..errors import UsageError
from .level import SizeLevel

REPORT_FORM = 1
"""Of the file; one of another form is not read."""


@dataclass(frozen=True, slots=True)
class SizeSubject:
    """What is measured: two measurements of the same subject can be put together."""

    function: str
    handler: str
    event: str
    """The event's size and digest."""
    workers: int
    python: str


@dataclass(frozen=True, slots=True)
class WorkersTrial:
    """A level that was measured once more, with more workers."""

    workers: int
    level: SizeLevel


@dataclass(frozen=True, slots=True)
class SizeReport:
    """What was measured of one subject; `times` are quantiles of one call's time with nothing
    beside it, `starts` of the cold starts, in seconds.
    """

    subject: SizeSubject
    date: str
    cpus: int
    """CPUs of the machine that measured."""
    deployed: Mapping[str, float]
    """What the file deploys now: `concurrency`, `memory` and `cpu`, 0 if it does not say."""
    planned: Sequence[int]
    levels: Sequence[SizeLevel] = ()
    times: Sequence[float] = ()
    left_out: str = ""
    """Why levels were left out, "" if none were."""
    trial: WorkersTrial | None = None
    """The best level with more workers, if one worker's CPU was its limit."""

    @property
    def missing(self) -> list[int]:
        """The levels that are planned and not measured yet."""
        there = {level.at_once for level in self.levels}
        return [at_once for at_once in self.planned if at_once not in there]

    @property
    def starts(self) -> list[float]:
        """The cold starts, the shortest first."""
        return sorted(level.start for level in self.levels)

    def with_level(self, level: SizeLevel) -> SizeReport:
        """Return the report with one more level."""
        others = (each for each in self.levels if each.at_once != level.at_once)
        return replace(self, levels=sorted((*others, level), key=lambda each: each.at_once))


def write_report(report: SizeReport, path: Path) -> None:
    """Write the file, whole or not at all. Raises UsageError if it cannot be written."""
    text = json.dumps({"form": REPORT_FORM, **asdict(report)}, indent=1)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(f"{text}\n", encoding="utf-8")
        fresh.replace(path)
    except OSError as reason:
        raise UsageError(f"--report {path}: cannot be written: {reason.strerror}") from None


def read_report(path: Path) -> SizeReport | None:
    """Return what a file has, None if there is no such file. Raises UsageError for another one."""
    try:
        said = json.loads(path.read_bytes())
        if said.pop("form") != REPORT_FORM:
            raise ValueError("it is of another version")
        said["subject"] = SizeSubject(**said["subject"])
        said["levels"] = [SizeLevel(**level) for level in said["levels"]]
        if trial := said.get("trial"):
            said["trial"] = WorkersTrial(trial["workers"], SizeLevel(**trial["level"]))
        return SizeReport(**said)
    except FileNotFoundError:
        return None
    except OSError as reason:
        raise UsageError(f"--report {path}: cannot be read: {reason.strerror}") from None
    except (ValueError, LookupError, TypeError, AttributeError) as reason:
        raise UsageError(
            f"--report {path}: is no report of `size` ({reason}): remove it, or name another file"
        ) from None


def subject_differences(one: SizeSubject, other: SizeSubject) -> list[str]:
    """Return in words what two subjects do not have in common."""
    pairs = (
        (each.name, getattr(one, each.name), getattr(other, each.name)) for each in fields(one)
    )
    return [f"{name} {here!r}, not {there!r}" for name, here, there in pairs if here != there]
