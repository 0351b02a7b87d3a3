"""Records below the log's level: who gets to see them, and what becomes of those of a call."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable

from ..context.call import Context
from ..context.record import CallRecord
from .capture import RouteRecords
from .kept import KeptLines, KeptRoom
from .log import Logs

CallHandlers = Callable[[logging.Logger, logging.LogRecord], None]


def shielding(call_handlers: CallHandlers, route: RouteRecords, level: int) -> CallHandlers:
    """Return a `Logger.callHandlers` by which records that only our lower level lets through come
    to `route` alone: the function's own handlers see what they would see without it.
    """

    def call_own_handlers(logger: logging.Logger, record: logging.LogRecord) -> None:
        if record.levelno >= level or not _has_roots_level(logger):
            call_handlers(logger, record)
        elif route in logging.root.handlers and _reaches_root(logger):
            route.keep(record)

    return call_own_handlers


def _has_roots_level(logger: logging.Logger | None) -> bool:
    while logger is not None and logger is not logging.root:
        if logger.level:
            return False
        logger = logger.parent
    return True


def _reaches_root(logger: logging.Logger | None) -> bool:
    while logger is not None and logger is not logging.root:
        if not logger.propagate:
            return False
        logger = logger.parent
    return True


def is_sampled(request_id: str, share: float) -> bool:
    """Return whether a call is one of the `share` of all calls: the same each time it is tried."""
    return zlib.crc32(request_id.encode()) < share * 2**32


class BelowLevel:
    """Decides of each call what becomes of its lines below the log's level.

    They are kept in `room`, if there is one, and written if the call fails or takes `slow_after`
    seconds. Those of a `share` of the calls are written at once.
    """

    def __init__(self, logs: Logs, room: KeptRoom | None, slow_after: float, share: float) -> None:
        self._logs = logs
        self._room = room
        self._slow_after = slow_after
        self._share = share
        self._no_room = KeptRoom(0, 0)

    def begun(self, context: Context, record: CallRecord) -> None:
        """Decide when a call begins."""
        if is_sampled(context.request_id, self._share):
            record.lines = KeptLines(self._no_room, wanted=True)
        elif self._room is not None:
            record.lines = KeptLines(self._room)

    def ended(self, _context: Context, record: CallRecord) -> None:
        """Write or drop what was kept, now that it is known how the call ends."""
        kept: KeptLines | None = record.lines
        if kept is None or kept.wanted:
            return
        is_slow = record.ended - record.arrived >= self._slow_after
        lines = kept.settle(wanted=bool(record.error_type) or is_slow)
        if lines:
            self._logs.pipe.write(b"".join(lines))
        if kept.lost and kept.wanted:
            self._logs.line("WARNING", f"{kept.lost} earlier lines were not kept for want of room")
