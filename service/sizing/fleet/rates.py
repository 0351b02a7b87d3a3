"""A fleet by rates, for calls that are too many to be simulated one by one: step by step, from the
mean of the calls in flight and how far chance takes it.

The rules are those of `fleet.py`. In flight are as many calls as Little's law says; their most in a
step is drawn as that of a Poisson number which changes completely in the time of a call. What finds
no room while instances start waits in them, and so do the calls of a rate that all running ones
cannot serve.
"""

from __future__ import annotations

import bisect
import math
import random
from collections import deque
from collections.abc import Sequence
from statistics import NormalDist, fmean

from ..fit import full_time
from .course import FleetCourse, FleetPlan
from .patterns import CallPattern

RATE_STEPS, LEAST_RATE_STEP = 20_000, 1.0
"""Steps at most, and seconds of one at least."""

RATE_DRAWS = 400
"""Calls that are drawn for each load that an instance had, to tell their times."""

_NORMAL = NormalDist()


class FleetRates:
    """The instances of one function, as numbers."""

    def __init__(self, plan: FleetPlan) -> None:
        self._plan = plan
        self._draw = random.Random(f"{plan.seed}-rates")
        self._alone = plan.serial + plan.wait
        self._start = fmean(plan.starts)
        self._most_each = plan.at_once / full_time(plan.at_once, plan.serial, plan.wait)
        self._there = 0
        self._most = self._started = self._ended = 0
        self._tokens = float(plan.starts_at_once)
        self._peaks: deque[tuple[float, float]] = deque()
        self._calls = self._refused = self._cold = self._billed = 0.0
        self._loads: dict[int, float] = {}
        self._over_time: list[tuple[float, int]] = [(0.0, 0)]

    def run(self, pattern: CallPattern) -> FleetCourse:
        """Let the pattern's calls come; return what becomes of them."""
        step = max(LEAST_RATE_STEP, pattern.seconds / RATE_STEPS)
        now = 0.0
        while now < pattern.seconds:
            width = min(step, pattern.seconds - now)
            self._step(now, width, pattern.rate(now + width / 2))
            now += width
        p50, p99 = self._times()
        return FleetCourse(
            calls=round(self._calls),
            refused=round(self._refused),
            cold=round(self._cold),
            started=self._started,
            ended=self._ended,
            freezes=0,
            most=self._most,
            p50=p50,
            p99=p99,
            billed=self._billed,
            exact=False,
            over_time=self._over_time,
        )

    def _step(self, now: float, width: float, rate: float) -> None:
        self._calls += rate * width
        if rate <= 0:
            self._end_idle(now, 0.0)
            return
        in_flight = rate * (self._alone + self._line(rate))
        peak = self._peak(in_flight, width)
        self._start_some(now, width, rate, peak)
        refused = self._refuse(rate, width)
        served = max(0.0, rate - refused / width)
        self._end_idle(now, peak)
        self._note_times(served, width)
        self._billed += width * min(self._there, served * (self._alone + self._line(served)))

    # --- how many calls are in flight

    def _line(self, rate: float) -> float:
        """Return how long a call stands in line in the mean (a queue of one server that takes the
        same time for each).
        """
        serial, at_once = self._plan.serial, self._plan.at_once
        if not self._there:
            return 0.0
        # The least loaded instance takes a call, so that none stands in line for itself.
        busy = max(0.0, rate * serial / self._there - serial / self._alone)
        longest = (at_once - 1) * serial
        return longest if busy >= 1 else min(longest, busy * serial / (2 * (1 - busy)))

    def _peak(self, in_flight: float, width: float) -> float:
        """Draw the most calls in flight during a step."""
        times = max(1.0, 2 * width / self._alone)
        chance = min(max(self._draw.random() ** (1 / times), 1e-9), 1 - 1e-15)
        far = _NORMAL.inv_cdf(chance)
        return max(1.0, (math.sqrt(in_flight) + max(far, 0.0) / 2) ** 2)

    # --- instances

    def _start_some(self, now: float, width: float, rate: float, peak: float) -> None:
        """Start as many instances as the calls need that find all full, if they may be."""
        plan, room = self._plan, self._there * self._plan.at_once
        self._tokens = min(
            self._tokens + width / 60 * plan.starts_a_minute, float(plan.starts_at_once)
        )
        missing = max(0.0, rate - self._there * self._most_each)
        waiting = missing * min(self._start + self._alone, width)
        over = max(peak - room, self._peak(waiting, width) if waiting > 0 else 0.0)
        wanted = math.ceil(over / plan.at_once) if over > 0 else 0
        fresh = min(wanted, plan.limit - self._there, int(self._tokens))
        if fresh <= 0:
            return
        self._tokens -= fresh
        self._there += fresh
        self._started += fresh
        self._most = max(self._most, self._there)
        self._over_time.append((now, self._there))
        self._cold += min(max(over, fresh), fresh * plan.at_once, rate * width)

    def _refuse(self, rate: float, width: float) -> float:
        """Return how many calls of a step find all full where no more may be started (Erlang's loss
        formula for many servers, by the normal distribution).
        """
        plan = self._plan
        if self._there < plan.limit and self._tokens >= 1:
            return 0.0
        servers = max(1.0, self._there * plan.at_once)
        offered = rate * max(self._alone, plan.at_once / self._most_each)
        far = (servers - offered) / math.sqrt(offered)
        share = 1 - servers / offered
        if far > -8:
            share = _NORMAL.pdf(far) / (math.sqrt(offered) * _NORMAL.cdf(far))
        refused = rate * width * min(max(share, 0.0), 1.0)
        self._refused += refused
        return refused

    def _end_idle(self, now: float, peak: float) -> None:
        """End the instances that no call has needed for long: the oldest of those with the fewest
        calls gets the next one, so as many stay as there were calls at once.
        """
        patience = sum(self._plan.idle) / 2
        while self._peaks and self._peaks[0][0] < now - patience:
            self._peaks.popleft()
        while self._peaks and self._peaks[-1][1] <= peak:  # they are never the most again
            self._peaks.pop()
        self._peaks.append((now, peak))
        needed = math.ceil(self._peaks[0][1])
        if now >= patience and needed < self._there:
            self._ended += self._there - needed
            self._there = needed
            self._over_time.append((now, needed))

    # --- times

    def _note_times(self, rate: float, width: float) -> None:
        """Add a step's calls to those of its load, in steps of a hundredth of the serial part."""
        serial = self._plan.serial
        busy = max(0.0, rate * serial / max(self._there, 1) - serial / self._alone)
        key = min(100, round(100 * busy))
        self._loads[key] = self._loads.get(key, 0.0) + rate * width

    def _times(self) -> tuple[float, float]:
        """Return p50 and p99, from calls that are drawn for each load that there was."""
        drawn = sorted(
            (self._time(key / 100), weight / RATE_DRAWS)
            for key, weight in self._loads.items()
            for _ in range(RATE_DRAWS)
        )
        served = max(1e-9, sum(weight for _, weight in drawn))
        cold = min(self._cold, served) / RATE_DRAWS
        late = [
            (self._time(0.0) + self._draw.random() * self._drawn(self._plan.starts), cold)
            for _ in range(RATE_DRAWS)
        ]
        drawn = sorted(
            [(each, weight * (1 - cold * RATE_DRAWS / served)) for each, weight in drawn] + late
        )
        sums, total = [], 0.0
        for _, weight in drawn:
            total += weight
            sums.append(total)

        def at(share: float) -> float:
            return drawn[min(len(drawn) - 1, bisect.bisect_left(sums, share * total))][0]

        return at(0.5), at(0.99)

    def _drawn(self, quantiles: Sequence[float]) -> float:
        return quantiles[int(self._draw.random() * len(quantiles))]

    def _time(self, busy: float) -> float:
        """Draw the time of one call in an instance that is so busy."""
        serial, plan = self._plan.serial, self._plan
        line = 0.0
        if busy >= 1:
            line = (plan.at_once - 1) * serial
        elif self._draw.random() < busy:
            line = self._draw.random() * serial / (1 - busy)
        return serial + self._drawn(plan.waits) + min(line, (plan.at_once - 1) * serial)
