"""Ctrl-C and SIGTERM: what was measured is kept and told, and the exit code says which it was."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SAME_STOP = 0.5
"""Seconds in which a second signal is taken for the first one's echo: `timeout` sends two."""


class SizeStopped(KeyboardInterrupt):
    """What was under way is left, by way of its `finally`."""


class SizeStop:
    """Hears of the first signal; the second ends the process."""

    def __init__(self) -> None:
        self.number = 0
        """The signal that came, 0 for none."""
        self.cancel: Callable[[], object] | None = None
        """What is done at a signal in place of raising SizeStopped."""
        self._at = 0.0

    @property
    def exit_code(self) -> int:
        """130 after SIGINT, 143 after SIGTERM, 0 after none."""
        return 128 + self.number if self.number else 0

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Within this the signals are heard, if this is the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            number: signal.signal(number, self._on_signal)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.number:
            if time.monotonic() - self._at >= SAME_STOP:
                os._exit(128 + number)
            return
        self.number, self._at = number, time.monotonic()
        if self.cancel is None:
            raise SizeStopped
        self.cancel()
