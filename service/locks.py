"""Locks over the threads of one process."""

from __future__ import annotations

import threading
from weakref import WeakSet


class HasLock:
    """Has a lock over the threads of this process. In a process that is forked it is free: the
    thread that held it does not live there.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()  # a signal handler or a finalizer may come in the midst of it
        _ALL.add(self)


_ALL: WeakSet[HasLock] = WeakSet()


def free_locks() -> None:
    """Let nobody hold a lock. Called in a process that was just forked."""
    for each in tuple(_ALL):
        each.lock = threading.RLock()
