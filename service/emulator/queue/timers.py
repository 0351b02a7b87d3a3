"""The timer triggers of the file, fired by the clock of this machine."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from datetime import UTC, datetime
from typing import Any, Protocol

import orjson

from ...protocol import SERVICE_LOGGER
from ..spec.cron import parse_cron
from ..spec.model import DeployedFunction, Timer

NAP = 15.0
"""Seconds after which the clock is read again. A sleep does not count the time in which the machine
was suspended, and knows of no clock that was set.
"""

Fire = Callable[[str, bytes], Awaitable[object]]

log = logging.getLogger(SERVICE_LOGGER)


class Clock(Protocol):
    """What time it is, and a way to let it pass."""

    def now(self) -> datetime:
        """Return the time, with its zone."""

    async def sleep(self, seconds: float) -> None:
        """Return after some seconds."""


class WallClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        """Return the time in UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Return after some seconds in which the machine ran."""
        await asyncio.sleep(seconds)


def event(timer: Timer, moment: datetime) -> bytes:
    """Return the event that the platform sends when a timer fires (docs/platform.md section 11)."""
    return orjson.dumps(
        {
            "triggerTime": f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "triggerName": timer.name,
            "payload": timer.payload,
        }
    )


class Timers:
    """Fires each enabled timer of the functions at its times, from `start` to `stop`.

    A call that is still under way does not hold the next one up. Times that went by while the
    machine was suspended fire once, with the first of them in the event; no time fires twice,
    though the clock may be put back.
    """

    def __init__(
        self, functions: Iterable[DeployedFunction], fire: Fire, clock: Clock | None = None
    ) -> None:
        """`fire` is awaited with a function's name and the event; what it raises is logged."""
        self._fire = fire
        self._clock = clock or WallClock()
        self._functions = functions
        self._ticking: dict[tuple[str, Timer], asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Count from now. Needs a running loop."""
        self.follow(self._functions)

    def follow(self, functions: Iterable[DeployedFunction]) -> None:
        """Fire the timers of these functions from now on: those that are as they were go on, and
        miss no time; calls under way are made.
        """
        wanted = {(f.name, timer): None for f in functions for timer in f.timers if timer.enabled}
        for gone in self._ticking.keys() - wanted.keys():
            self._ticking.pop(gone).cancel()
        for each in wanted:
            if each not in self._ticking:
                self._ticking[each] = self._run(self._tick(*each))

    async def stop(self) -> None:
        """Fire no more; calls under way are cancelled."""
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _tick(self, function: str, timer: Timer) -> None:
        schedule = parse_cron(timer.cron)
        due = schedule.next_after(self._clock.now())
        while True:
            while (wait := (due - self._clock.now()).total_seconds()) > 0:
                await self._clock.sleep(min(wait, NAP))
            self._run(self._call(function, timer, due))
            due = schedule.next_after(due)
            if due <= (now := self._clock.now()):
                due = schedule.next_after(now)

    async def _call(self, function: str, timer: Timer, due: datetime) -> None:
        try:
            await self._fire(function, event(timer, due))
        except Exception:
            log.exception("timer %s of %s: the event was not sent", timer.name, function)
