"""Fixtures that more than one test file uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import ServerProcess

Serve = Callable[..., ServerProcess]


@pytest.fixture(params=["uvloop", "asyncio"])
def loop_kind(request: pytest.FixtureRequest) -> str:
    """The event loop under the service."""
    return str(request.param)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts service processes, each with its `index.py` and flags; ends them after the test."""
    processes: list[ServerProcess] = []

    def start(
        source: str, *flags: str, folder: Path | None = None, **options: Any
    ) -> ServerProcess:
        place = folder or tmp_path / f"function-{len(processes)}"
        processes.append(ServerProcess(place, source, *flags, **options))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
