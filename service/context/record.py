"""What is noted of one call while it runs: its times, its sizes, how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ..locks import HasLock
from .plain import plain_fields


class CallRecord(msgspec.Struct, eq=False):
    """What is noted of one call. Times are seconds of the monotonic clock, 0.0 for what the call
    has not come to.
    """

    arrived: float = 0.0  # its head has
    slot_at: float = 0.0  # it has a slot: until then it was queued
    open_at: float = 0.0  # the initializer has been waited for
    handler_at: float = 0.0  # its event is decoded, its handler begins
    handled_at: float = 0.0  # its handler has returned or raised
    ended: float = 0.0  # its answer is made
    bytes_in: int = 0
    bytes_out: int = 0
    in_flight: int = 0  # requests, when it began, itself included
    cold_start: bool = False  # it is the first call of its process
    error_type: str = ""  # that of its answer; "" if it succeeded
    cpu: float = 0.0  # seconds that a plain handler's thread has worked, if that is measured
    look_after: float = 0.0  # seconds: somebody looks closer at it if it takes so long
    bound: dict[str, Any] | None = None  # fields of its log lines
    lines: Any = None  # log lines that are kept until it is known how it ends
    noted: dict[str, Any] | None = None  # what else the line that sums it up tells
    span: Any = None  # its trace

    def bind(self, fields: Mapping[str, object]) -> None:
        """Add fields to those that all further lines of the call carry; the same name again takes
        the place of the first. Called from any thread. A dictionary that is bound does not change
        any more, so lines that are being written need no lock.
        """
        plain = plain_fields(fields)
        with _binding.lock:
            self.bound = {**(self.bound or {}), **plain}


_binding = HasLock()
