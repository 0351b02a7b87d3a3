"""What a call takes, found again in measurements of handlers that are known."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from service.sizing.fit import fit, full_time
from tests.sizing.measured import level, report

HANDLERS = {
    "waits": (0.0005, 0.1),
    "waits-long": (0.001, 3.0),
    "half-and-half": (0.02, 0.02),
    "computes": (0.03, 0.000_01),
}


@pytest.mark.parametrize(("serial", "wait"), HANDLERS.values(), ids=HANDLERS)
def test_cpu_and_wait_of_a_call_are_found(serial: float, wait: float) -> None:
    """The calls a second at eight concurrencies tell the two apart."""
    found = fit(report(serial, wait).levels)
    assert found.serial == pytest.approx(serial, rel=0.05, abs=0.001 * wait)
    assert found.alone == pytest.approx(serial + wait, rel=0.02)
    assert found.cpu == pytest.approx(serial)
    assert found.off < 0.01


@pytest.mark.parametrize("seed", range(5))
def test_a_busy_machine_moves_them_a_little(seed: int) -> None:
    """With calls a second that are off by up to a tenth, the rate of the fit is off by no more."""
    draw = random.Random(seed)
    levels = [
        replace(each, throughput=each.throughput * draw.uniform(0.9, 1.1))
        for each in report(0.002, 0.1).levels
    ]
    found = fit(levels)
    assert found.serial == pytest.approx(0.002, rel=0.2)
    assert found.throughput(50) == pytest.approx(50 / full_time(50, 0.002, 0.1), rel=0.1)


def test_memory_is_that_of_an_instance_and_of_each_call() -> None:
    """The line next to what was seen."""
    found = fit(report(0.001, 0.1).levels)
    assert found.base == pytest.approx(40)
    assert found.per_call == pytest.approx(0.1)
    assert found.memory(100) == pytest.approx(50)


def test_levels_that_say_nothing_are_left_out() -> None:
    """Calls that fail are quick, and a load that its sender limits is not the instance's."""
    levels = [
        *(level(at_once, 0.001, 0.1) for at_once in (1, 10)),
        level(50, 0.001, 0.1, errors=900, throughput=90_000.0),
        level(100, 0.001, 0.1, driven=0.99, throughput=300.0),
    ]
    found = fit(levels)
    assert found.alone == pytest.approx(0.101, rel=0.05)
    assert found.throughput(100) > 600


def test_one_level_is_enough_and_none_is_not() -> None:
    """An interrupted run tells what it can."""
    assert fit([level(1, 0.01, 0.1)]).alone == pytest.approx(0.11, rel=0.05)
    with pytest.raises(ValueError, match="no level"):
        fit([level(1, 0.01, 0.1, errors=1000)])


def test_a_full_instance_is_between_waiting_together_and_standing_in_line() -> None:
    """Alone a call takes its time; with many the slowest part alone counts."""
    assert full_time(1, 0.01, 0.1) == pytest.approx(0.11)
    assert 100 / full_time(100, 0.01, 0.1) == pytest.approx(100, rel=0.01)
    assert full_time(5, 0.0, 0.1) == pytest.approx(0.1)


def test_the_cpu_of_a_call_is_that_in_a_full_instance() -> None:
    """With one call at once each is frozen and thawed beside, which says nothing of a hundred."""
    levels = [
        replace(each, cpu=0.002 if each.at_once < 20 else 0.0005)
        for each in report(0.0003, 0.1).levels
    ]
    assert fit(levels).cpu == pytest.approx(0.0005, rel=0.15)


@pytest.mark.parametrize("levels", [(1,), (1, 2)], ids=["one level", "two levels"])
def test_levels_that_do_not_decide_leave_a_call_its_cpu(levels: tuple[int, ...]) -> None:
    """A call of half a second with one millisecond of CPU waits for the rest, though the calls a
    second that were seen are a little off.
    """
    given = report(0.001, 0.5, levels).levels
    noisy = [replace(each, throughput=each.throughput * 0.985) for each in given[1:]]
    found = fit([given[0], *noisy])
    assert found.serial < 0.01
    assert found.wait == pytest.approx(0.5, rel=0.05)
