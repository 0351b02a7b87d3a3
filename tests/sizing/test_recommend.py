"""What is recommended for handlers that are known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.sizing.fit import fit
from service.sizing.recommend import PLANNED_BUSY, SizeAdvice, recommend
from service.sizing.sizes import InstanceSize, is_allowed, smallest
from tests.sizing.measured import report


def advice(serial: float, wait: float, p99: float | None = None, **changes: Any) -> SizeAdvice:
    """What is recommended for a handler."""
    given = report(serial, wait, **changes)
    return recommend(given, fit(given.levels), p99)


def test_a_handler_that_waits_has_many_calls_at_once() -> None:
    """As many as keep its CPU at the share that is planned, in the smallest instance for them."""
    found = advice(0.0005, 0.1)
    assert 100 <= found.concurrency <= 150
    assert found.busy <= PLANNED_BUSY + 0.01
    assert 0.5 <= found.size.cpu <= 1.0
    assert is_allowed(found.size)
    assert found.threads == 0


def test_a_handler_that_computes_has_one_call_at_once() -> None:
    """A second call would only stand in line; the reason says so, and whether workers help."""
    found = advice(0.05, 0.000_1)
    assert (found.concurrency, found.size.cpu) == (1, 1.0)
    assert "not 2" in found.reasons[0]
    assert any("workers" in reason for reason in found.reasons)


def test_a_handler_that_hardly_needs_the_cpu_has_the_platforms_most() -> None:
    """200 calls at once in a fraction of a vCPU."""
    found = advice(0.000_1, 1.0)
    assert found.concurrency == 200
    assert found.size.cpu < 0.2
    assert "the platform's most" in found.reasons[0]


def test_a_longest_time_allows_more_or_less() -> None:
    """--p99 takes the place of the usual bound."""
    usual = advice(0.002, 0.05).concurrency
    assert advice(0.002, 0.05, p99=0.055).concurrency < usual
    assert "p99 55 ms" in advice(0.002, 0.05, p99=0.055).reasons[0]
    assert advice(0.002, 0.05, p99=2.0).concurrency >= usual


def test_no_concurrency_is_recommended_at_which_calls_fail() -> None:
    """The first broken level is above it."""
    given = report(0.000_1, 1.0)
    levels = [
        each if each.at_once < 50 else replace(each, errors=each.calls // 2)
        for each in given.levels
    ]
    found = recommend(replace(given, levels=levels), fit(levels))
    assert found.concurrency < 50
    assert "calls fail with 50 at once" in found.reasons[0]


def test_a_plain_handler_has_a_thread_for_each_call() -> None:
    """Seen in the threads of the measured instances."""
    given = report(0.000_5, 0.1)
    levels = [replace(each, threads=each.at_once + 4) for each in given.levels]
    found = recommend(replace(given, levels=levels), fit(levels))
    assert found.threads == found.concurrency


def test_memory_has_room_for_all_calls() -> None:
    """What was seen at that concurrency, and something to spare, in a size that there is."""
    given = report(0.000_1, 1.0)
    levels = [replace(each, memory=60 + 5.0 * each.at_once) for each in given.levels]
    found = recommend(replace(given, levels=levels), fit(levels))
    assert found.size.memory >= 1.4 * (60 + 5 * found.concurrency)
    assert is_allowed(found.size)


@given(cpu=st.floats(0, 16), memory=st.floats(0, 32_768))
@settings(max_examples=50)
def test_each_size_is_one_that_the_platform_has(cpu: float, memory: float) -> None:
    """Of both there is as much as is asked for, in steps and pairs that are allowed
    (docs/platform.md section 8).
    """
    size = smallest(cpu, memory)
    assert is_allowed(size)
    assert size.cpu >= cpu - 1e-9
    assert size.memory >= memory - 1e-6


@pytest.mark.parametrize(
    ("cpu", "memory", "size"),
    [
        (0.0, 0.0, InstanceSize(0.05, 128)),
        (0.35, 512.0, InstanceSize(0.35, 512)),
        (1.0, 100.0, InstanceSize(1.0, 1024)),
        (0.1, 1024.0, InstanceSize(0.25, 1024)),
        (99.0, 1e9, InstanceSize(16.0, 32_768)),
    ],
    ids=["nothing", "the-components-default", "cpu", "memory", "everything"],
)
def test_the_smallest_size_is_found(cpu: float, memory: float, size: InstanceSize) -> None:
    """The one of both that is scarcer decides."""
    assert smallest(cpu, memory) == size
