"""A fleet, call by call."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from simpy import Environment

from service.sizing.fleet.course import FleetCourse, FleetPlan
from service.sizing.fleet.fleet import Fleet
from service.sizing.fleet.patterns import pattern_of


def course(arrivals: Iterable[float], **changes: Any) -> FleetCourse:
    """What becomes of calls of 0.1 s, in instances that start in a second."""
    given = {"at_once": 1, "serial": 0.0, "waits": [0.1], "starts": [1.0], **changes}
    return Fleet(FleetPlan(**given), Environment()).run(arrivals)


def test_one_call_has_one_instance_which_ends_when_it_has_been_idle() -> None:
    """It waits for the start, and is billed from its begin to its end alone."""
    seen = course([5.0], idle=(180, 180))
    assert (seen.calls, seen.cold, seen.started, seen.ended, seen.freezes) == (1, 1, 1, 1, 1)
    assert seen.p99 == pytest.approx(1.1)
    assert seen.billed == pytest.approx(0.1)
    assert seen.over_time == [(0, 0), (5, 1), (pytest.approx(186.1), 0)]


def test_an_instance_is_used_again_until_it_ends() -> None:
    """A call within the idle time is warm, one after it is cold."""
    seen = course([0.0, 100.0, 270.0, 500.0], idle=(180, 180))
    assert (seen.started, seen.cold, seen.freezes) == (2, 2, 4)
    assert seen.p50 == pytest.approx(0.1)


@pytest.mark.parametrize(("at_once", "instances"), [(1, 10), (4, 3), (10, 1)])
def test_another_instance_starts_when_all_are_full(at_once: int, instances: int) -> None:
    """Ten calls that come together need as many as their number asks for."""
    seen = course([0.0] * 10, at_once=at_once)
    assert seen.most == seen.started == instances
    assert seen.cold == 10


def test_calls_in_one_instance_stand_in_line_for_what_is_served_one_at_a_time() -> None:
    """The last of ten has waited for nine."""
    seen = course([0.0] * 10, at_once=10, serial=0.05, waits=[0.0])
    assert seen.p99 == pytest.approx(1.5)
    assert seen.billed == pytest.approx(0.5)


def test_the_limits_refuse_what_they_do_not_allow() -> None:
    """More instances than there may be, and more starts than a burst has, until some time later."""
    assert course([0.0] * 10, limit=4).refused == 6
    burst = course([0.0] * 10, starts_at_once=3, starts_a_minute=60)
    assert (burst.started, burst.refused) == (3, 7)
    later = course([0.0] * 3 + [2.0] * 10, starts_at_once=3, starts_a_minute=60)
    assert later.started == 5


def test_the_least_loaded_instance_takes_the_next_call() -> None:
    """Two calls in two instances that run stand in no line."""
    seen = course([0.0] * 4 + [10.0, 10.0], at_once=2, serial=0.2, waits=[0.0])
    assert seen.started == 2
    assert seen.cold == 4
    assert seen.billed == pytest.approx(2 * 0.4 + 2 * 0.2)


def test_the_same_seed_is_the_same_fleet(tmp_path: Any) -> None:
    """All of it; another seed draws other waits."""
    pattern = pattern_of("constant", 20.0, 30.0, tmp_path)
    waits = [0.05, 0.1, 0.2, 0.4]
    runs = [course(pattern.arrivals(1), waits=waits, seed=seed) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_a_fleet_needs_what_queueing_theory_says(tmp_path: Any) -> None:
    """With enough instances calls do not wait for each other: as many are in flight as Little's law
    says, and their most is a Poisson number's.
    """
    pattern = pattern_of("constant", 50.0, 300.0, tmp_path)
    seen = course(pattern.arrivals(1), at_once=10, waits=[1.0], starts=[0.01])
    assert 7 <= seen.most <= 9  # 50 in flight, at most about 50 + 4 * 7
    assert seen.p99 == pytest.approx(1.0, rel=0.02)
