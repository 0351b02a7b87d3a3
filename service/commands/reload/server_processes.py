"""Which server process serves, which one is to follow, and what happens when one ends."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Protocol

from ...errors import StartError
from .child import CHILD_ENDED, LOADED, SERVES

BRIEF = 5.0
"""Seconds: a process that served for less has most likely a fault that the next one has, too."""

BRIEF_ENDS = 3
"""So many processes in a row that served briefly are enough: the next waits for a change."""


class ServerProcess(Protocol):
    """What is asked of a server process."""

    def give(self, sock: socket.socket) -> None:
        """Let it serve on this socket."""

    def stop(self) -> None:
        """Let it finish its calls and end."""

    def kill(self) -> None:
        """End it at once."""

    def how_it_ended(self) -> str:
        """Say how it ended."""


class ClosablePort(Protocol):
    """The port. While nobody serves it is closed: a client is refused, and does not hang."""

    def open(self) -> socket.socket:
        """Return the listening socket. Raises StartError if the port cannot be had."""

    def close(self) -> None:
        """Refuse connections."""


class ServerProcesses:
    """The server processes, each with the code as it was when it started.

    One serves, one may be about to follow it, and others finish their calls. Each is asked to stop
    once: a second signal would end its calls.
    """

    def __init__(
        self,
        start: Callable[[], ServerProcess],
        port: ClosablePort,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._start = start
        self._port = port
        self._say = say
        self._serving: ServerProcess | None = None
        self._coming: ServerProcess | None = None
        self._coming_has_port = False
        self._leaving: set[ServerProcess] = set()
        self._stopping = False
        self._clock = clock
        self._serves_since = 0.0
        self._brief_ends = 0

    @property
    def ended(self) -> bool:
        """True once a stop was asked for, and no process is left."""
        return self._stopping and not (self._serving or self._coming or self._leaving)

    @property
    def waits(self) -> bool:
        """True while a process is about to serve and does not yet."""
        return self._coming is not None

    def renew(self) -> None:
        """Start a process with the code as it is now. One that was still on its way is ended."""
        self._brief_ends = 0
        self._begin()

    def _begin(self) -> None:
        if self._stopping:
            return
        self._give_up_coming()
        try:
            self._coming, self._coming_has_port = self._start(), False
        except OSError as reason:
            self._say(f"no server process can be started: {reason.strerror}")
            if self._serving is None:
                self._port.close()

    def told(self, process: ServerProcess, word: bytes) -> None:
        """Heed what a process tells."""
        if word == CHILD_ENDED:
            self._after(process)
        elif process is self._coming and word == LOADED:
            self._open_for(process)
        elif process is self._coming and word == SERVES:
            self._retire()
            self._take_for_serving(process)

    def stop(self) -> None:
        """Let calls in flight finish, and start nothing more."""
        self._stopping = True
        self._give_up_coming()
        self._retire()

    def kill(self) -> None:
        """End every process at once."""
        for process in (self._serving, self._coming, *self._leaving):
            if process is not None:
                process.kill()

    def _give_up_coming(self) -> None:
        """Let the process that was to follow end: it serves if it has the port, and its word of
        that is on its way. If nothing else serves, it is kept: what follows may not start. Without
        the port it has no calls, and its import may never end.
        """
        if self._coming is None:
            return
        if self._coming_has_port and self._serving is None:
            self._take_for_serving(self._coming)
            return
        if self._coming_has_port:
            self._coming.stop()
        else:
            self._coming.kill()
        self._leaving.add(self._coming)
        self._coming = None

    def _take_for_serving(self, process: ServerProcess) -> None:
        self._serving, self._coming = process, None
        self._serves_since = self._clock()

    def _open_for(self, process: ServerProcess) -> None:
        try:
            process.give(self._port.open())
            self._coming_has_port = True
        except StartError as reason:
            self._say(str(reason))
            process.kill()

    def _retire(self) -> None:
        if self._serving is not None:
            self._serving.stop()
            self._leaving.add(self._serving)
            self._serving = None

    def _after(self, process: ServerProcess) -> None:
        """Do what follows from a process's end."""
        self._leaving.discard(process)
        if process is self._coming:
            self._coming = None
            if self._stopping:
                return
            if self._serving is None:
                self._port.close()
                self._say("nothing is served until a file changes: the start failed")
            else:
                self._say("the code from before the change is served: the new one does not start")
        elif process is self._serving:
            self._serving = None
            self._replace(process)

    def _replace(self, ended: ServerProcess) -> None:
        """Start another process, unless those before it served briefly, one after the other."""
        brief = self._clock() - self._serves_since < BRIEF
        self._brief_ends = self._brief_ends + 1 if brief else 0
        how = f"the server process {ended.how_it_ended()}"
        if self._coming is None and self._brief_ends >= BRIEF_ENDS:
            self._port.close()
            self._say(f"{how} soon after its start, again: nothing is served until a file changes")
            return
        self._say(f"{how}: another one is started")
        if self._coming is None:
            self._begin()
