"""Who is told of each call: when it begins, and what has become of it."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

from ..context.call import Context
from ..context.record import CallRecord
from .lifecycle import nothing

Observer = Callable[[Context, CallRecord], None]


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
        self.measure_cpu = False
        """Whether the time is noted that threads of plain handlers work."""
        self.is_first = True
        """True until the first call of this process begins."""

    def begin(self, context: Context, record: CallRecord) -> None:
        """Tell of a call that begins."""
        for observe in self.begun:
            observe(context, record)

    def end(self, context: Context, record: CallRecord) -> None:
        """Tell of a call that has ended."""
        for observe in self.ended:
            observe(context, record)
        if record.ended - record.arrived >= self.slow_after:
            for observe in self.slow:
                observe(context, record)
