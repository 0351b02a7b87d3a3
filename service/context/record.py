"""What is noted of one call while it runs: its times, its sizes, how it ended."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from .plain import plain_fields


class CallRecord:
    """What is noted of one call. Times are seconds of the monotonic clock, 0.0 for what the call
    has not come to.
    """

    __slots__ = (
        *("arrived", "slot_at", "open_at", "handler_at", "handled_at", "ended"),
        *("bytes_in", "bytes_out", "in_flight", "cold_start", "error_type", "cpu", "look_after"),
        *("bound", "lines", "noted", "span"),
    )

    def __init__(self, arrived: float = 0.0) -> None:
        self.arrived = arrived  # its head has
        self.slot_at = 0.0  # it has a slot: until then it was queued
        self.open_at = 0.0  # the initializer has been waited for
        self.handler_at = 0.0  # its event is decoded, its handler begins
        self.handled_at = 0.0  # its handler has returned or raised
        self.ended = 0.0  # its answer is made
        self.bytes_in = 0
        self.bytes_out = 0
        self.in_flight = 0  # requests, when it began, itself included
        self.cold_start = False  # it is the first call of its process
        self.error_type = ""  # that of its answer; "" if it succeeded
        self.cpu = 0.0  # seconds that a plain handler's thread has worked, if that is measured
        self.look_after = 0.0  # seconds: somebody looks closer at it if it takes so long
        self.bound: dict[str, Any] | None = None  # fields of its log lines
        self.lines: Any = None  # log lines that are kept until it is known how it ends
        self.noted: dict[str, Any] | None = None  # what else the line that sums it up tells
        self.span: Any = None  # its trace

    def bind(self, fields: Mapping[str, object]) -> None:
        """Add fields to those that all further lines of the call carry; the same name again takes
        the place of the first. Called from any thread. A dictionary that is bound does not change
        any more, so lines that are being written need no lock.
        """
        plain = plain_fields(fields)
        with _binding.lock:
            self.bound = {**(self.bound or {}), **plain}


class _Binding:
    """The lock of `bind`."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


_binding = _Binding()


def free_binding() -> None:
    """Let nobody hold a lock here. Called in a process that was just forked."""
    _binding.lock = threading.Lock()
