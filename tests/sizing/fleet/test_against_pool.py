"""A simulated fleet beside the emulator's own rules, on the same arrivals, on a virtual clock: no
machine is too busy for it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from simpy import Environment

from service.emulator.calls import Invocation, Outcome
from service.emulator.instances import pool as module
from service.emulator.instances.conditions import Options
from service.emulator.instances.faults import Faults
from service.emulator.log import Log
from service.sizing.fleet.course import FleetCourse, FleetPlan
from service.sizing.fleet.fleet import Fleet
from service.sizing.fleet.patterns import pattern_of
from service.sizing.level import ordered_quantile
from tests.emulator.standins import function
from tests.virtual_clock import run_virtual

IDLE = 20.0


@dataclass
class PlayedTimes:
    """What an instance and a call take, in seconds, drawn as they begin."""

    serial: float
    waits: Sequence[float]
    starts: Sequence[float]
    draw: random.Random = field(default_factory=lambda: random.Random(11))


class TimedInstance:
    """An instance without processes, as the pool sees one: starts and calls take their times."""

    def __init__(
        self, times: PlayedTimes, name: str, on_change: Callable[[Any], None], provisioned: bool
    ) -> None:
        self.id = self.name = name
        self.provisioned, self.retired = provisioned, ""
        self.state, self.in_flight = "starting", 0
        self.idle_since = time.monotonic()
        self.closing: asyncio.Task[None] | None = None
        self.processes = None
        self.freezer = SimpleNamespace(is_unseen=False, looked=True)
        self.calls = self
        self._times, self._on_change, self._one = times, on_change, asyncio.Lock()

    @property
    def takes_calls(self) -> bool:
        """Whether further calls may be sent to it."""
        return self.state in ("running", "starting")

    async def start(self) -> None:
        """Take the time of a start."""
        await asyncio.sleep(self._times.draw.choice(self._times.starts))
        self.state = "running"
        self._on_change(self)

    def reserve(self) -> None:
        """Take a slot."""
        self.in_flight += 1

    async def invoke(self, call: Invocation, *, cold: bool) -> Outcome:
        """Take the time of a call: what is served one at a time, half of it at each end."""
        for wait in (self._times.draw.choice(self._times.waits), 0.0):
            async with self._one:
                await asyncio.sleep(self._times.serial / 2)
            await asyncio.sleep(wait)
        self.in_flight -= 1
        self.idle_since = time.monotonic()
        return Outcome(call.request_id, b"", cold=cold)

    def hurry(self) -> None:
        """There is nothing to end."""

    def close(self, _reason: str) -> asyncio.Task[None]:
        """End, soon."""

        async def end() -> None:
            self.state = "stopped"
            self._on_change(self)

        self.closing = self.closing or asyncio.create_task(end())
        return self.closing


class TimedCall:
    """A call in such an instance, as the pool begins and awaits one."""

    def __init__(
        self, instance: TimedInstance, call: Invocation, left: Callable[[], None], *, cold: bool
    ) -> None:
        self._instance, self._call, self._left, self._cold = instance, call, left, cold

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin; `outcome` is what comes of it."""
        self.outcome = loop.create_task(self._run())

    async def _run(self) -> Outcome:
        try:
            return await self._instance.invoke(self._call, cold=self._cold)
        finally:
            self._left()


class NoReaper:
    """There are no processes to be ended."""

    def __init__(self, *_given: str) -> None:
        """Take what a reaper is told."""

    def watch(self, _groups: object) -> None:
        """Have none to watch."""

    def close(self) -> None:
        """Have nothing open."""


async def played(
    plan: FleetPlan, arrivals: Sequence[float], monkeypatch: pytest.MonkeyPatch
) -> FleetCourse:
    """What the emulator makes of the arrivals, with the times of a plan."""
    times = PlayedTimes(plan.serial, plan.waits, plan.starts)
    monkeypatch.setattr(module, "Reaper", NoReaper)
    monkeypatch.setattr(module, "InstanceCall", TimedCall)
    monkeypatch.setattr(
        module,
        "Instance",
        lambda _conditions, name, on_change, _on_run, *, provisioned: TimedInstance(
            times, name, on_change, provisioned
        ),
    )
    options = Options(max_instances=plan.limit, idle_timeout=plan.idle[0], private_tmp=False)
    pool = module.InstancePool(
        function(concurrency=plan.at_once), options, Log(lambda _lines: None), Faults()
    )
    most, began = 0, time.monotonic()

    async def call(due: float) -> tuple[float, bool]:
        nonlocal most
        await asyncio.sleep(began + due - time.monotonic())
        ended = asyncio.create_task(pool.invoke(Invocation("fn", b"", f"{due}")))
        await asyncio.sleep(0)
        most = max(most, len(pool.instances))
        await ended
        return time.monotonic() - began - due, ended.result().cold

    await pool.start()
    done = await asyncio.gather(*map(call, arrivals))
    started = pool.started
    await pool.stop()
    spent = sorted(each for each, _cold in done)
    return FleetCourse(
        len(done),
        refused=0,
        cold=sum(cold for _, cold in done),
        started=started,
        ended=0,
        freezes=0,
        most=most,
        p50=ordered_quantile(spent, 0.5),
        p99=ordered_quantile(spent, 0.99),
        billed=0.0,
        exact=True,
    )


PLANS: dict[str, tuple[str, float, dict[str, Any]]] = {
    "1 at once": ("constant", 6.0, {"at_once": 1, "serial": 0.0, "waits": [0.5]}),
    "4 at once": ("burst", 25.0, {"at_once": 4, "serial": 0.005, "waits": [0.3]}),
    "20 at once": ("burst", 60.0, {"at_once": 20, "serial": 0.01, "waits": [0.3]}),
    "100 at once": ("constant", 60.0, {"at_once": 100, "serial": 0.001, "waits": [1.0]}),
}


def both(
    plan: FleetPlan, name: str, rate: float, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[FleetCourse, FleetCourse]:
    """The same arrivals, simulated and played."""
    arrivals = list(pattern_of(name, rate, 240.0, folder).arrivals(1))[:800]
    course = Fleet(plan, Environment()).run(arrivals)
    return course, run_virtual(played(plan, arrivals, monkeypatch))


@pytest.mark.parametrize("case", PLANS)
def test_a_fleet_is_simulated_as_the_emulator_plays_it(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If calls and starts take the same time there is no difference: instances start, and end
    without calls, at the same calls.
    """
    name, rate, given = PLANS[case]
    plan = FleetPlan(starts=[2.0], limit=200, idle=(IDLE, IDLE), **given)
    course, seen = both(plan, name, rate, tmp_path, monkeypatch)
    assert (course.most, course.started) == (seen.most, seen.started)
    assert course.p50 == pytest.approx(seen.p50, rel=0.01)
    assert course.p99 == pytest.approx(seen.p99, rel=0.01)


def test_times_that_each_draws_for_itself_come_to_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a tenth in p99, and an instance."""
    plan = FleetPlan(1, 0.0, [0.4, 0.5, 0.6], [1.9, 2.0, 2.1], limit=200, idle=(IDLE, IDLE), seed=3)
    course, seen = both(plan, "constant", 3.0, tmp_path, monkeypatch)
    assert course.most == pytest.approx(seen.most, rel=0.1, abs=1)
    assert course.p50 == pytest.approx(seen.p50, rel=0.1)
    assert course.p99 == pytest.approx(seen.p99, rel=0.1)
