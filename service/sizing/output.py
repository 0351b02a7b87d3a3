"""What `size` prints: text as it comes to be known, or one JSON document in the end."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .findings import size_findings
from .fit import CallFit
from .fleet.fleet_page import fleet_page
from .fleet.simulate import FleetRow, FleetStudy
from .page import advice_text, size_page
from .recommend import SizeAdvice
from .report import SizeReport


def say_size(line: str, *, last: bool = False) -> None:
    """Write what is being done to stderr: over the line before, on a terminal."""
    with suppress(OSError, ValueError):
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\033[K{line}" + "\n" * last)
        else:
            sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


class SizeText:
    """For people: each part is printed as soon as it is there."""

    def measured(self, report: SizeReport, fitted: CallFit | None) -> None:
        """Print the levels and what is to be said of them."""
        if sys.stderr.isatty():
            say_size("", last=True)
        _print(size_page(report, fitted, size_findings(report, fitted)))

    def advised(self, advice: SizeAdvice) -> None:
        """Print what to deploy."""
        _print(advice_text(advice))

    def simulated(self, study: FleetStudy, rows: Sequence[FleetRow]) -> None:
        """Print the fleet at each concurrency."""
        _print("\n" + fleet_page(study, rows))

    def drawn(self, missing: str, file: Path) -> None:
        """Print where a picture is, or why there is none."""
        _print(f"\n{missing or f'picture: {os.path.relpath(file)}'}\n")

    def end(self, exit_code: int) -> None:
        """Nothing is left to be printed."""


class SizeJson(SizeText):
    """For CI: stdout has one document and nothing else."""

    def __init__(self) -> None:
        self._told: dict[str, Any] = {
            "exit_code": 0,
            "report": None,
            "fit": None,
            "findings": [],
            "advice": None,
            "fleet": None,
            "pictures": [],
        }

    def measured(self, report: SizeReport, fitted: CallFit | None) -> None:
        """Keep what was measured, its fit and the findings."""
        self._told["report"] = asdict(report)
        self._told["fit"] = None if fitted is None else asdict(fitted)
        self._told["findings"] = size_findings(report, fitted)

    def advised(self, advice: SizeAdvice) -> None:
        """Keep what to deploy."""
        self._told["advice"] = asdict(advice)

    def simulated(self, study: FleetStudy, rows: Sequence[FleetRow]) -> None:
        """Keep the fleet at each concurrency."""
        pattern = study.pattern
        self._told["fleet"] = {
            "pattern": pattern.name,
            "rate": pattern.most,
            "seconds": pattern.seconds,
            "seed": study.seed,
            "limits": asdict(study.limits),
            "rows": [asdict(row) for row in rows],
        }

    def drawn(self, missing: str, file: Path) -> None:
        """Keep where a picture is."""
        if not missing:
            self._told["pictures"].append(os.path.relpath(file))

    def end(self, exit_code: int) -> None:
        """Print the document; numbers that are none are null."""
        self._told["exit_code"] = exit_code
        _print(json.dumps(_sound(self._told), indent=1, ensure_ascii=False) + "\n")


def _sound(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sound(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_sound(each) for each in value]
    return None if isinstance(value, float) and value != value else value


def _print(text: str) -> None:
    """Write to stdout; nobody may be there to read it any more."""
    with suppress(BrokenPipeError):
        sys.stdout.write(text)
        sys.stdout.flush()
