"""A lock over the threads of this process, and over the processes that are forked from it."""

from __future__ import annotations

import fcntl
import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress


class ForkLock:
    """Held by one thread of one process at a time. As long as nothing was forked it is a lock of
    threads; from the first fork on, which all of its processes see, it locks a file without a name
    as well. The kernel lets that go if its holder dies.

    A signal's handler or a finalizer may come in the midst of a step, in the same thread: `do` does
    what that one asks for after the step, not within.
    """

    def __init__(self) -> None:
        self._threads = threading.RLock()  # a handler may come while this is taken
        self._holder = 0  # the thread that does steps
        self._steps: deque[Callable[[], None]] = deque()
        self._file = -1
        self._watches = False

    def do(self, step: Callable[[], None]) -> None:
        """Do a step with the lock held: by the time this returns, or after the step that it has
        come in the midst of. If a signal's handler raises meanwhile, the lock is free again.
        """
        self._steps.append(step)
        while self._steps and self._holder != threading.get_ident():
            with self._threads:
                try:
                    self._holder = threading.get_ident()
                    self._lock_file()
                    while self._steps:
                        self._steps.popleft()()
                finally:
                    self._holder = 0
                    self._free_file()

    def _lock_file(self) -> None:
        if not self._watches:
            self._watch()
        if self._file >= 0:
            with suppress(OSError):  # a forked process may have closed all its files
                fcntl.lockf(self._file, fcntl.LOCK_EX)

    def _free_file(self) -> None:
        if self._file >= 0:
            with suppress(OSError):
                fcntl.lockf(self._file, fcntl.LOCK_UN)

    def _watch(self) -> None:
        self._watches = True
        os.register_at_fork(
            before=self._before_fork,
            after_in_parent=self._threads.release,
            after_in_child=self._begin_child,
        )

    def _begin_child(self) -> None:
        self._steps.clear()  # of other threads: the parent does them
        self._threads.release()

    def _before_fork(self) -> None:
        self._threads.acquire()  # no number is half changed
        if self._file < 0:
            with suppress(OSError):
                self._file = os.memfd_create("fc-metrics")


FORK_LOCK = ForkLock()
