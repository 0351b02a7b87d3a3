"""The lines of a start report: what came when, which imports were dear, and what to do."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ..first.import_times import Imported

FIRST_LINE = "Python is there: the service's first line"
ARRIVES = "the first call arrives"

Marks = Mapping[str, float]
"""What the start came to, and when: seconds of the monotonic clock."""

PACKAGES, MODULES, DEAREST = 12, 12, 5
"""How many are listed of each."""

DEAR = 0.005
"""Seconds from which an import of the user's is named: less is not worth a change."""


def report_lines(
    began: float, marks: Marks, imports: Sequence[Imported], cwd: Path
) -> Iterator[str]:
    """Yield the lines of the report of a start that began then."""
    yield from _steps(began, marks)
    packages = _packages(imports)
    total = sum(each.own for each in imports)
    yield f"imports: {len(imports)} modules of {len(packages)} packages, {total * 1000:.1f} ms"
    yield "  `own` is without what a module imports first, `all` with it; milliseconds"
    yield "      own      all  modules  package"
    for name, (own, whole, count) in _dearest_packages(packages):
        yield f"  {_ms(own)}  {_ms(whole)}  {count:7}  {name}"
    yield "      own      all  module"
    for each in sorted(imports, key=lambda each: -each.own)[:MODULES]:
        yield f"  {_ms(each.own)}  {_ms(each.whole)}  {each.name}"
    yield from _advice(imports, cwd)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:7.1f}"


def _steps(began: float, marks: Marks) -> Iterator[str]:
    before = began
    yield "start report: milliseconds since the process began, and of each step"
    yield "       at     step"
    for what, when in sorted(marks.items(), key=lambda each: each[1]):
        # Until somebody calls is no work of the start.
        step = " " * 7 if what == ARRIVES else _ms(when - before)
        yield f"  {_ms(when - began)}  {step}  {what}"
        before = when
    if ARRIVES not in marks:
        yield "  no call came before the stop"


def process_began() -> float:
    """Return when this process began, on the monotonic clock. Linux knows it to 10 ms."""
    with open("/proc/self/stat", encoding="utf-8", errors="replace") as file:
        ticks = int(file.read().rpartition(")")[2].split()[19])
    since_boot = time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic() - (since_boot - ticks / os.sysconf("SC_CLK_TCK"))


def _packages(imports: Iterable[Imported]) -> dict[str, tuple[float, float, int]]:
    """Return the seconds of each package, its own modules' and all in all, and its modules."""
    found: dict[str, tuple[float, float, int]] = {}
    for each in imports:
        name = package_of(each)
        own, whole, count = found.get(name, (0.0, 0.0, 0))
        outermost = all(package_of(parent) != name for parent in _above(each))
        found[name] = (own + each.own, whole + each.whole * outermost, count + 1)
    return found


def package_of(each: Imported) -> str:
    """Return the package of a module; those of Python's own library are one."""
    top = each.name.partition(".")[0]
    return "(Python's library)" if top in sys.stdlib_module_names else top


def _above(each: Imported) -> Iterator[Imported]:
    while each.parent is not None:
        each = each.parent
        yield each


def _dearest_packages(
    packages: Mapping[str, tuple[float, float, int]],
) -> list[tuple[str, tuple[float, float, int]]]:
    return sorted(packages.items(), key=lambda each: -each[1][1])[:PACKAGES]


# --- what to do


def dearest(imports: Iterable[Imported], cwd: Path) -> list[tuple[float, Imported]]:
    """Return the dearest imports of the user's code with their seconds: of a package with all that
    it imports, of a module of the user's own without.
    """
    costs = [
        (each.own if is_of_function(each.file, cwd) else each.whole, each)
        for each in imports
        if is_of_function(each.file, cwd) or is_of_function(each.wanted_by, cwd)
    ]
    dear = [(cost, each) for cost, each in costs if cost >= DEAR]
    return sorted(dear, key=lambda each: -each[0])[:DEAREST]


def is_of_function(file: str, cwd: Path) -> bool:
    """Return whether a file is of the function's own code: below its folder, and not where packages
    are.
    """
    roots = [root for root in sys.path if root and file.startswith(f"{root}/")]
    return max(roots, key=len, default="") == str(cwd) and "/site-packages/" not in file


def _advice(imports: Iterable[Imported], cwd: Path) -> Iterator[str]:
    dear = dearest(imports, cwd)
    if not dear:
        yield f"no import of the function's own takes {DEAR * 1000:.0f} ms: nothing to save there"
        return
    yield "the dearest imports of the function, and what to do"
    for cost, each in dear:
        yield f"  {_ms(cost)}  {each.name} ({_place(each, cwd)}): {_what_to_do(each, cwd)}"


def _place(each: Imported, cwd: Path) -> str:
    if is_of_function(each.file, cwd):
        return os.path.relpath(each.file, cwd)
    return f"{os.path.relpath(each.wanted_by, cwd)} line {each.line}"


def _what_to_do(each: Imported, cwd: Path) -> str:
    if is_of_function(each.file, cwd):
        return "its own lines take this long: do that work in the initializer, or when it is needed"
    return "import it inside of the function that needs it, or take a smaller package"
