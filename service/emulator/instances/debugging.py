"""Instances that wait for a debugger: debugpy listens in each, and nothing is short of time.

It is started by a `sitecustomize` on PYTHONPATH, before anything else of the instance's Python: a
function needs no change for it, whatever serves it.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ...errors import UsageError
from ..spec.model import DeployedFunction

NO_LIMIT = 7 * 86_400.0
"""Seconds that stand for no limit: event loops take no infinite ones."""

PORT_VARIABLE = "FC_EMULATOR_DEBUG_PORT"
"""Says to an instance's Python where to listen, 0 for any port."""

DEBUGGEE = Path(__file__).with_name("debuggee.py")

_UNLIMITED = {
    "SERVICE_INITIALIZE_TIMEOUT": "86400",
    "SERVICE_STALL_AFTER": "0",
}
"""Settings of this service that would report or end what stands at a breakpoint."""


class Debugging:
    """Has the instances of all functions debugged: the first one on `port`, others on any."""

    def __init__(self, port: int) -> None:
        """Raises UsageError if debugpy is not installed."""
        if importlib.util.find_spec("debugpy") is None:
            raise UsageError("--debug needs debugpy: run `make dev`, or install the extra `debug`")
        self._ports = itertools.chain((port,), itertools.repeat(0))

    def environment(self, folder: Path, variables: Mapping[str, str]) -> dict[str, str]:
        """Return the variables that an instance has besides; `folder` is its function's own."""
        start = folder / "debug"
        start.mkdir(exist_ok=True)
        text = f"import runpy\n\nrunpy.run_path({str(DEBUGGEE)!r}, run_name='debuggee')\n"
        (start / "sitecustomize.py").write_text(text)
        path = os.pathsep.join(filter(None, (str(start), variables.get("PYTHONPATH"))))
        return {
            **_UNLIMITED,
            PORT_VARIABLE: str(next(self._ports)),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # says nothing of frozen modules of Python's own
            "PYTHONPATH": path,
        }


def unlimited(function: DeployedFunction) -> DeployedFunction:
    """Return a function without time limits and health checks."""
    initializer, pre_stop = function.initializer_timeout, function.pre_stop_timeout
    return replace(
        function,
        timeout=NO_LIMIT,
        health=None,
        initializer_timeout=None if initializer is None else NO_LIMIT,
        pre_stop_timeout=None if pre_stop is None else NO_LIMIT,
    )
