"""The load on one instance: it is held full, then called at even distances, come what may."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from ..level import ordered_quantile

MakeCall = Callable[[], Awaitable[str]]
"""Makes a call and returns why it failed, "" if it succeeded."""

LEAST_ROUNDS = 3
"""Calls of each caller from which on the first of them can be left out."""


NO_ANSWER = "no answer in time"


@dataclass(slots=True)
class LoadPart:
    """What came of one part. Times in seconds, those of the ends since the part began."""

    ends: list[float] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    errors: int = 0
    error: str = ""
    unanswered: int = 0
    """Calls that had no answer when the part was given up."""

    def note(self, end: float, took: float, failure: str) -> None:
        """Add a call that has ended."""
        self.ends.append(end)
        self.times.append(took)
        if failure:
            self.errors += 1
            self.error = self.error or failure

    def at(self, share: float) -> float:
        """Return the time that such a share of the calls took at most."""
        return ordered_quantile(sorted(self.times), share)


async def hold(make_call: MakeCall, at_once: int, seconds: float, patience: float) -> LoadPart:
    """Keep `at_once` calls in the instance for so many seconds; return when the last has ended, or
    is given up `patience` seconds later.
    """
    clock = asyncio.get_running_loop().time
    part, began = LoadPart(), clock()

    async def caller() -> None:
        while (sent := clock()) - began < seconds:
            await _count(make_call, part, began, sent)

    tasks = {asyncio.create_task(caller()) for _ in range(at_once)}
    await _ended(tasks, seconds + patience)
    return part


async def _count(make_call: MakeCall, part: LoadPart, began: float, since: float) -> None:
    """Make a call and note it, with its time since a moment; also one that is given up."""
    clock = asyncio.get_running_loop().time
    try:
        failure = await make_call()
    except asyncio.CancelledError:
        part.unanswered += 1
        part.note(clock() - began, clock() - since, NO_ANSWER)
        raise
    part.note(clock() - began, clock() - since, failure)


async def _ended(tasks: set[asyncio.Task[None]], seconds: float) -> None:
    """Wait for tasks for so long, and cancel those that are left; also if this is cancelled."""
    try:
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
    finally:
        left = [task for task in tasks if task.cancel()]
        await asyncio.gather(*left, return_exceptions=True)


def throughput(part: LoadPart, at_once: int, seconds: float) -> float:
    """Return the calls a second of an instance that was held full for so many seconds.

    The first round is left out if there were several: until its end nothing could end.
    """
    ends = sorted(part.ends)
    inside = [end for end in ends if end <= seconds]
    if len(inside) >= LEAST_ROUNDS * at_once and inside[-1] > inside[at_once - 1]:
        return (len(inside) - at_once) / (inside[-1] - inside[at_once - 1])
    return len(ends) / ends[-1] if ends and ends[-1] > 0 else 0.0


async def offer(
    make_call: MakeCall, at_once: int, rate: float, seconds: float, patience: float
) -> LoadPart:
    """Have calls due at even distances, `rate` of them a second, for so many seconds.

    Each call's time counts from when it was due, whether it could be sent then or had to wait since
    `at_once` were under way: a stall is seen in each call that was due meanwhile. What has no
    answer `patience` seconds after the last was due is given up, and counts with its time until
    then.
    """
    clock = asyncio.get_running_loop().time
    part, began, slots = LoadPart(), clock(), asyncio.Semaphore(at_once)

    async def in_slot() -> str:
        async with slots:
            return await make_call()

    tasks: set[asyncio.Task[None]] = set()
    try:
        for number in range(max(1, int(rate * seconds))):
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - clock()))  # late or not, others get on
            task = asyncio.create_task(_count(in_slot, part, began, due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
    except asyncio.CancelledError:
        patience = 0
        raise
    finally:
        await _ended(tasks, patience)
    return part
