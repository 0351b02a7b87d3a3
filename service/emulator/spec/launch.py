"""What starts an instance of a function (docs/platform.md section 9): the command of a custom
runtime, what an image runs, and for a built-in Python runtime this service.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...names import NAME
from .dockerfile import read_image_file
from .document import section
from .typed import Tell

CUSTOM, CONTAINER, PYTHON = "custom", "custom-container", "python"
"""Kinds of runtimes that are played."""

_PYTHON = re.compile(r"python3(\.\d+)?")
_CODE = re.compile(r"(?<![\w./~-])/code(?![\w.-])")


@dataclass(frozen=True, slots=True)
class Launch:
    """The command, and variables that it needs beside those of the file."""

    command: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)


def kind_of(props: Mapping[str, Any]) -> str:
    """Return which kind of runtime a function has, "" for one that is not played."""
    runtime = props.get("runtime")
    if not isinstance(runtime, str):
        return ""
    if runtime.startswith(CONTAINER):
        return CONTAINER
    if _PYTHON.fullmatch(runtime):
        return PYTHON
    return CUSTOM if re.match(r"custom(\.|\Z)", runtime) else ""


def config_of(props: Mapping[str, Any]) -> str:
    """Return the key under which the command, the port and the health check stand."""
    return "customContainerConfig" if kind_of(props) == CONTAINER else "customRuntimeConfig"


def here(text: str, code: Path) -> str:
    """Return the text with each path below `/code` as it is on this desk."""
    return _CODE.sub(lambda _found: str(code), text)


def launch(props: Mapping[str, Any], code: Path, tell: Tell) -> Launch:
    """Return what starts an instance, and `tell` if it is not what the platform starts."""
    config = section(props, config_of(props))
    if kind_of(props) == PYTHON:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        tell(
            ("runtime",),
            f"{props['runtime']} is played by this service on Python {version}, not by the"
            " platform's own server (docs/from-the-built-in-runtime.md)",
        )
        return _service(props)
    if kind_of(props) == CUSTOM:
        written = [*(config.get("command") or ["/code/bootstrap"]), *(config.get("args") or [])]
        return Launch(tuple(here(part, code) for part in written))
    written = [*(config.get("entrypoint") or []), *(config.get("command") or [])]
    if not written:
        return _image(props, code, tell)
    tell(
        ("customContainerConfig", "image"),
        "is not played: entrypoint and command run on this machine instead",
    )
    return Launch(tuple(here(part, code) for part in written))


def _service(props: Mapping[str, Any]) -> Launch:
    """Return this service, with settings that agree with the function's configuration.

    A built-in runtime runs a hook only if the configuration names it; of an image's hooks the name
    has no meaning.
    """
    hooks = section(props, "instanceLifecycleConfig")
    initializer, pre_stop = section(hooks, "initializer"), section(hooks, "preStop")
    given = {
        "SERVICE_CONCURRENCY": int(props.get("instanceConcurrency", 1)),
        "SERVICE_INITIALIZE_TIMEOUT": _a_little_less(initializer.get("timeout", 3)),
        "SERVICE_DRAIN_TIMEOUT": _a_little_less(pre_stop.get("timeout", 3)),
    }
    if kind_of(props) == PYTHON:
        given["SERVICE_INITIALIZER"] = initializer.get("handler") or "none"
        given["SERVICE_PRE_STOP"] = pre_stop.get("handler") or "none"
    variables = {name: str(value) for name, value in given.items()}
    # -P: a file beside the handler never runs in place of the service.
    return Launch((sys.executable, "-P", "-m", NAME), variables)


def _a_little_less(seconds: float) -> str:
    """Return a time-out of the service, so that its own answer comes before the platform's."""
    return f"{max(0.5, seconds - min(1.0, seconds * 0.1)):g}"


# --- images


def _image(props: Mapping[str, Any], code: Path, tell: Tell) -> Launch:
    """Return what the image runs by itself, as far as it is known here."""
    place = ("customContainerConfig", "image")
    image_file = read_image_file(code / "Dockerfile")
    built = image_file.command if image_file else []
    if built:
        tell(place, "is not played: what the Dockerfile beside the code runs, runs on this machine")
        return Launch(tuple(here(part, code) for part in built))
    tell(
        place,
        "is not played, and what it runs is not known here: this service runs in its place; write"
        " entrypoint or command, or keep its Dockerfile beside the code",
    )
    return _service(props)
