"""A server process's link to the process that watches the files."""

from __future__ import annotations

import os
import queue
import signal
import socket
import threading

from .child import LOADED, SERVES


class Link:
    """Asks for the listening socket, says when it serves, and ends this process if the other one
    is gone, however it went.
    """

    def __init__(self, descriptor: int) -> None:
        self._control = socket.socket(fileno=descriptor)
        self._control.set_inheritable(False)
        self._given: queue.SimpleQueue[socket.socket] = queue.SimpleQueue()
        threading.Thread(target=self._listen, name="reload", daemon=True).start()

    def listening_socket(self) -> socket.socket:
        """Return the socket to serve on. It comes after the import: no process that the function
        starts there holds it.
        """
        self._control.send(LOADED)
        return self._given.get()

    def tell_serving(self) -> None:
        """Say that this process serves: the one before it may go."""
        self._control.send(SERVES)

    def _listen(self) -> None:
        while True:
            _, descriptors, _, _ = socket.recv_fds(self._control, 1, 1)
            if not descriptors:
                os.kill(os.getpid(), signal.SIGTERM)
                return
            self._given.put(socket.socket(fileno=descriptors[0]))
