"""For how long another call is worth waiting for."""

from __future__ import annotations

import pytest

from service.batching.pace import ArrivalPace


def paced(gap: float, calls: int = 50, longest: float = 1.0) -> ArrivalPace:
    """The pace of calls that come so many seconds apart."""
    pace = ArrivalPace(longest)
    for number in range(calls):
        pace.note(number * gap)
    return pace


def test_at_first_a_call_is_waited_for_as_long_as_may_be() -> None:
    """Nothing is known yet of how they come."""
    assert ArrivalPace(1.0).wait() == 1.0
    assert paced(0.01, calls=1).wait() == 1.0


@pytest.mark.parametrize(("gap", "wait"), [(0.01, 0.04), (0.1, 0.4), (0.5, 1.0), (1.5, 0.0)])
def test_the_wait_follows_the_pace(gap: float, wait: float) -> None:
    """It is a few of the usual gaps, within its bound; calls that come more seldom than that are
    not waited for.
    """
    assert paced(gap).wait() == pytest.approx(wait, rel=0.01)


def test_the_pace_is_soon_known_again_after_a_rest() -> None:
    """However long nobody has come, a few calls are enough."""
    pace = paced(0.01)
    pace.note(10_000)
    assert pace.wait() > 0
    for number in range(20):
        pace.note(10_000 + number * 0.01)
    assert pace.wait() == pytest.approx(0.04, abs=0.05)


def test_without_a_wait_nobody_is_waited_for() -> None:
    """`max_wait=0` hands over what is there."""
    assert ArrivalPace(0.0).wait() == 0
    assert paced(0.0, longest=0.0).wait() == 0
