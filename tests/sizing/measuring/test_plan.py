"""Which levels there is time for."""

from __future__ import annotations

import pytest

from service.sizing.level import SIZE_LEVELS
from service.sizing.measuring.plan import in_line, planned_levels, seconds_for
from tests.sizing.measured import level


@pytest.mark.parametrize(
    ("once", "levels"),
    [
        (0.1, list(SIZE_LEVELS)),
        (3.0, list(SIZE_LEVELS)),
        (10.0, [1, 200]),
        (60.0, []),
    ],
    ids=["quick", "three-seconds", "ten-seconds", "a-minute"],
)
def test_slow_calls_have_fewer_levels(once: float, levels: list[int]) -> None:
    """In a minute: the least and the most stay, and none for a call that takes a minute."""
    assert planned_levels(SIZE_LEVELS, once, 60.0) == levels


def test_seconds_are_named_that_are_enough() -> None:
    """What the refusal advises is taken."""
    for once in (0.5, 20.0, 60.0):
        assert planned_levels(SIZE_LEVELS, once, seconds_for(len(SIZE_LEVELS), once)) == list(
            SIZE_LEVELS
        )


def test_a_line_that_grows_is_foreseen() -> None:
    """Once twice as many at once do no more in a second, each further call takes longer."""
    waits = [level(at_once, 0.001, 0.1) for at_once in (1, 2)]
    computes = [level(at_once, 0.5, 0.001) for at_once in (1, 2)]
    assert in_line(5, waits) == pytest.approx(0.1, rel=0.1)
    assert in_line(200, computes) == pytest.approx(100, rel=0.1)
    assert in_line(1, []) == 0
