"""A lock over the threads of this process, and over the processes that are forked from it."""

from __future__ import annotations

import fcntl
import os
import threading
from contextlib import suppress
from types import TracebackType


class ForkLock:
    """Held by one thread of one process at a time. As long as nothing was forked it is a lock of
    threads; from the first fork on, which all of its processes see, it locks a file without a name
    as well. The kernel lets that go if its holder dies.
    """

    def __init__(self) -> None:
        self._threads = threading.RLock()  # a signal's handler may count in the midst of counting
        self._file = -1
        self._watches = False

    def __enter__(self) -> None:
        self._threads.acquire()
        if not self._watches:
            self._watch()
        if self._file >= 0:
            with suppress(OSError):  # a forked process may have closed all its files
                fcntl.lockf(self._file, fcntl.LOCK_EX)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file >= 0:
            with suppress(OSError):
                fcntl.lockf(self._file, fcntl.LOCK_UN)
        self._threads.release()

    def _watch(self) -> None:
        self._watches = True
        os.register_at_fork(
            before=self._before_fork,
            after_in_parent=self._threads.release,
            after_in_child=self._threads.release,
        )

    def _before_fork(self) -> None:
        self._threads.acquire()  # no number is half changed
        if self._file < 0:
            with suppress(OSError):
                self._file = os.memfd_create("fc-metrics")


FORK_LOCK = ForkLock()
