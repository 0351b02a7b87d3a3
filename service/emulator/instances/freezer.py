"""The freeze of an instance that has nothing to do, and the thaw before its next event
(docs/platform.md section 6).
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping

from .health import InstanceHealth
from .proc import ProcessEntry
from .processes import Processes

FRESHLY_USED = 0.1
"""Seconds after which a freeze is looked at again: it may have missed what was just being started.
"""


class Freezer:
    """Stops the processes of one instance where they are, and lets them go on.

    `on_run` is called when they begin to run, or are stopped. A frozen instance is not asked for
    its `health`.
    """

    def __init__(self, on_run: Callable[[], None], health: InstanceHealth | None) -> None:
        self.frozen = False
        self.looked = True
        """Whether all processes were looked for since the last freeze."""
        self._on_run = on_run
        self._health = health
        self._processes: Processes | None = None
        self._since = 0.0

    def watch(self, processes: Processes) -> None:
        """Take the processes, which run."""
        self._processes = processes
        self._on_run()

    def freeze(self) -> None:
        """Stop all processes where they are."""
        if self._processes is None or self.frozen:
            return
        self._processes.signal_all(signal.SIGSTOP)
        self.frozen, self.looked = True, False
        self._since = time.monotonic()
        self._on_run()
        if self._health is not None:
            self._health.pause()

    def thaw(self) -> None:
        """Let the processes go on."""
        if self._processes is None or not self.frozen:
            return
        self._processes.signal_all(signal.SIGCONT)
        self.frozen, self.looked = False, True
        self._on_run()
        if self._health is not None:
            self._health.go_on()

    @property
    def is_unseen(self) -> bool:
        """Say whether the instance has been frozen for a while, and was not looked at since."""
        return self.frozen and not self.looked and time.monotonic() - self._since > FRESHLY_USED

    def look(self, entries: Mapping[int, ProcessEntry]) -> None:
        """Find all processes in a table of now; freeze those that the freeze has missed."""
        if self._processes is None:
            return
        self._processes.look(entries)
        if self.frozen:
            self._processes.signal_strays(signal.SIGSTOP)
            self.looked = not self._processes.unsure
