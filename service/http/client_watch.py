"""The watch over a slow client: what it has begun to send must go on, and what it is sent it must
take.

A head has `header_timeout` seconds from its first byte to its last, however many bytes come
between. A body may stand still for `body_timeout` seconds, and so may an answer that its client
does not take. Time in which it is the service that does not read does not count, and neither does a
freeze (`timeouts.py`). A connection on which nothing is under way is never ended (docs/faults.md
F4).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from ..errors import RequestTimeout
from ..logs.log import log_rarely
from .backend import Limits
from .flow import Flow
from .timeouts import Timeout


class ClientWatch:
    """The time limits of one client. Calls `too_late` with the error for a head or a body that is;
    resets the connection of a client that takes nothing.

    `is_on` is True while a head or a body is watched.
    """

    __slots__ = ("_body", "_flow", "_head", "_limits", "_progress", "_taking", "_too_late", "is_on")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
        flow: Flow,
        too_late: Callable[[RequestTimeout], object],
    ) -> None:
        self._limits = limits
        self._flow = flow
        self._too_late = too_late
        self._head, self._body, self._taking = Timeout(loop), Timeout(loop), Timeout(loop)
        self._progress = 0.0  # when some of the body arrived
        self.is_on = False

    def see(self, *, head: bool, body: bool) -> None:
        """Take note that bytes have arrived, and of what they have left in part."""
        if body:
            self._progress = time.monotonic()
            if self._body.timer is None:
                self._body.set(self._limits.body_timeout, self._body_overdue)
        else:
            self._body.stop()
        if not head:
            self._head.stop()
        elif self._head.timer is None:
            self._head.set(self._limits.header_timeout, self._head_overdue)
        self.is_on = head or body

    def stop(self) -> None:
        """Watch nothing any more: the connection is lost."""
        for timeout in (self._head, self._body, self._taking):
            timeout.stop()

    def _head_overdue(self) -> None:
        seconds = self._limits.header_timeout
        self._too_late(RequestTimeout(f"the head was not complete within {seconds:g} seconds"))

    def _body_overdue(self) -> None:
        limit = self._limits.body_timeout
        if self._flow.body_full or self._flow.queue_full:  # it is we who do not read
            self._progress = time.monotonic()
        left = self._progress + limit - time.monotonic()
        if left > 0:
            self._body.set(left, self._body_overdue)
        else:
            self._too_late(RequestTimeout(f"the body stood still for {limit:g} seconds"))

    # --- an answer that its client does not take

    def must_take(self, transport: asyncio.Transport) -> None:
        """Give the client `body_timeout` seconds to take some of what waits to be sent, and as many
        again as long as it does.
        """
        left = transport.get_write_buffer_size()
        self._taking.set(self._limits.body_timeout, self._taking_overdue, transport, left)

    def has_taken(self) -> None:
        """Take note that the client has taken most of it."""
        self._taking.stop()

    def _taking_overdue(self, transport: asyncio.Transport, left: int) -> None:
        if transport.get_write_buffer_size() != left:
            self.must_take(transport)
            return
        log_rarely(
            "reader",
            "an answer was given up: its client took nothing for %g seconds",
            self._limits.body_timeout,
        )
        transport.abort()
