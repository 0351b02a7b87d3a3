"""Memory that still grows, and memory that has levelled off."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from service.sizing.measuring.memory import MemoryLook, growth_of

COURSES: dict[str, tuple[Callable[[int], float], float]] = {
    "flat": (lambda _call: 50.0, 0.0),
    "falls": (lambda call: 50.0 - call / 1000, 0.0),
    "warms up and levels off": (lambda call: 50.0 - 20 * math.exp(-call / 500), 0.0),
    "leaks": (lambda call: 50.0 + 0.01 * call, 0.01),
    "leaks in steps": (lambda call: 50.0 + call // 100, 0.01),
}


@pytest.mark.parametrize(("course", "growth"), COURSES.values(), ids=COURSES)
def test_only_what_goes_on_growing_is_growth(course: Callable[[int], float], growth: float) -> None:
    """MB a call, as a leak has it; what an allocator keeps levels off."""
    looks = [MemoryLook(call, course(call)) for call in range(0, 4000, 50)]
    assert growth_of(looks) == pytest.approx(growth, rel=0.1)


@pytest.mark.parametrize("count", [0, 1, 11], ids=["none", "one", "few"])
def test_a_few_looks_say_nothing(count: int) -> None:
    """Nor do looks between which no call has ended."""
    assert growth_of([MemoryLook(call, float(call)) for call in range(count)]) == 0
    assert growth_of([MemoryLook(7, float(at)) for at in range(50)]) == 0
