"""Where the server listens, and what becomes of its connections (docs/platform.md section 1)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from ..emulator.spec.document import section
from ..emulator.spec.launch import PYTHON, kind_of
from ..protocol import HEALTH_PATH, METRICS_PATH
from .checked import CheckedFunction
from .finding import CheckFinding

ANSWERED_PATHS = (HEALTH_PATH, METRICS_PATH)
"""The paths that the service answers with 200 to a GET."""

LEAST_KEPT = 900
"""Seconds that an idle connection has to be kept at least."""
ONLY_HERE = ("127.0.0.1", "localhost", "::1")

KEEP_ALIVE = {
    "gunicorn": (r"--keep-alive(?:\s+|=)(\d+)", 2, "--keep-alive 900"),
    "hypercorn": (r"--keep-alive(?:\s+|=)(\d+)", 5, "--keep-alive 900"),
    "uvicorn": (r"--timeout-keep-alive(?:\s+|=)(\d+)", 5, "--timeout-keep-alive 900"),
}
"""Other servers: how they are told to keep idle connections, for how long they do untold, and what
to add.
"""


def network_rows(function: CheckedFunction) -> Iterator[CheckFinding]:
    """Yield what is wrong with the address, the health check and the connections."""
    yield from _address(function)
    yield from _health(function)
    yield from _connections(function)


def _address(function: CheckedFunction) -> Iterator[CheckFinding]:
    loaded = function.loaded
    if loaded is not None and loaded.settings.host in ONLY_HERE:
        yield function.fault(
            "host",
            ("environmentVariables", "SERVICE_HOST"),
            f"host is {loaded.settings.host} ({loaded.sources['host']}), which the platform does"
            " not reach",
            remedy="leave SERVICE_HOST out: it is 0.0.0.0",
            source="1.3",
        )


def _health(function: CheckedFunction) -> Iterator[CheckFinding]:
    path = section(function.config, "healthCheckConfig").get("httpGetUrl")
    if not path or not function.is_ours:
        return
    key = (function.config_key, "healthCheckConfig", "httpGetUrl")
    if str(path).partition("?")[0] in ANSWERED_PATHS:
        yield function.fits("health", key, f"{path} is answered", source="1.4")
    else:
        yield function.fault(
            "health",
            key,
            f"the service answers {path} with 404: no instance becomes healthy",
            remedy=f"write {HEALTH_PATH}",
            source="1.4",
        )


def _connections(function: CheckedFunction) -> Iterator[CheckFinding]:
    key = (function.config_key,)
    if function.is_ours:
        yield function.fits(
            "keep-alive", key, "the service closes no idle connection", source="1.3"
        )
        return
    if kind_of(function.props) == PYTHON:
        return
    found = other_server(function.command)
    if found is None:
        return
    server, seconds, remedy = found
    if 0 < seconds < LEAST_KEPT:
        yield function.doubt(
            "keep-alive",
            key,
            f"{server} closes a connection that is idle for {seconds} s, and the platform's next"
            " POST on it is a 502 for the caller",
            remedy=f"add {remedy}",
            source="1.3",
        )


def other_server(command: Sequence[str]) -> tuple[str, int, str] | None:
    """Return the server that a command starts, how long it keeps idle connections, in seconds, and
    what to add; None for one that is not known.
    """
    words = [PurePosixPath(word).name for part in command for word in part.split()]
    for server, (pattern, untold, remedy) in KEEP_ALIVE.items():
        if server in words:
            found = re.search(pattern, " ".join(command))
            return server, int(found[1]) if found else untold, remedy
    return None
