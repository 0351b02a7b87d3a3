"""What wakes a thread for a job."""

from __future__ import annotations

import os
import signal
import weakref


class Bell:
    """Wakes one of the threads that wait, for each time that it is rung.

    A pipe, since writing to it lets go of the interpreter: the thread that wakes up runs at once. A
    lock would wake it while the loop holds the interpreter, and it would wait a second time, for
    that: one switch more between threads at each call (237 to 222 us of CPU time for one that
    sleeps).
    """

    def __init__(self) -> None:
        self._heard, self._rung = os.pipe()
        os.set_blocking(self._rung, False)  # as `set_wakeup_fd` wants it; it is never full
        # Once nobody waits any more, or rings; not at the exit, where threads still wait.
        weakref.finalize(self, _close, self._heard, self._rung).atexit = False

    def ring(self) -> None:
        """Wake a thread, or let the next one that waits go on at once."""
        os.write(self._rung, b"\0")

    def wait(self) -> None:
        """Return once it was rung for this thread."""
        os.read(self._heard, 1)

    def let_signals_ring(self) -> None:
        """Let a signal end a wait of the main thread. One that comes just before the wait begins
        would not end it by itself, and its handler would not run before the next job.
        """
        signal.set_wakeup_fd(self._rung, warn_on_full_buffer=False)

    def let_no_signal_ring(self) -> None:
        """End what `let_signals_ring` began."""
        signal.set_wakeup_fd(-1)


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
