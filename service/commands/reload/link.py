"""A server process's link to the process that watches the files."""

from __future__ import annotations

import os
import queue
import signal
import socket
import threading
from contextlib import suppress

from .child import LOADED, SERVES


class Link:
    """Asks for the listening socket, says when it serves, and ends this process if the other one
    is gone, however it went.
    """

    def __init__(self, descriptor: int) -> None:
        self._control = socket.socket(fileno=descriptor)
        self._control.set_inheritable(False)
        self._given: queue.SimpleQueue[socket.socket] = queue.SimpleQueue()
        self._may_have_calls = False
        threading.Thread(target=self._listen, name="reload", daemon=True).start()

    def listening_socket(self) -> socket.socket:
        """Return the socket to serve on. It comes after the import: no process that the function
        starts there holds it.
        """
        self._tell(LOADED)
        return self._given.get()

    def tell_serving(self) -> None:
        """Say that this process serves: the one before it may go."""
        self._tell(SERVES)

    def _tell(self, word: bytes) -> None:
        with suppress(OSError):  # the other one is gone, and this process ends
            self._control.send(word)

    def _listen(self) -> None:
        with self._control, suppress(ConnectionResetError):  # it went with words unread
            while received := socket.recv_fds(self._control, 1, 1)[1]:
                sock = socket.socket(fileno=received[0])
                sock.set_inheritable(False)  # as any that is made here
                self._given.put(sock)
                self._may_have_calls = True
        self._end()

    def _end(self) -> None:
        if self._may_have_calls:
            os.kill(os.getpid(), signal.SIGTERM)
        else:  # an import may never end, and catch whatever is raised in it
            os.killpg(os.getpid(), signal.SIGKILL)
