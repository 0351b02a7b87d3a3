"""The process that `check --run` measures: it loads the function and runs its hooks, once."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from ..app import assemble_app
from ..checking.measured import Measured, end_in_time, measured_text, own_memory, own_threads
from ..errors import ServiceError, text_of
from ..instance.assembly import SERVICE, Service
from ..process.loop import new_loop
from ..settings.load import load_settings
from .handlers import load_handlers, logged
from .result import keep_stdout, write_result


def measure_here(cwd: Path) -> int:
    """Load the function, run its hooks, and write what they took; return the exit code. Raises
    StartError.
    """
    end_in_time()
    result_to = keep_stdout()
    began = time.monotonic()
    loaded = load_settings({}, os.environ, cwd)
    with logged(loaded.settings, 2) as logs:
        handlers = load_handlers(loaded, cwd)
        took = time.monotonic() - began
        app = assemble_app(loaded.settings, loaded.platform, handlers, logs)
        with asyncio.Runner(loop_factory=lambda: new_loop(loaded.settings.loop)) as runner:
            figures = runner.run(_hooks_measured(app[SERVICE], took))
    write_result(measured_text(figures), result_to)
    return 0


async def _hooks_measured(service: Service, import_time: float) -> Measured:
    """Run the hooks, and return what they take. A failure is part of the figures."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    began = time.monotonic()
    try:
        await service.lifecycle.initialized()
    except ServiceError as reason:
        return Measured(version, failure=f"the initializer fails: {text_of(reason)}")
    initialized = time.monotonic()
    memory, threads = own_memory(), own_threads() - 1  # without the one that ends it in time
    failure = ""
    try:
        await service.lifecycle.stop()
    except ServiceError as reason:
        failure = f"pre_stop fails: {text_of(reason)}"
    return Measured(
        version,
        import_time,
        initialized - began if service.handlers.initializer else None,
        time.monotonic() - initialized if service.handlers.pre_stop else None,
        memory,
        threads,
        failure,
    )
