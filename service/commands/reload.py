"""`--reload`: a changed file is served at once, and calls in flight finish on the old code."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from ..errors import StartError
from ..process.signals import SIGNALS


class Child:
    """One server process on the shared socket, and the pipe on which it says that it serves."""

    def __init__(self, sock: socket.socket, arguments: Sequence[str]) -> None:
        self._ready, ready = os.pipe()
        alive, self._alive = os.pipe()
        given = (sock.fileno(), ready, alive)
        own = [
            f"--{name}={fd}" for name, fd in zip(("socket", "ready", "alive"), given, strict=True)
        ]
        kept = [argument for argument in arguments if argument != "--reload"]
        # Byte code counts as up to date by its source's size and second: a file that is saved twice
        # within one would be served as it was before.
        environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "service", *kept, *own], pass_fds=given, env=environ
        )
        os.close(ready)
        os.close(alive)

    def ended(self) -> bool:
        """Return True once the child is gone; its pipe goes with it."""
        if self.process.poll() is not None and self._alive >= 0:
            os.close(self._alive)
            self._alive = -1
        return self._alive < 0

    def serves(self) -> bool:
        """Wait until the child serves, or has failed to start; return which."""
        with os.fdopen(self._ready, "rb") as pipe:
            return bool(pipe.read())

    def stop(self) -> None:
        """Let the child finish its calls and end."""
        if not self.ended():
            self.process.send_signal(signal.SIGTERM)


def end_with_parent(alive: int) -> None:
    """End this process as SIGTERM does when the supervisor is gone, however it went."""

    def wait() -> None:
        os.read(alive, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent", daemon=True).start()


def supervise(sock: socket.socket, arguments: Sequence[str], cwd: Path) -> int:
    """Serve with a child process, and with a new one after each change, until a signal. Returns the
    exit code.
    """
    try:
        from watchfiles import PythonFilter, watch  # the `reload` extra
    except ImportError as reason:
        raise StartError(
            "--reload needs watchfiles: run `make dev`, or install the extra `reload`"
        ) from reason
    ended = threading.Event()
    children: list[Child] = []

    def kill(_number: signal.Signals) -> None:
        for child in children:
            child.process.kill()

    with SIGNALS.told(lambda _: ended.set(), kill):
        # Not waited for: a file that changes as soon as it serves must find us watching.
        children = [Child(sock, arguments)]
        changes = watch(
            cwd,
            watch_filter=PythonFilter(extra_extensions=(".toml",)),
            debounce=100,
            step=20,
            stop_event=ended,
            raise_interrupt=False,
        )
        for _ in changes:
            children = _replace(children, Child(sock, arguments))
        for child in children:
            child.stop()
        return max(child.process.wait() for child in children)


def _replace(children: list[Child], new: Child) -> list[Child]:
    """Retire the old children once the new one serves; a broken file leaves the old code
    serving.
    """
    if not new.serves():
        new.process.wait()
        new.ended()
        return children
    for child in children:
        child.stop()
    return [*(child for child in children if not child.ended()), new]
