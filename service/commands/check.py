"""`python -m service check`: what of a deployment fits, and what does not."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from ..checking.built import BuiltPackages
from ..checking.checked import CheckedFunction
from ..checking.families import FunctionCheck, checked_file, checked_function
from ..checking.finding import DOUBT, FAULT
from ..checking.lock import read_lock
from ..checking.measured import Measured, measure
from ..checking.report import check_json, check_text, findings_by_level
from ..emulator.spec.model import DeployedFunction
from ..emulator.spec.placed import PlacedFunction, PlacedSpec, read_placed
from ..errors import UsageError
from .result import write_result

LOCK = "requirements.lock"


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `check`."""
    parser.add_argument(
        "--spec", default="s.yaml", metavar="FILE", help="what is deployed [default: s.yaml]"
    )
    parser.add_argument(
        "--code",
        metavar="DIR",
        help="look at this directory or zip in place of each function's `code`",
    )
    parser.add_argument(
        "--built",
        action="store_true",
        help="a package that is not built yet is a fault, as before a deployment",
    )
    parser.add_argument(
        "--function", action="append", default=[], metavar="NAME", help="only this function of it"
    )
    parser.add_argument(
        "--lock",
        metavar="FILE",
        help=f"the packages that are deployed [default: {LOCK} beside the spec]",
    )
    parser.add_argument(
        "--event",
        action="append",
        default=[],
        metavar="FILE",
        help="a file with an event that comes: is it too large? (may be there several times)",
    )
    parser.add_argument(
        "--run",
        action="store_true",
        help="run the function's import, initializer and pre_stop in a process, and measure them",
    )
    parser.add_argument(
        "--strict", action="store_true", help="exit with 1 for a warning as for a fault"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for CI")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)


def check_deployment(flags: argparse.Namespace, cwd: Path) -> int:
    """Print what fits and what does not; return the exit code, 1 for a fault. Raises UsageError."""
    if flags.measure:
        from .measure import measure_here

        return measure_here(cwd)
    path = Path(os.path.normpath(cwd / flags.spec))
    if not path.exists():
        raise UsageError(f"{flags.spec}: there is no such file; --spec FILE names another one")
    checks = _checks(flags, path, cwd)
    told = check_json if flags.json else check_text
    write_result(told(flags.spec, checks).encode())
    numbers = findings_by_level(checks)
    return 1 if numbers[FAULT] or (flags.strict and numbers[DOUBT]) else 0


def _checks(flags: argparse.Namespace, path: Path, cwd: Path) -> list[FunctionCheck]:
    """Return what there is to say of a file and its functions. Raises UsageError."""
    lock = read_lock(cwd / flags.lock if flags.lock else path.parent / LOCK)
    if lock is None and flags.lock:
        raise UsageError(f"--lock {flags.lock}: there is no such file")
    events = [(name, _size(cwd / name, name)) for name in flags.event]
    with BuiltPackages(wants_built=flags.built) as packages:
        spec = read_placed(path, code=_code(flags.code, cwd, packages), code_at=packages.find)
        checks = [checked_file(spec, path.parent)]
        for placed in _chosen(spec, flags.function):
            figures = _measured(placed.deployed) if flags.run else None
            package = packages.of(placed.deployed.code)
            function = CheckedFunction(
                placed, spec.sources, path.parent, lock, figures, events, package
            )
            checks.append(checked_function(function))
    return checks


def _code(said: str | None, cwd: Path, packages: BuiltPackages) -> Path | None:
    """Return the folder that --code names, or what the archive has. Raises UsageError."""
    if said is None or not (cwd / said).is_file():
        return None if said is None else cwd / said
    found = packages.find(cwd / said)
    if isinstance(found, str):
        raise UsageError(f"--code {said}: {found}")
    return found


def _chosen(spec: PlacedSpec, names: Sequence[str]) -> list[PlacedFunction]:
    """Return the functions that are asked for. Raises UsageError for one that there is not."""
    there = [each.deployed.name for each in spec.functions]
    for name in names:
        if name not in there and not spec.faults:
            raise UsageError(f"--function {name}: there are {', '.join(there)}")
    return [each for each in spec.functions if not names or each.deployed.name in names]


def _size(path: Path, name: str) -> int:
    try:
        return path.stat().st_size
    except OSError as reason:
        raise UsageError(f"--event {name}: cannot be read: {reason.strerror}") from None


# --- what a start takes


def _measured(function: DeployedFunction) -> Measured:
    """Return the figures of a function that this service can load."""
    variables = {
        **os.environ,
        **function.environment,
        "FC_FUNCTION_HANDLER": function.handler,
        "FC_FUNCTION_MEMORY_SIZE": str(function.memory),
    }
    for name in ("PATH", "PYTHONPATH"):  # those of the platform lead nowhere here
        variables.pop(name, None)
        if name in os.environ:
            variables[name] = os.environ[name]
    return measure(function.code, variables)
