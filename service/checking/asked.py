"""What asks for packages, and whether the lock has it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .checked import CheckedFunction
from .finding import CheckFinding
from .lock import AskedPackage, asked_packages, plain_name, project_table


def asked_rows(function: CheckedFunction) -> Iterator[CheckFinding]:
    """Yield what is asked for and is not what is deployed: packages, and the Python."""
    yield from _asked(function)
    yield from _project(function)


def _asked(function: CheckedFunction) -> Iterator[CheckFinding]:
    """Yield what is asked for and is not locked, or in another version."""
    lock = function.lock
    if lock is None:
        return
    stale = False
    for asked in asked_packages(lock.path.parent):
        locked = lock.versions.get(plain_name(asked.name))
        pinned = re.fullmatch(r"===?\s*([^,*\s]+)", asked.versions)
        if locked is not None and (not pinned or pinned[1] == locked):
            continue
        stale = True
        told = f"{asked.name}{asked.versions}"
        if locked is None:
            yield function.fault(
                "lock",
                (),
                f"{told} is asked for and not in {lock.path.name}: it would not be deployed",
                where=_shown(function, asked),
                remedy="run `make lock`",
            )
        else:
            yield function.doubt(
                "lock",
                (),
                f"{told} is asked for, {lock.path.name} has {locked}",
                where=_shown(function, asked),
                remedy="run `make lock`",
            )
    if not stale:
        text = f"has all that is asked for, {len(lock.versions)} packages"
        yield function.fits("lock", (), text, where=lock.path.name)


def _shown(function: CheckedFunction, asked: AskedPackage) -> str:
    place = str(asked.file).removeprefix(f"{function.folder}/")
    return f"{place}:{asked.line}" if asked.line else place


def _project(function: CheckedFunction) -> Iterator[CheckFinding]:
    """Yield a warning if the project asks for another Python."""
    file = function.folder / "pyproject.toml"
    wanted = project_table(file).get("requires-python")
    if not isinstance(wanted, str) or function.python.minor is None:
        return
    minor = function.python.minor
    bounds = re.findall(r"(>=|<=|<|>|~=|==)\s*3\.(\d+)", wanted)
    kept = {
        ">=": lambda n: minor >= n,
        "~=": lambda n: minor >= n,
        ">": lambda n: minor >= n,
        "<": lambda n: minor < n,
        "<=": lambda n: minor <= n,
        "==": lambda n: minor == n,
    }
    if not all(kept[sign](int(number)) for sign, number in bounds):
        yield function.doubt(
            "python",
            (),
            f"requires-python is {wanted!r}, and {function.python} runs it",
            where=file.name,
            remedy="take a runtime with such a Python, or change requires-python",
        )
