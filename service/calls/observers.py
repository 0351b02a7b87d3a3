"""Who is told of each call: when it begins, and what has become of it."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator
from itertools import chain, repeat

from ..context.call import Context
from ..context.record import CallRecord
from .lifecycle import nothing

Observer = Callable[[Context, CallRecord], None]

TOGETHER = 64
"""Calls whose figures are put aside before they are counted together: one of so many is looked at
closer, however short it is.
"""

FIGURES_OF_EACH = 4
"""Figures of a call: the seconds that it took, those of its handler, the event's bytes, the
result's.
"""


def nobody(*_: object) -> None:
    """Do nothing."""


class Observers:
    """Who is told of each call of `/invoke`; nobody, unless a setting asks for it.

    An observer runs on the event loop within the call, and must neither raise nor wait.
    """

    def __init__(self) -> None:
        self.begun: tuple[Observer, ...] = ()
        """Told before the handler: the call's context and record are made."""
        self.ended: tuple[Observer, ...] = ()
        """Told when the answer is made, before the End line and before the answer leaves."""
        self.before_freeze: Callable[[], Awaitable[None]] = nothing
        """Waited for behind the user's `pre_freeze`."""
        self.slow_after = math.inf
        """Seconds from which on a call is slow."""
        self.slow: tuple[Observer, ...] = ()
        """Told of slow calls alone, after all others."""
        self.cold_starts = chain((True,), repeat(False))
        """Whether it is the first of this process, of each call that begins."""
        self.look_after: Iterator[float] = repeat(math.inf)
        """Seconds from which on somebody looks closer at a call, of each call that begins."""
        self.usual: list[float] | None = None
        """Where the figures of such calls are put aside that end sooner, one behind another; None
        if nobody counts calls. Numbers alone: nothing of a call is kept by them.
        """
        self.unusual: Callable[[CallRecord], None] = nobody
        """Told of the other calls, if calls are counted: those that took longer, had to wait for a
        slot, or failed, and one of a few dozen: it is time then to count what was put aside.
        """

    def begin(self, context: Context, record: CallRecord) -> None:
        """Tell of a call that begins."""
        for observe in self.begun:
            observe(context, record)

    def end(self, context: Context, record: CallRecord) -> None:
        """Tell of a call that has ended, and put its figures aside. This is all that most calls pay
        for being counted.
        """
        for observe in self.ended:
            observe(context, record)
        took = record.ended - record.arrived
        if took < record.look_after:
            if self.usual is not None:
                ran = record.handled_at - record.handler_at
                self.usual += (took, ran, record.bytes_in, record.bytes_out)
            return
        if took >= self.slow_after:
            for observe in self.slow:
                observe(context, record)
        self.unusual(record)
