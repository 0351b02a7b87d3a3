"""The process that watches the files: it starts a server process after each change."""

from __future__ import annotations

import queue
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from ...errors import StartError
from ...process.serve import listen
from ...process.signals import SIGNALS
from ...settings.table import Settings
from ..parser import PROGRAM
from .child import Child
from .server_processes import ServerProcesses

CHILD_PATIENCE = 10.0
"""Seconds that an import may take before a line says that it is waited for."""

LOOK_EVERY = 50
"""Milliseconds after which the watcher looks up, so that its thread can say that it watches."""


class Port:
    """The listening socket, opened and closed again and again with the same port."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sock: socket.socket | None = None

    def open(self) -> socket.socket:
        """Return the listening socket. Raises StartError if the port cannot be had."""
        if self._sock is None:
            self._sock = listen(self._settings)
            port = self._sock.getsockname()[1]
            self._settings = replace(self._settings, port=port)  # 0 took any: it stays the same
        return self._sock

    def close(self) -> None:
        """Refuse connections, those that nobody has accepted too."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None


def supervise(settings: Settings, arguments: Sequence[str], cwd: Path) -> int:
    """Serve with a server process, and with a new one after each change, until a signal. Returns
    the exit code. Raises StartError if the port or watchfiles is missing.
    """
    ended = threading.Event()
    changes = _changes(cwd, ended)
    port = Port(settings)
    port.open()  # before all else: a port that is in use ends the start
    steps: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def start() -> Child:
        return Child(arguments, lambda child, word: steps.put(lambda: servers.told(child, word)))

    servers = ServerProcesses(start, port, _say)
    with SIGNALS.told(lambda _: steps.put(servers.stop), lambda _: servers.kill()):
        watcher = _watch(changes, lambda: steps.put(servers.renew))
        servers.renew()
        _run(steps, servers)
    ended.set()
    watcher.join()
    return 0


def _run(steps: queue.SimpleQueue[Callable[[], None]], servers: ServerProcesses) -> None:
    """Take one step after the other until the end. Who waits for an import is told once."""
    told = False
    while not servers.ended:
        try:
            steps.get(timeout=None if told or not servers.waits else CHILD_PATIENCE)()
        except queue.Empty:
            _say("the import of the function takes long; a change of its files starts it anew")
            told = True
        else:
            told = told and servers.waits


def _say(text: str) -> None:
    print(f"{PROGRAM}: {text}", file=sys.stderr, flush=True)  # noqa: T201


def _changes(cwd: Path, ended: threading.Event) -> Iterable[Any]:
    try:
        from watchfiles import PythonFilter, watch  # the `reload` extra
    except ImportError as reason:
        raise StartError(
            "--reload needs watchfiles: run `make dev`, or install the extra `reload`"
        ) from reason
    wanted = PythonFilter(extra_extensions=(".toml",))
    return watch(
        cwd,
        watch_filter=wanted,
        debounce=100,
        step=20,
        rust_timeout=LOOK_EVERY,
        yield_on_timeout=True,
        stop_event=ended,
        raise_interrupt=False,
    )


def _watch(changes: Iterable[Any], changed: Callable[[], None]) -> threading.Thread:
    """Call `changed` after each change, from a thread that is returned once the files are watched:
    what is imported from then on is imported again when it changes.
    """
    watching = threading.Event()

    def work() -> None:
        for change in changes:
            watching.set()
            if change:
                changed()

    watcher = threading.Thread(target=work, name="watch", daemon=True)
    watcher.start()
    watching.wait()
    return watcher
