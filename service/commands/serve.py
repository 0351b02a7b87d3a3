"""`python -m service serve`: one process, one worker of several, or anew after each change."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from aiohttp import web
from msgspec.structs import replace

from ..app import assemble_app
from ..calls.function import Handlers
from ..errors import UsageError
from ..instance.duties import Ask, alone
from ..logs.log import Logs
from ..process.checks import check_leftovers, check_start
from ..process.patches import heed_stops
from ..process.serve import listen, serve
from ..protocol import INITED
from ..settings.load import Loaded
from ..workers.shares import how_many, share
from .banner import banner_lines
from .handlers import load_handlers, logged, silent
from .parser import add_settings


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `serve`."""
    parser.add_argument(
        "--reload",
        action="store_true",
        help="for work at the desk: serve changed .py and .toml files at once",
    )
    parser.add_argument(
        "--start-report",
        action="store_true",
        help="tell what the start took until the first answer, and which imports are dear",
    )
    parser.add_argument("--control", type=int, help=argparse.SUPPRESS)
    add_settings(parser)


def serve_function(
    loaded: Loaded, flags: argparse.Namespace, arguments: Sequence[str], cwd: Path
) -> int:
    """Serve in the way that the flags and settings name; return the exit code. Raises StartError
    and UsageError.
    """
    heed_stops()
    workers = how_many(loaded.settings)
    if workers > 1 and (flags.reload or flags.control is not None):
        raise UsageError("--reload serves with one worker: leave it out, or say --workers 1")
    if flags.start_report and (flags.reload or flags.control is not None):
        raise UsageError("--start-report tells of a start as on an instance: leave out --reload")
    report = begin_report(cwd) if flags.start_report else None
    if flags.reload:
        check_leftovers(os.environ, "--reload")
        from .reload.supervise import supervise  # for the desk: no other start waits for it

        return supervise(loaded.settings, arguments, cwd)
    if workers > 1:
        from ..workers.start import serve_by_workers

        check_start(loaded.settings, os.environ)
        return serve_by_workers(
            workers, loaded.settings, lambda worker: serve_with_others(loaded, cwd, worker, report)
        )
    if flags.control is not None:
        return serve_for_reload(loaded, cwd, flags.control)
    return serve_alone(loaded, cwd, report)


def serve_alone(loaded: Loaded, cwd: Path, report: Any = None) -> int:
    """Be the only process; return the exit code."""
    check_start(loaded.settings, os.environ)
    with logged(loaded.settings, 1) as logs:
        profile = begin_profile(loaded, cwd, logs)
        handlers = load_handlers(loaded, cwd)
        sock = listen(loaded.settings)
        app = make_app(loaded, handlers, logs, profile)

        def announce(url: str) -> None:
            logs.marker(INITED)
            logs.banner(banner_lines(loaded, handlers, url))

        return serve(app, sock, report.watch(app, announce) if report else announce)


def serve_for_reload(loaded: Loaded, cwd: Path, control: int) -> int:
    """Serve on the socket of the process that watches the files, as long as that one lives; return
    the exit code. `control` is the file descriptor that leads there.
    """
    from .reload.link import Link

    link = Link(control)
    check_start(loaded.settings, os.environ)
    with logged(loaded.settings, 1) as logs:
        profile = begin_profile(loaded, cwd, logs)
        handlers = load_handlers(loaded, cwd)
        sock = link.listening_socket()
        app = make_app(loaded, handlers, logs, profile)

        def announce(url: str) -> None:
            logs.marker(INITED)
            logs.banner(banner_lines(loaded, handlers, url))
            link.tell_serving()

        return serve(app, sock, announce)


def serve_with_others(loaded: Loaded, cwd: Path, worker: Any, report: Any = None) -> int:
    """Be one worker of several, whose WorkerShare is `worker`; return the exit code."""
    mine = share(loaded.settings, worker.place, worker.number)
    worker.share_metrics()
    with logged(mine, 1) as logs:
        profile = begin_profile(loaded, cwd, logs)
        # All load the same module: what there is to warn of is told by the first one.
        with silent() if worker.place else nullcontext():
            handlers = load_handlers(loaded, cwd)
        peers = worker.peers(mine)
        app = make_app(replace(loaded, settings=mine), handlers, logs, profile, peers.ask)
        worker.join(app, peers)

        def announce(url: str) -> None:
            worker.serves(banner_lines(loaded, handlers, url, worker.number))

        announced = report.watch(app, announce) if report else announce
        return serve(app, worker.sock, announced, worker.listener)


def begin_report(cwd: Path) -> Any:
    """Return the StartReport of this process, or of several workers; it is asked for."""
    from .start_report import StartReport

    return StartReport(cwd)


def begin_profile(loaded: Loaded, cwd: Path, logs: Logs) -> Any:
    """Return the CallProfile that is asked for, or None. Raises UsageError if it cannot be made.
    Called before the function is loaded.
    """
    if not loaded.settings.profile_calls:
        return None
    from .profile import profile_of_load

    return profile_of_load(loaded, cwd, logs.line)


def make_app(
    loaded: Loaded, handlers: Handlers, logs: Logs, profile: Any, ask: Ask = alone
) -> web.Application:
    """Return the application that serves the handlers. `profile` looks at the calls, if there is
    one.
    """
    if profile is None:
        return assemble_app(loaded.settings, loaded.platform, handlers, logs, ask)
    from .profile import finish_with, on_visible_loop

    settings = on_visible_loop(loaded).settings
    app = assemble_app(settings, loaded.platform, profile.around(handlers), logs, ask)
    finish_with(app, profile)
    return app
