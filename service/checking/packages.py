"""The packages that are deployed: those in the code folder, or those that are only locked."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ..emulator.spec.document import FilePlace
from ..emulator.spec.launch import CONTAINER, kind_of
from .checked import CheckedFunction
from .code_files import is_of_packages
from .finding import CheckFinding
from .wheels import BundledPackage, bundled_packages, installed_tags, misfit_of, tag_fits

PYTHONPATH: FilePlace = ("environmentVariables", "PYTHONPATH")


def package_rows(function: CheckedFunction) -> Iterator[CheckFinding]:
    """Yield what is wrong with the packages."""
    bundled = [*bundled_packages(package_folders(function))]
    if bundled:
        yield from _bundled(function, bundled)
    else:
        yield from _locked_only(function)


def package_folders(function: CheckedFunction) -> list[Path]:
    """Return the folders of the code in which packages are installed and found."""
    inside = [each for each in function.python_path if each is not None]
    if not inside and (function.code.folder / "bootstrap").is_file():
        inside = [function.code.folder / "python"]  # which that of `make bundle` names
    folders = dict.fromkeys((function.code.folder, *inside))
    return [folder for folder in folders if is_of_packages(folder)]


def _bundled(
    function: CheckedFunction, bundled: Sequence[BundledPackage]
) -> Iterator[CheckFinding]:
    wrong: dict[str, list[str]] = {}
    for why, package in misfits(function, bundled):
        wrong.setdefault(why, []).append(f"{package.name} {package.version}")
    for why, names in wrong.items():
        yield function.fault(
            "packages",
            PYTHONPATH,
            f"{why}: {some_of(names)}",
            remedy="`make bundle` takes the wheels of the runtime's Python",
            source="9",
        )
    if not wrong:
        text = f"{len(bundled)} packages beside the code, each for {function.python}"
        yield function.fits("packages", PYTHONPATH, text, source="9")
    yield from _older_than_lock(function, {each.name: each.version for each in bundled})


def misfits(
    function: CheckedFunction, bundled: Iterable[BundledPackage]
) -> Iterator[tuple[str, BundledPackage]]:
    """Yield each package that is not for the function's Python and runtime, after the reason."""
    for package in bundled:
        if why := misfit_of(package.tags, function.python, function.runtime):
            yield why, package


def _older_than_lock(function: CheckedFunction, bundled: dict[str, str]) -> Iterator[CheckFinding]:
    """Yield a warning if the code folder has other versions than the lock."""
    locked = function.lock.versions if function.lock else {}
    other = [
        f"{name} {version} (locked {locked[name]})"
        for name, version in bundled.items()
        if name in locked and locked[name] != version
    ]
    if other:
        yield function.doubt(
            "packages",
            PYTHONPATH,
            f"older or newer than the lock: {some_of(other)}",
            remedy="run `make bundle` again",
        )


# --- what is only locked


def _locked_only(function: CheckedFunction) -> Iterator[CheckFinding]:
    """Yield whether the locked packages are there for the function's Python, as far as those that
    are installed here tell it.
    """
    if function.lock is None or function.python.minor is None:
        return
    compiled = []
    for name in function.lock.versions:
        tags = installed_tags(name)
        if tags and not any(tag_fits(each, function.python.minor) for each in tags):
            compiled.append(name)
    where = function.lock.path.name
    if compiled:
        here = f"3.{sys.version_info.minor}"
        yield function.unknown(
            "packages",
            (),
            f"{some_of(compiled)}: compiled, and here for Python {here} only; whether there is a"
            f" wheel for {function.python}, {_maker(function)} tells",
            where=where,
            source="9",
        )
    else:
        text = f"nothing that is locked is known to have no wheel for {function.python}"
        yield function.fits("packages", (), text, where=where)


def _maker(function: CheckedFunction) -> str:
    return "`make image`" if kind_of(function.props) == CONTAINER else "`make bundle`"


def some_of(names: Sequence[str]) -> str:
    """Return a few of the names, and how many there are more."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{', '.join(names[:5])}{more}"
