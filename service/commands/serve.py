"""`python -m service serve`: one process, one worker of several, or anew after each change."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from aiohttp import web
from msgspec.structs import replace

from ..app import assemble_app
from ..calls.function import Handlers
from ..errors import UsageError
from ..instance.duties import Ask, alone
from ..logs.gathering import GatheringPipe
from ..logs.log import Logs
from ..process.checks import check_leftovers, check_start
from ..process.patches import heed_stops
from ..process.serve import listen, serve
from ..protocol import INITED
from ..settings.flags import add_console_places, add_record_flags
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
    parser.add_argument(
        "--completion",
        choices=("bash", "zsh", "fish", "tcsh"),
        help="print a script that completes this command line in a shell",
    )
    parser.add_argument("--control", type=int, help=argparse.SUPPRESS)
    _add_console_flags(parser)
    add_record_flags(parser)
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
    console = begin_console(loaded, flags, cwd, workers) if flags.console else None
    recording = None if flags.reload else begin_recording(flags, cwd, workers)
    if flags.reload:
        check_leftovers(os.environ, "--reload")
        from .reload.supervise import supervise  # for the desk: no other start waits for it

        return supervise(loaded.settings, arguments, cwd)
    if workers > 1:
        from ..workers.start import serve_by_workers

        check_start(loaded.settings, os.environ)
        return serve_by_workers(
            workers,
            loaded.settings,
            lambda worker: serve_with_others(loaded, cwd, worker, report, recording),
        )
    if flags.control is not None:
        return serve_for_reload(loaded, cwd, flags.control, recording)
    return serve_alone(loaded, cwd, report, recording, console)


def _add_console_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--console",
        action="store_true",
        help="for work at the desk: open a page that shows the calls, and sends some",
    )
    add_console_places(parser, "the service's")


def begin_console(loaded: Loaded, flags: argparse.Namespace, cwd: Path, workers: int) -> Any:
    """Return the ServiceConsole that is asked for. Raises UsageError if there can be none."""
    if workers > 1 or flags.reload or flags.control is not None or flags.record is not None:
        raise UsageError(
            "--console shows one process of its own: leave out --reload and --record, and say"
            " --workers 1"
        )
    try:
        from ..console.places import TOKEN_FILE, console_places
        from ..own_console.listening import ServiceConsole
    except ModuleNotFoundError as missing:  # from what is deployed
        raise UsageError(f"--console: {missing}") from None
    return ServiceConsole(console_places(flags, loaded.settings.port), cwd / TOKEN_FILE)


def serve_alone(
    loaded: Loaded, cwd: Path, report: Any = None, recording: Any = None, console: Any = None
) -> int:
    """Be the only process; return the exit code."""
    recording = recording or console
    check_start(loaded.settings, os.environ)
    with logged(loaded.settings, 1, pipe_of(recording)) as logs:
        profile = begin_profile(loaded, cwd, logs)
        handlers = load_handlers(loaded, cwd)
        sock = listen(loaded.settings)
        app = make_app(loaded, handlers, logs, profile, recording=recording)

        def announce(url: str) -> None:
            logs.marker(INITED)
            logs.banner(banner_lines(loaded, handlers, url))
            if console is not None:
                logs.banner([console.serves(url)])

        return serve(app, sock, report.watch(app, announce) if report else announce)


def serve_for_reload(loaded: Loaded, cwd: Path, control: int, recording: Any = None) -> int:
    """Serve on the socket of the process that watches the files, as long as that one lives; return
    the exit code. `control` is the file descriptor that leads there.
    """
    from .reload.link import Link

    link = Link(control)
    check_start(loaded.settings, os.environ)
    with logged(loaded.settings, 1, pipe_of(recording)) as logs:
        profile = begin_profile(loaded, cwd, logs)
        handlers = load_handlers(loaded, cwd)
        sock = link.listening_socket()
        app = make_app(loaded, handlers, logs, profile, recording=recording)

        def announce(url: str) -> None:
            logs.marker(INITED)
            logs.banner(banner_lines(loaded, handlers, url))
            link.tell_serving()

        return serve(app, sock, announce)


def serve_with_others(
    loaded: Loaded, cwd: Path, worker: Any, report: Any = None, recording: Any = None
) -> int:
    """Be one worker of several, whose WorkerShare is `worker`; return the exit code."""
    mine = share(loaded.settings, worker.place, worker.number)
    worker.share_metrics()
    with logged(mine, 1, pipe_of(recording)) as logs:
        profile = begin_profile(loaded, cwd, logs)
        # All load the same module: what there is to warn of is told by the first one.
        with silent() if worker.place else nullcontext():
            handlers = load_handlers(loaded, cwd)
        peers = worker.peers(mine)
        mine_loaded = replace(loaded, settings=mine)
        app = make_app(mine_loaded, handlers, logs, profile, peers.ask, recording)
        worker.join(app, peers)

        def announce(url: str) -> None:
            worker.serves(banner_lines(loaded, handlers, url, worker.number))

        announced = report.watch(app, announce) if report else announce
        return serve(app, worker.sock, announced, worker.listener)


def begin_report(cwd: Path) -> Any:
    """Return the StartReport of this process, or of several workers; it is asked for."""
    from .start_report import StartReport

    return StartReport(cwd)


def begin_recording(flags: argparse.Namespace, cwd: Path, workers: int) -> Any:
    """Return the ServiceRecording that is asked for, or None."""
    if flags.record is None:
        return None
    from ..recording.of_service import ServiceRecording

    limit, rate = flags.record_bytes, flags.record_rate
    return ServiceRecording(cwd / flags.record, rate=rate, limit=limit, workers=workers)


def pipe_of(recording: Any) -> Callable[[int], GatheringPipe]:
    """Return what makes the pipe of the log."""
    return GatheringPipe if recording is None else recording.pipe


def begin_profile(loaded: Loaded, cwd: Path, logs: Logs) -> Any:
    """Return the CallProfile that is asked for, or None. Raises UsageError if it cannot be made.
    Called before the function is loaded.
    """
    if not loaded.settings.profile_calls:
        return None
    from .profile import profile_of_load

    return profile_of_load(loaded, cwd, logs.line)


def make_app(
    loaded: Loaded,
    handlers: Handlers,
    logs: Logs,
    profile: Any,
    ask: Ask = alone,
    recording: Any = None,
) -> web.Application:
    """Return the application that serves the handlers. `profile` looks at the calls, and
    `recording` records them, if they are there.
    """
    settings, middlewares = loaded.settings, []
    if profile is not None:
        from .profile import finish_with, on_visible_loop

        settings, handlers = on_visible_loop(loaded).settings, profile.around(handlers)
    if recording is not None:
        handlers, middlewares = recording.around(handlers), [recording.ring]
    app = assemble_app(settings, loaded.platform, handlers, logs, ask, middlewares=middlewares)
    if profile is not None:
        finish_with(app, profile)
    if recording is not None:
        recording.join(app)
    return app
