"""One server process, as the process that watches the files knows it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from ...names import fresh_command

LOADED, SERVES, CHILD_ENDED = b"L", b"S", b"E"
"""What a child tells: its module is imported, and it wants the socket; it serves; it is gone."""

HeardFrom = Callable[["Child", bytes], None]


class Child:
    """A server process, and the processes that it starts: these end with it. `told` is called from
    threads with what it tells, and with CHILD_ENDED once it is gone.
    """

    def __init__(self, arguments: Sequence[str], told: HeardFrom) -> None:
        self._told = told
        self._control, theirs = socket.socketpair()
        with theirs:
            kept = [argument for argument in arguments if argument != "--reload"]
            # Byte code counts as up to date by its source's size and second: a file that is saved
            # twice within one would be served as it was before.
            environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
            self.process = subprocess.Popen(
                fresh_command(*kept, f"--control={theirs.fileno()}"),
                pass_fds=[theirs.fileno()],
                env=environ,
                # A group of its own. A Ctrl-C at the terminal is for the process that watches: it
                # passes the stop on.
                start_new_session=True,
            )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        threading.Thread(target=self._wait, daemon=True).start()

    def give(self, sock: socket.socket) -> None:
        """Let the child serve on this socket."""
        with suppress(OSError):  # it is gone, and says so
            socket.send_fds(self._control, [b"."], [sock.fileno()])

    def stop(self) -> None:
        """Let the child finish its calls and end."""
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the child at once, and what it has started."""
        if self.process.poll() is None:
            self._kill_group()

    def how_it_ended(self) -> str:
        """Return what its exit code says, for a message."""
        code = self.process.wait()
        if code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def _listen(self) -> None:
        with suppress(OSError):
            while word := self._control.recv(1):
                self._told(self, word)

    def _kill_group(self) -> None:
        with suppress(OSError):  # nobody is left in it
            os.killpg(self.process.pid, signal.SIGKILL)

    def _wait(self) -> None:
        with suppress(ChildProcessError):  # who asked how it ended was told
            os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)
        # A pool outlives a process that was killed, and waits for ever with the old code. The
        # process's number is nobody else's until it is waited for.
        self._kill_group()
        self.process.wait()
        # What left the group may hold the other end: without this, `_listen` waits for it. What is
        # on its way is read before.
        with suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        self._listener.join()
        self._control.close()
        self._told(self, CHILD_ENDED)
