"""`python -m service serve`: one worker of one or of several."""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import __version__
from ..app import create_app
from ..calls.function import HOOKS, Handlers
from ..calls.loader import load
from ..logs.attribution import inherit_in_threads
from ..logs.capture import route_all
from ..logs.log import Logs
from ..logs.pipe import Sink
from ..process.checks import check_start
from ..process.serve import listen, serve
from ..process.signals import SIGNALS
from ..protocol import INITED
from ..settings import table
from ..settings.table import Loaded
from ..workers.shares import share


def load_handlers(loaded: Loaded, cwd: Path) -> Handlers:
    """Import the user's module. Raises StartError, or Stopped for a stop that the module caught."""
    wanted = loaded.settings
    SIGNALS.guard()
    hooks = {what: getattr(wanted, what) or "" for what in HOOKS}
    handlers = load(wanted.handlers, cwd, **hooks)
    SIGNALS.check()
    return handlers


def _serve(loaded: Loaded, flags: argparse.Namespace, cwd: Path) -> int:
    check_start(loaded.settings, os.environ)
    if flags.alive is not None:
        from .reload import end_with_parent

        end_with_parent(flags.alive)
    logs = Logs(Sink(1), loaded.settings.log_format)
    undo = route_all(logs, loaded.settings.log_level)
    inherit_in_threads()
    try:
        handlers = load_handlers(loaded, cwd)
        sock = (
            socket.socket(fileno=flags.socket)
            if flags.socket is not None
            else listen(loaded.settings)
        )
        app = create_app(loaded.settings, loaded.platform, handlers, logs)
        return serve(app, sock, _announcer(loaded, handlers, logs, flags.ready))
    finally:
        logs.close()
        undo()


def _serve_with_others(loaded: Loaded, cwd: Path, seat: Any) -> int:
    """Be one worker of several; `seat` is its Seat."""
    mine = share(loaded.settings, seat.place, seat.number)
    logs = Logs(Sink(1), mine.log_format)
    undo = route_all(logs, mine.log_level)
    inherit_in_threads()
    try:
        handlers = load_handlers(loaded, cwd)
        peers = seat.peers(mine)
        app = create_app(mine, loaded.platform, handlers, logs, peers.ask)
        seat.join(app, peers)

        def announce(url: str) -> None:
            seat.serves(banner(loaded, handlers, url, seat.number))

        return serve(app, seat.sock, announce, seat.site)
    finally:
        logs.close()
        undo()


def _announcer(
    loaded: Loaded, handlers: Handlers, logs: Logs, ready: int | None
) -> Callable[[str], None]:
    def announce(url: str) -> None:
        logs.marker(INITED)
        for line in banner(loaded, handlers, url):
            logs.marker(line)
        if ready is not None:
            os.write(ready, b"ready\n")
            os.close(ready)

    return announce


def banner(loaded: Loaded, handlers: Handlers, url: str, workers: int = 1) -> list[str]:
    """Return the lines that say what is served, where, with which limits, and how to try it."""
    s, handler = loaded.settings, handlers.handler
    kinds = {
        "async": "async: calls share the event loop",
        "sync": f"plain def: each call has a thread, up to {s.concurrency}",
        "stream": "async generator: its parts are joined into one answer",
    }
    shown = url.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")
    timeout = "the platform's" if s.timeout is None else f"{s.timeout:g} s"
    lines = [
        f"fc-event-service {__version__} serves {handler.name} on {url}",
        f"  handler  {kinds[handler.kind]}",
        f"  limits   {s.concurrency} calls at once, {s.queue} in the queue, time limit {timeout},"
        f" {table.size_text(s.max_body)} an event",
        f'  try      curl -d \'{{"name":"you"}}\' {shown.rstrip("/")}/invoke',
        "  stop     Ctrl-C: calls in flight are finished",
    ]
    hooks = [found.name for what in HOOKS if (found := getattr(handlers, what))]
    if hooks:
        lines.insert(2, f"  hooks    {', '.join(hooks)}")
    if workers > 1:
        lines.insert(-2, f"  workers  {workers} processes, which share these limits")
    return lines
