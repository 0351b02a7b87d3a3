"""The simulated fleet beside what queueing theory says exactly."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import Any

import pytest
from simpy import Environment

from service.sizing.fit import full_time
from service.sizing.fleet.course import FleetCourse, FleetPlan
from service.sizing.fleet.fleet import Fleet

CALLS = 8_000
NEVER = (1e9, 1e9)
"""No instance ends for want of calls."""


def poisson(rate: float, calls: int = CALLS) -> Iterator[float]:
    """Yield the seconds at which so many calls come, by chance; the same each time."""
    draw, now = random.Random(5), 0.0
    for _ in range(calls):
        now += draw.expovariate(rate)
        yield now


def course(rate: float, **plan: Any) -> FleetCourse:
    """What becomes of them in instances that start at once."""
    given = {"starts": [1e-9], "starts_at_once": 10_000, "idle": NEVER, **plan}
    return Fleet(FleetPlan(**given), Environment()).run(poisson(rate))


def lost(servers: int, offered: float) -> float:
    """Return Erlang's B: the share of calls that find all servers busy."""
    share = 1.0
    for number in range(1, servers + 1):
        share = offered * share / (number + offered * share)
    return share


WAITS = {"all alike": [0.2], "of two kinds": [0.05, 0.35]}


@pytest.mark.parametrize("waits", WAITS.values(), ids=WAITS)
@pytest.mark.parametrize(("at_once", "limit"), [(1, 12), (6, 2), (20, 1)])
def test_a_full_fleet_refuses_the_share_that_erlang_says(
    at_once: int, limit: int, waits: list[float]
) -> None:
    """M/G/c/c with c = 12 or 20 calls in all: the share depends on the mean of a call alone."""
    seen = course(50.0, at_once=at_once, serial=0.0, waits=waits, limit=limit)
    expected = lost(at_once * limit, 50.0 * 0.2)
    assert seen.refused / seen.calls == pytest.approx(expected, rel=0.1, abs=0.004)
    assert seen.most == limit


def test_a_fleet_without_limits_is_as_large_as_the_most_calls_in_flight() -> None:
    """M/G/infinity: in flight is a Poisson number, of Little's mean. At one call at once the
    instances are its most, and are billed for the mean.
    """
    seen = course(100.0, at_once=1, serial=0.0, waits=[0.1, 0.2, 0.3], limit=10_000)
    mean = 100.0 * 0.2
    assert seen.billed / (CALLS / 100.0) == pytest.approx(mean, rel=0.03)
    assert mean + 3 * math.sqrt(mean) < seen.most < mean + 6 * math.sqrt(mean)
    assert seen.p50 == pytest.approx(0.2, rel=0.01)
    assert seen.p99 == pytest.approx(0.3, rel=0.01)


@pytest.mark.parametrize("busy", [0.3, 0.6, 0.8])
def test_an_instance_is_busy_and_idle_as_a_queue_of_one_server(busy: float) -> None:
    """M/D/1: it works for the share `busy` of the time, and becomes idle after 1 - busy of the
    calls, whatever their order.
    """
    seen = course(busy / 0.01, at_once=10_000, serial=0.01, waits=[0.0], limit=1)
    assert seen.billed / (CALLS * 0.01 / busy) == pytest.approx(busy, rel=0.03)
    assert seen.freezes / CALLS == pytest.approx(1 - busy, rel=0.05)
    assert seen.refused == 0


@pytest.mark.parametrize("at_once", [2, 10])
def test_a_full_instance_does_as_many_calls_as_mean_value_analysis_says(at_once: int) -> None:
    """Far more calls come than it can serve, so that it is full throughout: what it serves is what
    the fit takes it to serve.
    """
    serial, wait = 0.01, 0.05
    seen = course(2_000.0, at_once=at_once, serial=serial, waits=[wait], limit=1)
    served = (seen.calls - seen.refused) / (CALLS / 2_000.0)
    assert served == pytest.approx(at_once / full_time(at_once, serial, wait), rel=0.15)
