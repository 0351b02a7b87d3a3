"""The order in which one function's asynchronous calls are run: as they came, as far as there is
room, those that wait for their time when it has come.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import math
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

from .task import AsyncTask

LOOK_AGAIN = 0.5
"""Seconds after which a full function is asked again for room: synchronous calls leave unseen."""


class Lane:
    """Numbers of tasks that wait, and the runs of those that do not."""

    def __init__(
        self,
        *,
        load: Callable[[int], AsyncTask | None],
        run: Callable[[AsyncTask], Coroutine[Any, Any, None]],
        cut: Callable[[int], None],
        expire: Callable[[AsyncTask], None],
        room: Callable[[], int],
        log: Callable[[str], None],
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        """`load` reads a task from the store, `run` runs it, `cut` hears of a run that was
        cancelled, `expire` ends a task that is too old.
        """
        self._load = load
        self._run = run
        self._cut = cut
        self._expire = expire
        self._room = room
        self._log = log
        self._clock = clock
        self._sleep = sleep
        self._ready: deque[tuple[int, float]] = deque()  # number, when it is too old
        self._later: list[tuple[float, int, float]] = []  # due, number, when it is too old
        self._oldest = math.inf
        """The first time at which something in `_ready` may be too old."""
        self._running: dict[int, asyncio.Task[None]] = {}
        self._news = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to run tasks."""
        self._serving = asyncio.create_task(self._serve())

    def put(self, number: int, due: float, expires: float) -> None:
        """Let a task wait until `due`, and then for room; both times are Unix seconds."""
        if due > self._clock():
            heapq.heappush(self._later, (due, number, expires))
        else:
            self._queue(number, expires)
        self._news.set()

    def remove(self, number: int) -> bool:
        """Forget a task that waits; False where there is none."""
        before = len(self._ready) + len(self._later)
        self._ready = deque(entry for entry in self._ready if entry[0] != number)
        self._later = [entry for entry in self._later if entry[1] != number]
        heapq.heapify(self._later)
        return len(self._ready) + len(self._later) < before

    def stop_running(self, number: int) -> bool:
        """Cut the run of a task; False where it does not run."""
        run = self._running.get(number)
        return run is not None and run.cancel()

    async def stop(self, grace: float) -> None:
        """Begin nothing any more, give what runs `grace` seconds, then cut it."""
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.wait({self._serving})
        if self._running and grace:
            await asyncio.wait(self._running.values(), timeout=grace)
        for run in self._running.values():
            run.cancel()
        while self._running:
            await asyncio.wait(self._running.values())

    async def _serve(self) -> None:
        while True:
            self._news.clear()
            try:
                self._ripen()
                begun = self._begin()
            except Exception as error:  # of the disk, for example: it may be gone by the next look
                self._log(f"async calls wait: {type(error).__name__}: {error}")
                await self._sleep(LOOK_AGAIN)
                continue
            if begun:
                await asyncio.sleep(0)  # the runs take their places, which `room` counts
            else:
                await self._wait(self._pause())

    def _queue(self, number: int, expires: float) -> None:
        self._ready.append((number, expires))
        self._oldest = min(self._oldest, expires)

    def _ripen(self) -> None:
        """Move to the queue what is due, and end what is too old."""
        now = self._clock()
        while self._later and self._later[0][0] <= now:
            _, number, expires = heapq.heappop(self._later)
            self._queue(number, expires)
        if now < self._oldest:
            return
        waiting, self._ready = self._ready, deque()
        self._oldest = math.inf
        for number, expires in waiting:
            if expires > now:
                self._queue(number, expires)
            elif (task := self._load(number)) is not None:
                self._expire(task)

    def _begin(self) -> int:
        """Begin as many runs as there is room for; return how many."""
        count = min(len(self._ready), max(self._room(), 0))
        tasks = [self._load(self._ready[index][0]) for index in range(count)]
        for task in tasks:
            self._ready.popleft()
            if task is not None:
                run = asyncio.create_task(self._run(task))
                self._running[task.number] = run
                run.add_done_callback(partial(self._ended, task.number))
        return count

    def _ended(self, number: int, run: asyncio.Task[None]) -> None:
        if self._running.get(number) is run:  # else a retry of it runs by now
            del self._running[number]
        if run.cancelled():
            self._cut(number)
        elif (error := run.exception()) is not None:
            self._log(f"an async call's run broke: {type(error).__name__}: {error}")
        self._news.set()

    def _pause(self) -> float | None:
        """Return how long nothing is to be done, in seconds; None: until there is news."""
        now = self._clock()
        times = [self._later[0][0]] if self._later else []
        if self._ready:
            times.append(now + LOOK_AGAIN)  # for room, and for what is too old by then
        return max(min(times) - now, 0.0) if times else None

    async def _wait(self, seconds: float | None) -> None:
        if seconds is None:
            await self._news.wait()
            return
        news = asyncio.ensure_future(self._news.wait())
        timer = asyncio.ensure_future(self._sleep(seconds))
        try:
            await asyncio.wait({news, timer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in (news, timer):
                waiter.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await waiter
