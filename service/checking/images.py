"""Which Python a function's command gets (docs/platform.md section 9)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from ..emulator.spec.dockerfile import ImageFile
from ..emulator.spec.document import section
from ..emulator.spec.launch import CONTAINER, PYTHON, config_of, kind_of

OWN_PYTHON = {"": 6, ".6": 6}
"""Of the built-in runtime `python3`: 3.6. Others have it in their name."""


@dataclass(frozen=True, slots=True)
class RuntimeImage:
    """A custom runtime: the Python of its PATH, and those in folders of their own, by `minor`."""

    on_path: int | None
    folders: Mapping[int, str] = field(default_factory=dict)
    regions: frozenset[str] = frozenset()
    """Where it was first offered; empty: everywhere."""


IMAGES = {
    "custom": RuntimeImage(7),
    "custom.debian10": RuntimeImage(None, {10: "/var/fc/lang/python3.10/bin"}),
    "custom.debian11": RuntimeImage(None, {12: "/var/fc/lang/python3.12/bin"}),
    "custom.debian12": RuntimeImage(
        11,
        {13: "/var/fc/lang/python3.13/bin"},
        frozenset(
            f"cn-{each}"
            for each in ("hangzhou", "qingdao", "beijing", "zhangjiakou", "huhehaote", "chengdu")
        ),
    ),
}
OLDEST_MINOR, NEWEST_MINOR = 11, 15
"""Pythons that the service runs on, 3.11 to 3.15."""

SERVERS = ("fc-event-service", "flask", "granian", "gunicorn", "hypercorn", "uvicorn")
"""Programs of packages that run on the Python of PATH."""

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LANG = re.compile(r"/var/fc/lang/python3\.(\d+)")
_BUNDLED = re.compile(r"^version=3\.(\d+)$", re.MULTILINE)
"""What the `bootstrap` of `make bundle` says of the Python that its packages are for."""
_NAMED = re.compile(r"python3\.(\d+)\Z")


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python 3 by its minor version; None if it cannot be told, or, with `missing`, if there is
    none: that says why.
    """

    minor: int | None = None
    missing: str = ""

    def __str__(self) -> str:
        return "an unknown Python" if self.minor is None else f"Python 3.{self.minor}"


def interpreter(
    props: Mapping[str, Any], code: Path, image_file: ImageFile | None = None
) -> Interpreter:
    """Return the Python that runs a function; of an image, what its Dockerfile begins with."""
    runtime = str(props.get("runtime", ""))
    if kind_of(props) == PYTHON:
        found = re.fullmatch(r"python3\.(\d+)", runtime)
        return Interpreter(int(found[1]) if found else OWN_PYTHON[""])
    if kind_of(props) == CONTAINER:
        return Interpreter(_of_base(image_file.base if image_file else ""))
    config = section(props, config_of(props))
    command = config.get("command") or ["/code/bootstrap"]
    path = str(section(props, "environmentVariables").get("PATH", SYSTEM_PATH))
    image = IMAGES.get(runtime, RuntimeImage(None))
    return _of_command([str(each) for each in command], path, image, runtime, code)


def _of_command(
    command: Sequence[str], path: str, image: RuntimeImage, runtime: str, code: Path
) -> Interpreter:
    program = PurePosixPath(command[0])
    if found := _LANG.match(command[0]):
        minor = int(found[1])
        if runtime in IMAGES and minor not in image.folders:
            return Interpreter(None, f"{program} is not in {runtime}")
        return Interpreter(minor)
    if program.name in SERVERS and len(program.parts) == 1:
        return _on_path("python3", path, image, runtime, code)
    if not program.name.startswith("python"):
        script = _in_code(program, code)
        return _of_script(script) if script else Interpreter()
    if not program.is_absolute() and len(program.parts) == 1:
        return _on_path(program.name, path, image, runtime, code)
    if str(program.parent) in ("/usr/bin", "/bin") and image.on_path:
        return Interpreter(image.on_path)
    return Interpreter(int(named[1]) if (named := _NAMED.match(program.name)) else None)


def _on_path(name: str, path: str, image: RuntimeImage, runtime: str, code: Path) -> Interpreter:
    """Return what a name without a folder leads to."""
    for folder in path.split(":"):
        if found := _LANG.match(folder):
            return Interpreter(int(found[1]))
        if folder in ("/usr/bin", "/usr/local/bin") and image.on_path:
            named = _NAMED.match(name)
            if not named or int(named[1]) == image.on_path:
                return Interpreter(image.on_path)
        elif folder.startswith("/opt") or _in_code(PurePosixPath(folder, name), code):
            return Interpreter()  # of a layer, or of the function's own
    if runtime not in IMAGES:
        return Interpreter()
    places = " or ".join(f"{folder}/python3" for folder in image.folders.values())
    return Interpreter(None, f"{name} is not on PATH in {runtime}: its Python is {places}")


def _in_code(program: PurePosixPath, code: Path) -> Path | None:
    """Return the file of the code folder that a path names."""
    parts = program.parts
    inside = parts[2:] if parts[:2] == ("/", "code") else () if program.is_absolute() else parts
    file = code.joinpath(*inside)
    return file if inside and file.is_file() else None


def _of_script(file: Path) -> Interpreter:
    """Return the Python that a start script runs, if it says so in its folders' names."""
    try:
        text = file.read_bytes()[:65536].decode("utf-8", errors="replace")
    except OSError:
        return Interpreter()
    found = {int(each) for each in (*_LANG.findall(text), *_BUNDLED.findall(text))}
    return Interpreter(found.pop() if len(found) == 1 else None)


def _of_base(image: str) -> int | None:
    """Return the Python of an official image, or of uv's."""
    found = re.fullmatch(r"(?:\S+/)?(?:python:|uv:python)3\.(\d+)\S*", image)
    return int(found[1]) if found else None
