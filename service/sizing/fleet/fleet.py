"""A fleet, call by call, as the platform runs it and the emulator plays it (docs/platform.md
sections 6 and 7): a call goes to the running instance with the fewest calls, else to one that
starts, else to a new one; an instance freezes without calls, and ends when it had none for long.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from ..level import ordered_quantile
from .course import FleetCourse, FleetPlan


class FleetInstance:
    """One instance: the calls that it has, and since when."""

    __slots__ = (
        "calls",
        "free_at",
        "idle_since",
        "number",
        "running",
        "since",
        "waiting",
        "watched",
    )

    def __init__(self, number: int) -> None:
        self.number = number
        self.calls = 0
        self.running = False
        self.waiting: list[float] = []
        """When the calls came that wait for its start."""
        self.free_at = 0.0
        """When what serves one call at a time has done all that stands in line."""
        self.since = 0.0
        self.idle_since = 0.0
        self.watched = False


class Fleet:
    """The instances of one function while calls come."""

    def __init__(self, plan: FleetPlan, clock: Any) -> None:
        """`clock` is a new `simpy.Environment`."""
        self._plan = plan
        self._clock = clock
        self._draw = random.Random(f"{plan.seed}-fleet")
        self._waits = self._taken(plan.waits)
        self._starts = self._taken(plan.starts)
        self._loads: dict[bool, list[tuple[int, int]]] = {True: [], False: []}
        self._there: dict[int, FleetInstance] = {}
        self._tokens, self._filled = float(plan.starts_at_once), 0.0
        self._times: list[float] = []
        self._refused = self._cold = self._started = self._ended = self._freezes = self._most = 0
        self._billed = 0.0
        self._over_time: list[tuple[float, int]] = [(0.0, 0)]

    def run(self, arrivals: Iterable[float]) -> FleetCourse:
        """Let calls come at these seconds, and return once the last one has ended."""
        self._clock.process(self._come(arrivals))
        self._clock.run()
        times = sorted(self._times)
        return FleetCourse(
            calls=len(times) + self._refused,
            refused=self._refused,
            cold=self._cold,
            started=self._started,
            ended=self._ended,
            freezes=self._freezes,
            most=self._most,
            p50=ordered_quantile(times, 0.5),
            p99=ordered_quantile(times, 0.99),
            billed=self._billed,
            exact=True,
            over_time=self._over_time,
        )

    def _come(self, arrivals: Iterable[float]) -> Any:
        for second in arrivals:
            yield self._clock.timeout(max(0.0, second - self._clock.now))
            self._place()

    def _after(self, seconds: float, what: Callable[[], None]) -> None:
        self._clock.timeout(seconds).callbacks.append(lambda _event: what())

    # --- where a call goes

    def _place(self) -> None:
        instance = self._with_room(running=True) or self._with_room(running=False) or self._new()
        if instance is None:
            self._refused += 1
            return
        instance.calls += 1
        if not instance.running:
            self._cold += 1
            instance.waiting.append(self._clock.now)
            self._offer(instance)
            return
        if instance.calls == 1:
            instance.since = self._clock.now
        self._offer(instance)
        self._begin(instance, self._clock.now)

    def _with_room(self, *, running: bool) -> FleetInstance | None:
        """Return the instance with the fewest calls, of those the oldest; entries of a load that it
        has no more are left behind here.
        """
        loads = self._loads[running]
        while loads:
            calls, number = loads[0]
            instance = self._there.get(number)
            if instance is not None and instance.calls == calls and instance.running == running:
                return instance
            heapq.heappop(loads)
        return None

    def _offer(self, instance: FleetInstance) -> None:
        """Let calls come to the instance, if it has room."""
        if instance.calls < self._plan.at_once:
            heapq.heappush(self._loads[instance.running], (instance.calls, instance.number))

    # --- an instance

    def _new(self) -> FleetInstance | None:
        """Start an instance, unless the platform's limits are against it."""
        plan, now = self._plan, self._clock.now
        grown = self._tokens + (now - self._filled) / 60 * plan.starts_a_minute
        self._tokens, self._filled = min(grown, float(plan.starts_at_once)), now
        if len(self._there) >= plan.limit or self._tokens < 1:
            return None
        self._tokens -= 1
        self._started += 1
        instance = FleetInstance(self._started)
        self._there[instance.number] = instance
        self._note()
        self._after(next(self._starts), lambda: self._run(instance))
        return instance

    def _note(self) -> None:
        self._most = max(self._most, len(self._there))
        self._over_time.append((self._clock.now, len(self._there)))

    def _run(self, instance: FleetInstance) -> None:
        instance.running = True
        instance.since = self._clock.now
        waiting, instance.waiting = instance.waiting, []
        self._offer(instance)
        for came in waiting:
            self._begin(instance, came)

    def _settle(self, instance: FleetInstance) -> None:
        """Freeze the instance: it has no call."""
        now = self._clock.now
        self._billed += now - instance.since
        self._freezes += 1
        instance.idle_since = now
        if not instance.watched:
            instance.watched = True
            self._watch(instance)

    def _watch(self, instance: FleetInstance) -> None:
        patience = self._draw.uniform(*self._plan.idle)
        seen = instance.idle_since

        def look() -> None:
            if instance.calls:
                instance.watched = False
            elif instance.idle_since > seen:
                self._watch(instance)
            else:
                del self._there[instance.number]
                self._ended += 1
                self._note()

        self._after(max(0.0, seen + patience - self._clock.now), look)

    # --- a call in its instance

    def _taken(self, times: Sequence[float]) -> Iterator[float]:
        """Return times one after the other, or drawn, without end."""
        if self._plan.in_order:
            return itertools.cycle(times)
        return (times[int(self._draw.random() * len(times))] for _ in itertools.count())

    def _in_line(self, instance: FleetInstance, seconds: float) -> float:
        """Put work in line at the instance; return in how many seconds it is done."""
        now: float = self._clock.now
        instance.free_at = max(instance.free_at, now) + seconds
        return instance.free_at - now

    def _begin(self, instance: FleetInstance, came: float) -> None:
        """Half of what is served one at a time comes before the wait, and half after it."""
        half = self._plan.serial / 2
        wait = self._in_line(instance, half) + next(self._waits)
        self._after(
            wait,
            lambda: self._after(self._in_line(instance, half), lambda: self._end(instance, came)),
        )

    def _end(self, instance: FleetInstance, came: float) -> None:
        self._times.append(self._clock.now - came)
        instance.calls -= 1
        self._offer(instance)
        if not instance.calls:
            self._settle(instance)
