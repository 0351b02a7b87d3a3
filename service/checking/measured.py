"""What a start of the function takes: run in a process of its own, as the service would run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import msgspec

from ..errors import StartError
from ..names import fresh_command

LONGEST_RUN = 300.0
"""Seconds: what the platform gives an initializer at most (docs/platform.md section 8)."""


class Measured(msgspec.Struct, frozen=True):
    """What was measured, on this machine and this Python; times in seconds, memory in MB."""

    python: str
    import_time: float = 0.0
    initialize_time: float | None = None
    """None: the function has no initializer."""
    pre_stop_time: float | None = None
    memory: float = 0.0
    """At its largest: the service, the function, and what its initializer has made."""
    threads: int = 1
    failure: str = ""
    """Why there are no figures, "" if there are."""


def measure(code: Path, variables: Mapping[str, str], *, limit: float = LONGEST_RUN) -> Measured:
    """Run a function's import, initializer and `pre_stop` in a new process, in its folder and with
    its variables. Whatever it does, a result comes back.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    command = fresh_command("check", "--measure")
    try:
        done = subprocess.run(
            command,
            cwd=code,
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=limit,
        )
    except subprocess.TimeoutExpired:
        return Measured(version, failure=f"it took more than {limit:g} s")
    except KeyboardInterrupt:  # which has ended that process, too: all else can be told
        return Measured(version, failure="it was interrupted")
    except OSError as reason:
        return Measured(version, failure=f"no process could be started: {reason.strerror}")
    try:
        return msgspec.json.decode(done.stdout.rpartition(b"\n")[2], type=Measured)
    except (ValueError, msgspec.DecodeError):
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        told = lines[-1] if lines else f"it ended with code {done.returncode}"
        return Measured(version, failure=told[:300])


def end_in_time(limit: float = LONGEST_RUN) -> None:
    """End this process after a time, whatever the function does in it: who measures may be gone."""
    overdue = threading.Timer(limit, os._exit, (1,))
    overdue.daemon = True
    overdue.start()


def measured_text(figures: Measured) -> bytes:
    """Return figures as the process that took them writes them."""
    return json.dumps(msgspec.to_builtins(figures)).encode()


def own_threads() -> int:
    """Return how many threads this process has, those of C code included."""
    return int(_status("Threads"))


def own_memory() -> float:
    """Return the memory in MB that this process has had at its largest."""
    return int(_status("VmHWM").split()[0]) / 1024


def _status(name: str) -> str:
    try:
        text = Path("/proc/self/status").read_text()
    except OSError:
        raise StartError("--run measures on Linux only: /proc is not here") from None
    return next(line.partition(":")[2] for line in text.splitlines() if line.startswith(name))
