"""Measurements as handlers of known CPU and wait would leave them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from service.sizing.fit import full_time
from service.sizing.level import SIZE_LEVELS, SizeLevel
from service.sizing.report import SizeReport, SizeSubject

SUBJECT = SizeSubject("orders", "index.handler", "2 bytes, abc", 1, "3.13")


def level(at_once: int, serial: float, wait: float, **changes: Any) -> SizeLevel:
    """What is measured of a handler with so much serial time and wait, in seconds."""
    full = full_time(at_once, serial, wait)
    given = SizeLevel(
        at_once,
        calls=1000,
        throughput=at_once / full,
        full=full,
        rate=0.8 * at_once / full,
        p50=serial + wait,
        p99=1.1 * (serial + wait),
        cpu=serial,
        memory=40 + 0.1 * at_once,
        threads=3,
        stalls=0,
        start=0.5,
        driven=0.3,
    )
    return replace(given, **changes)


def report(
    serial: float, wait: float, levels: Sequence[int] = SIZE_LEVELS, **changes: Any
) -> SizeReport:
    """The report of such a handler; `changes` are of each level."""
    return SizeReport(
        SUBJECT,
        "2026-11-28",
        2,
        {"concurrency": 1, "memory": 512, "cpu": 0.35},
        list(SIZE_LEVELS),
        [level(at_once, serial, wait, **changes) for at_once in levels],
        [serial + wait] * 101,
    )
