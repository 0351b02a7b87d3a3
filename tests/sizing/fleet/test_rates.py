"""A fleet by rates, beside the same one call by call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from simpy import Environment

from service.sizing.fleet.course import FleetCourse, FleetPlan
from service.sizing.fleet.fleet import Fleet
from service.sizing.fleet.patterns import pattern_of
from service.sizing.fleet.rates import FleetRates

PLANS: dict[str, dict[str, Any]] = {
    "1 at once": {"at_once": 1, "serial": 0.001, "waits": [0.1]},
    "10 at once": {"at_once": 10, "serial": 0.001, "waits": [0.1]},
    "100 at once": {"at_once": 100, "serial": 0.001, "waits": [0.5]},
    "slow calls": {"at_once": 10, "serial": 0.01, "waits": [1.0, 2.0, 3.0]},
    "much CPU": {"at_once": 4, "serial": 0.02, "waits": [0.05]},
}


def both(
    given: dict[str, Any], name: str, rate: float, seconds: float, folder: Path
) -> tuple[FleetCourse, FleetCourse]:
    """The same fleet in both ways."""
    plan = FleetPlan(starts=[0.5], limit=10_000, starts_at_once=10_000, idle=(60, 60), **given)
    pattern = pattern_of(name, rate, seconds, folder)
    exact = Fleet(plan, Environment()).run(pattern.arrivals(1))
    return exact, FleetRates(plan).run(pattern)


@pytest.mark.parametrize("given", PLANS.values(), ids=PLANS)
def test_rates_come_to_what_single_calls_come_to(given: dict[str, Any], tmp_path: Path) -> None:
    """Instances, times and the seconds billed of a rate that stays the same."""
    exact, rates = both(given, "constant", 130.0, 120.0, tmp_path)
    assert rates.most == pytest.approx(exact.most, rel=0.15, abs=1)
    assert rates.p50 == pytest.approx(exact.p50, rel=0.1)
    assert rates.p99 == pytest.approx(exact.p99, rel=0.15)
    assert rates.billed == pytest.approx(exact.billed, rel=0.1)
    assert not rates.exact


def test_a_burst_starts_as_many_in_both_ways(tmp_path: Path) -> None:
    """The calls that come while instances start wait in them, so there are more than would do."""
    exact, rates = both(PLANS["10 at once"], "burst", 500.0, 185.0, tmp_path)
    assert rates.most == pytest.approx(exact.most, rel=0.3)
    assert rates.cold == pytest.approx(exact.cold, rel=0.5)


def test_a_limit_refuses_the_same_share(tmp_path: Path) -> None:
    """Twice as many calls as the instances can serve: about half of them get 429."""
    plan = FleetPlan(10, 0.0, [0.1], [0.5], limit=2, starts_at_once=100)
    pattern = pattern_of("constant", 400.0, 40.0, tmp_path)
    exact = Fleet(plan, Environment()).run(pattern.arrivals(1))
    rates = FleetRates(plan).run(pattern)
    assert 0.4 < exact.refused / exact.calls < 0.6
    assert rates.refused / rates.calls == pytest.approx(exact.refused / exact.calls, abs=0.03)


def test_a_day_of_the_internet_takes_no_longer_than_a_day_of_a_village(tmp_path: Path) -> None:
    """A million calls a second are as many steps; instances follow the rate at night."""
    plan = FleetPlan(
        100, 0.000_5, [0.1], [0.5], limit=1_000_000, starts_at_once=100_000, starts_a_minute=100_000
    )
    seen = FleetRates(plan).run(pattern_of("daily", 1e6, None, tmp_path))
    assert 1000 <= seen.most <= 1300
    assert seen.calls == pytest.approx(86_400 * 1e6 * 0.575, rel=0.02)
    assert seen.refused == 0
