"""The runtime: whether it is known, where it is offered, and which Python it brings."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..emulator.spec.launch import CONTAINER, PYTHON, kind_of
from ..emulator.spec.schema import component_schema
from .checked import CheckedFunction
from .finding import CheckFinding
from .images import IMAGES, NEWEST_MINOR, OLDEST_MINOR


def runtime_rows(function: CheckedFunction) -> Iterator[CheckFinding]:
    """Yield what is wrong with the runtime, its region, its PATH and its Python."""
    if kind_of(function.props) == PYTHON:
        yield from _built_in(function)
        return
    if kind_of(function.props) == CONTAINER:
        yield from _python(function)
        return
    yield from _known(function)
    yield from _region(function)
    yield from _path(function)
    yield from _python(function)


def _built_in(function: CheckedFunction) -> Iterator[CheckFinding]:
    yield function.doubt(
        "runtime",
        ("runtime",),
        f"{function.runtime} runs the platform's own server, one call at a time, and not this one",
        remedy="docs/from-the-built-in-runtime.md shows the few lines that change",
    )
    if function.placed.deployed.concurrency > 1:
        yield function.doubt(
            "concurrency",
            ("instanceConcurrency",),
            "more than one call at once is for custom runtimes and images",
            remedy="take runtime custom.debian12",
            source="7",
        )


def _known(function: CheckedFunction) -> Iterator[CheckFinding]:
    runtime = function.runtime
    listed = component_schema()["properties"]["runtime"].get("enum", [])
    if runtime in IMAGES or runtime in listed:
        yield function.fits("runtime", ("runtime",), f"{runtime}: {function.python}", source="9")
        return
    remedy = f"there are {', '.join(IMAGES)}"
    if re.fullmatch(r"custom\.debian(1[3-9]|[2-9]\d)", runtime):
        text = f"{runtime} is newer than what is known here"
        yield function.unknown("runtime", ("runtime",), text, source="9")
    else:
        text = f"there is no runtime {runtime}"
        yield function.fault("runtime", ("runtime",), text, remedy=remedy, source="9")


def _region(function: CheckedFunction) -> Iterator[CheckFinding]:
    image, region = IMAGES.get(function.runtime), function.placed.deployed.region
    if image is not None and image.regions and region not in image.regions:
        yield function.doubt(
            "region",
            ("region",),
            f"{function.runtime} was first offered in {', '.join(sorted(image.regions))}; whether"
            f" {region} has it by now, the console tells",
            remedy="take custom.debian11 or an image if it has not",
            source="9",
        )


def _path(function: CheckedFunction) -> Iterator[CheckFinding]:
    path = function.variables.get("PATH")
    if not isinstance(path, str):
        return
    key = ("environmentVariables", "PATH")
    if "$" in path:
        yield function.doubt(
            "PATH",
            key,
            "a $ is taken as it is written: nothing is put in its place",
            remedy="write all folders out",
            source="9",
        )
    elif not {"/usr/bin", "/bin"} & set(path.split(":")):
        yield function.doubt(
            "PATH", key, "has neither /usr/bin nor /bin: no shell is found", remedy="add both"
        )


def _python(function: CheckedFunction) -> Iterator[CheckFinding]:
    python, key = function.python, (function.config_key, "command")
    if python.missing:
        yield function.fault(
            "python", key, python.missing, remedy="write its whole path as the command", source="9"
        )
    if not function.is_ours:
        return
    if python.minor is None:
        if not python.missing:
            yield function.unknown("python", key, "which Python it is cannot be told from the file")
    elif not OLDEST_MINOR <= python.minor <= NEWEST_MINOR:
        yield function.fault(
            "python",
            key,
            f"{python} runs it, and the service needs 3.{OLDEST_MINOR} to 3.{NEWEST_MINOR}",
            remedy="take runtime custom.debian12, or custom.debian11 with its Python 3.12",
            source="9",
        )
    else:
        yield function.fits("python", key, f"{python} runs it", source="9")
