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
    """A timer that can be set again and again; the last setting counts."""

    __slots__ = ("_loop", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None

    @property
    def runs(self) -> bool:
        """True while it is set and its time has not come."""
        return self._timer is not None

    def set(self, seconds: float, then: Callable[..., object], *arguments: Any) -> None:
        """Call `then` in so many seconds and SECOND_LOOK, in which what arrived while the process
        was frozen is read, and may set another time.
        """
        self.stop()
        self._timer = self._loop.call_later(seconds, self._look_again, then, arguments)

    def stop(self) -> None:
        """Call nothing."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_again(self, then: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        self._timer = self._loop.call_later(SECOND_LOOK, self._end, then, arguments)

    def _end(self, then: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        self._timer = None
        then(*arguments)
