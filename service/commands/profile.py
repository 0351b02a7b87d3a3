"""Flame graphs of the handler: of the one call of `invoke`, or of an instance under load.

Imported before the function's folder, in which a file could have a package's name, is on the path.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from contextvars import Context
from pathlib import Path

import msgspec
from aiohttp import web

from ..errors import UsageError
from ..instance.assembly import SERVICE
from ..settings.load import Loaded

try:
    from ..profiling.profile import CallProfile, TellEnd
except ModuleNotFoundError as _missing:
    raise UsageError(
        "a profile needs pyinstrument: install the extra `profile` (Python 3.11 to 3.14)"
        if _missing.name == "pyinstrument"
        else str(_missing)
    ) from None

ONE_CALL, UNDER_LOAD = 0.001, 0.005
"""Seconds between two looks."""


def profile_of_one(cwd: Path, file: str) -> CallProfile:
    """Return the profile of one call, whose end is told on stderr."""

    def tell(_level: str, line: str) -> None:
        with suppress(OSError):
            os.write(2, f"{line}\n".encode())

    return CallProfile(cwd, cwd / file, ONE_CALL, tell)


def profile_of_load(loaded: Loaded, cwd: Path, tell: TellEnd) -> CallProfile:
    """Return the profile of an instance's calls, for as long as is set."""
    settings = loaded.settings
    # Instances that share a mounted folder have the same process ids.
    instance = re.sub(r"[^\w-]", "", loaded.platform.instance_id)
    name = "-".join(filter(None, ("profile", instance, str(os.getpid()))))
    file = cwd / settings.profile_folder / f"{name}.svg"
    return CallProfile(cwd, file, UNDER_LOAD, tell, settings.profile_calls)


def on_visible_loop(loaded: Loaded) -> Loaded:
    """Return the settings with asyncio's own event loop, unless uvloop is asked for by name: what
    that does between two turns of a task is C code, of which a profiler sees nothing.
    """
    if loaded.settings.loop != "auto":
        return loaded
    settings = msgspec.structs.replace(loaded.settings, loop="asyncio")
    return msgspec.structs.replace(loaded, settings=settings)


def finish_with(app: web.Application, profile: CallProfile) -> None:
    """Let the profile end when the drain begins, if it has not ended by then: nobody knows how much
    time there is.
    """

    async def watched(_app: web.Application) -> AsyncIterator[None]:
        watching = asyncio.ensure_future(_finish_at_drain(app, profile))
        yield
        watching.cancel()
        profile.finish()

    app.cleanup_ctx.append(watched)


async def _finish_at_drain(app: web.Application, profile: CallProfile) -> None:
    await app[SERVICE].lifecycle.draining.wait()
    Context().run(threading.Thread(target=profile.finish, daemon=True).start)
