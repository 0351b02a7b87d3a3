"""The service as an application for aiohttp's own server, and for tests: `create_app`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Middleware

from .app import assemble_app
from .calls.function import PARTS, Handlers
from .calls.loader import load, take
from .errors import ServiceError
from .http.server import WRAP_WHEN_OUT, WhenOut, at_once
from .instance.assembly import SERVICE
from .logs.gathering import GatheringPipe
from .logs.log import Logs
from .process.patches import install
from .settings.load import Loaded, load_settings
from .settings.table import ROWS


def create_app(
    handler: Callable[..., Any] | str,
    *,
    middlewares: Sequence[Middleware] = (),
    **settings: Any,
) -> web.Application:
    """Return the application that serves a function: `web.run_app(create_app(handler))`, or
    pytest-aiohttp's `aiohttp_client(create_app(handler))`.

    `handler` is the function, or its name as in the setting. Each setting may be given by its name
    and wins over the environment and `config/`. The user's middlewares are around the service's
    own: they see each request before it is checked, and each answer with its request id.

    Raises StartError for a handler that cannot be served, UsageError for a value that is not
    allowed, TypeError for a name that is no setting's.
    """
    loaded, handlers = loaded_for(handler, settings)
    logs = Logs(GatheringPipe(1), loaded.settings.log_format)
    app = assemble_app(loaded.settings, loaded.platform, handlers, logs, middlewares=middlewares)
    _log_while_served(app, logs, loaded.settings.log_level)
    app.on_cleanup.insert(0, _stop)
    if WRAP_WHEN_OUT in app:
        _wait_before_answers(app, app[WRAP_WHEN_OUT](at_once))
    return app


def loaded_for(
    handler: Callable[..., Any] | str, settings: dict[str, Any]
) -> tuple[Loaded, Handlers]:
    """Return the settings of this process with those that are given, and what is served with them.

    Raises what `create_app` raises.
    """
    unknown = ", ".join(sorted(settings.keys() - ROWS.keys()))
    if unknown:
        raise TypeError(f"there is no setting {unknown}; docs/settings.md lists them")
    cwd = Path.cwd()
    if isinstance(handler, str):
        settings = settings | {"handler": handler}
    loaded = load_settings(settings, os.environ, cwd)
    hooks = {what: getattr(loaded.settings, what) or "" for what in PARTS}
    if isinstance(handler, str):
        handlers = load(loaded.settings.handlers, cwd, **hooks)
    else:
        handlers = take(handler, cwd, **hooks)
    return loaded, handlers


def _wait_before_answers(app: web.Application, when_out: WhenOut) -> None:
    """Have each answer wait as those of our own server do."""

    async def wait(_request: web.Request, _response: web.StreamResponse) -> None:
        out = asyncio.Event()
        when_out(out.set)
        await out.wait()

    app.on_response_prepare.append(wait)


def _log_while_served(app: web.Application, logs: Logs, level: str) -> None:
    """Have all that calls write be lines of the log, from the start of `app` to its end."""
    changes = ExitStack()

    async def begin(_app: web.Application) -> None:
        changes.callback(logs.pipe.close)
        changes.callback(logs.close)
        changes.callback(install(logs, level))

    async def end(_app: web.Application) -> None:
        changes.close()

    app.on_startup.insert(0, begin)  # what the initializer writes is a line, too
    app.on_cleanup.append(end)


async def _stop(app: web.Application) -> None:
    """Run the user's `pre_stop`, once no call runs any more; its failure is logged there."""
    with suppress(ServiceError):
        await app[SERVICE].lifecycle.stop()
