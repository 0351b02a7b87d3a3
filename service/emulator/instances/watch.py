"""The watch over the instances of a function: what memory they have, which processes they have
started meanwhile, and how long they have had no call (docs/platform.md section 6).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from .instance import Instance
from .proc import process_table

TICK = 0.1
"""Seconds between two looks at the memory of instances that are not frozen, and between two looks
for idle ones at least.
"""

TICKS = 10
"""Every so many looks, processes are searched for that instances have started meanwhile."""


class InstanceWatch:
    """Looks at `instances`, which may change meanwhile, between `start` and `stop`.

    Ends those that have more than `memory` MB, if that is given, and those that are there for
    demand alone and had no call for `idle_timeout` seconds.
    """

    def __init__(
        self,
        instances: Sequence[Instance],
        *,
        idle_timeout: float,
        memory: int | None,
        held_until: Callable[[Instance], float],
    ) -> None:
        """`held_until` says until when an instance is kept, called or not, on the monotonic
        clock.
        """
        self._instances = instances
        self._idle_timeout = idle_timeout
        self._memory = memory
        self._held_until = held_until
        self._active = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to look."""
        self._tasks = [asyncio.create_task(self._watch()), asyncio.create_task(self._sweep())]

    async def stop(self) -> None:
        """Look no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def wake(self) -> None:
        """Take note that the processes of an instance have begun to run, or were stopped."""
        self._active.set()

    async def _watch(self) -> None:
        """See to the memory of instances that run, and to what a freeze has missed."""
        tick = 0
        while True:
            await self._active.wait()
            await asyncio.sleep(TICK)
            tick += 1
            awake = [each for each in self._instances if each.processes and not each.frozen]
            if (awake and tick % TICKS == 0) or any(
                each.freezer.is_unseen for each in self._instances
            ):
                self._look()
            for each in awake:
                self._check_memory(each)
            if not awake and all(each.freezer.looked for each in self._instances):
                self._active.clear()

    def _look(self) -> None:
        with suppress(OSError):  # no more files may be open: the next look sees it
            entries = process_table()
            for each in self._instances:
                each.freezer.look(entries)
                each.sample()

    def _check_memory(self, instance: Instance) -> None:
        memory, limit = instance.sample(), self._memory
        if limit is not None and memory > limit:
            instance.kill(f"is killed: it has {memory:.2f} MB, and memorySize is {limit} MB")

    async def _sweep(self) -> None:
        """Stop on-demand instances that have had no call for long."""
        limit = self._idle_timeout
        while True:
            next_end = time.monotonic() + limit
            for each in self._instances:
                if each.state != "running" or each.in_flight or each.provisioned:
                    continue
                end = max(each.idle_since + limit, self._held_until(each))
                if end <= time.monotonic():
                    each.close(f"it had no call for {limit:g} seconds")
                else:
                    next_end = min(next_end, end)
            await asyncio.sleep(max(next_end - time.monotonic(), TICK))
