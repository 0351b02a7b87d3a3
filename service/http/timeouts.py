"""Time limits for what a client does. A freeze, which makes every timer overdue, uses none up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

SECOND_LOOK = 0.05
"""Seconds between a timer's end and its effect: after a freeze uvloop runs overdue timers before it
reads.
"""


class Timeout:
    """A timer that can be set again and again; the last setting counts.

    `timer` is None unless it runs.
    """

    __slots__ = ("_loop", "timer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.timer: asyncio.TimerHandle | None = None

    def set(self, seconds: float, then: Callable[..., object], *arguments: Any) -> None:
        """Call `then` in so many seconds and SECOND_LOOK, in which what arrived while the process
        was frozen is read, and may set another time.
        """
        self.stop()
        self.timer = self._loop.call_later(seconds, self._look_again, then, arguments)

    def stop(self) -> None:
        """Call nothing."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _look_again(self, then: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        self.timer = self._loop.call_later(SECOND_LOOK, self._end, then, arguments)

    def _end(self, then: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        self.timer = None
        then(*arguments)
