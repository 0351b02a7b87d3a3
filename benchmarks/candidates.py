"""Who takes part in `faults.py`, and how each is started: as its documentation has it for use, with
room for 200 calls at once.

Where a case is about a server's timers, `Case.patience` is given to each that has a setting for it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from tests.system.instance import AT_ONCE, HANDLERS, OURS, STOCK, Candidate, Case

SOURCES = Path(__file__).parent / "contenders"


@dataclass(frozen=True)
class Entry:
    """A candidate with its title, the distributions whose versions count, and its note."""

    candidate: Candidate
    title: str
    packages: tuple[str, ...]
    note: str
    idle: float
    """The least seconds that its keep-alive timer can be set to; 0 where it has none."""

    def versions(self) -> str:
        """Return what was run."""
        return ", ".join(f"{name} {metadata.version(name)}" for name in self.packages)


def _files(adapter: str) -> dict[str, Path]:
    return {"index.py": HANDLERS / "ledgered.py", adapter: SOURCES / adapter}


def _module(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", name, *arguments]


def _when(option: str, seconds: float | None) -> list[str]:
    return [] if seconds is None else [option, str(math.ceil(seconds))]


def _uvicorn(case: Case) -> Sequence[str]:
    address = ("--host", "127.0.0.1", "--port", str(case.port))
    workers = ("--workers", str(case.workers)) if case.workers > 1 else ()
    idle = _when("--timeout-keep-alive", case.patience)
    return _module("uvicorn", "faults_fastapi:app", *address, *workers, *idle)


def _gunicorn(case: Case) -> Sequence[str]:
    threads = ("--worker-class", "gthread", "--threads", str(AT_ONCE))
    workers = ("--workers", str(case.workers))
    address = ("--bind", f"127.0.0.1:{case.port}")
    idle = _when("--keep-alive", case.patience)
    return _module("gunicorn", "faults_flask:app", *address, *threads, *workers, *idle)


def _framework(case: Case) -> Sequence[str]:
    # It has no setting for its timers, and takes these two from the environment.
    room = ("env", f"WORKERS={case.workers}", f"THREADS={AT_ONCE}")
    source = ("--source", "faults_framework.py", "--target", "invoke")
    address = ("--host", "127.0.0.1", "--port", str(case.port))
    return [*room, *_module("functions_framework", *source, *address)]


def _candidate(name: str, command: Callable[[Case], Sequence[str]], adapter: str) -> Candidate:
    return Candidate(name, command, _files(adapter))


ENTRIES = [
    Entry(OURS, "fc-event-service", ("fc-event-service", "aiohttp"), "--concurrency 200", 0),
    Entry(
        STOCK,
        "aiohttp",
        ("aiohttp",),
        "web.run_app; two processes by reuse_port; client_max_size raised to take the bodies",
        0.2,
    ),
    Entry(
        _candidate("fastapi", _uvicorn, "faults_fastapi.py"),
        "FastAPI on uvicorn",
        ("fastapi", "uvicorn"),
        "uvicorn's defaults",
        1,
    ),
    Entry(
        _candidate("flask", _gunicorn, "faults_flask.py"),
        "Flask on gunicorn",
        ("flask", "gunicorn"),
        "gthread, 200 threads",
        1,
    ),
    Entry(
        _candidate("framework", _framework, "faults_framework.py"),
        "functions-framework",
        ("functions-framework", "gunicorn"),
        "its gunicorn, THREADS=200",
        2,
    ),
]
