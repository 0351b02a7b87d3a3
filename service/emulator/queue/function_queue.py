"""The asynchronous calls of one function: run as far as there is room, tried again, ended.

What becomes of a task after a run is said by `answered` and `refused_try`, which are pure
(docs/platform.md section 12).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial

from ..calls import Invocation, Invoker
from ..spec.model import DeployedFunction
from .outcomes import answered, detail_of, failure_of_try, refused_try
from .schedule import Waiting, WaitingTasks
from .store import Store
from .task import AsyncTask, Status

LOOK_AGAIN = 0.5
"""Seconds after which a full function is asked again for room: synchronous calls leave unseen."""

SendOn = Callable[[AsyncTask, bytes], str]
"""Hands an ended task and its result to its destination; returns what became of that."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all queues share: the file, the log, and the time."""

    store: Store
    log: Callable[[str], None]
    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]


class FunctionQueue:
    """The tasks of one function that wait, and the runs of those that do not."""

    def __init__(
        self, function: DeployedFunction, invoker: Invoker, shared: Surroundings, send_on: SendOn
    ) -> None:
        self.function = function
        self.invoker = invoker
        self._store = shared.store
        self._log = shared.log
        self._clock = shared.clock
        self._sleep = shared.sleep
        self._send_on = send_on
        self._schedule = WaitingTasks()
        self._running: dict[int, asyncio.Task[None]] = {}
        self._news = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to run tasks."""
        self._serving = asyncio.create_task(self._serve())

    def put(self, task: AsyncTask) -> None:
        """Let a task wait until it is due, and then for room."""
        expires = task.submitted + self.function.asynchronous.max_age
        self._schedule.put(Waiting(task.number, task.due, expires), self._clock())
        self._news.set()

    @property
    def waiting(self) -> int:
        """How many tasks wait for their time, or for room."""
        return len(self._schedule)

    def abort(self, task: AsyncTask) -> None:
        """Stop a task: one that waits is not run, one that runs is left as by a caller that leaves.

        One that has ended stays as it is.
        """
        run = self._running.get(task.number)
        if run is not None and run.cancel():
            self._store.save(task.moved(Status.STOPPING, self._clock()))
        elif self._schedule.remove(task.number):
            self._store.save(task.moved(Status.STOPPED, self._clock()))

    def rest(self) -> None:
        """Begin nothing until the next `start`; what runs goes on."""
        if self._serving is not None:
            self._serving.cancel()

    async def stop(self, grace: float) -> None:
        """Begin nothing any more, give what runs `grace` seconds, then cut it."""
        self.rest()
        if self._serving is not None:
            await asyncio.wait({self._serving})
        if self._running and grace:
            await asyncio.wait(self._running.values(), timeout=grace)
        for run in self._running.values():
            run.cancel()
        while self._running:
            await asyncio.wait(self._running.values())

    # --- when a task runs

    async def _serve(self) -> None:
        while True:
            self._news.clear()
            try:
                self._expire(self._schedule.ripen(self._clock()))
                begun = self._begin()
            except Exception as error:  # of the disk, for example: it may be gone by the next look
                self._log(f"async calls wait: {type(error).__name__}: {error}")
                await self._sleep(LOOK_AGAIN)
                continue
            if begun:
                await asyncio.sleep(0)  # the runs take their places, which `room` counts
            else:
                await self._wait(self._pause())

    def _begin(self) -> int:
        """Begin as many runs as there is room for; return how many."""
        numbers = self._schedule.first(max(self.invoker.room, 0))
        tasks = [self._store.load(number) for number in numbers]
        self._schedule.drop_first(len(tasks))
        for task in tasks:
            if task is not None:
                run = asyncio.create_task(self._run(task))
                self._running[task.number] = run
                run.add_done_callback(partial(self._ended, task.number))
        return len(tasks)

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
        times = [] if self._schedule.next_due is None else [self._schedule.next_due]
        if self._schedule.ready:
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

    # --- what becomes of it

    async def _run(self, task: AsyncTask) -> None:
        function, now = self.function, self._clock()
        task = task.moved(Status.DEQUEUED, now).moved(Status.RUNNING, now, runs=task.runs + 1)
        self._store.save(task)
        result = b""
        try:
            outcome = await self.invoker.invoke(
                Invocation(function.name, task.event, task.request_id, retry_count=task.retries)
            )
        except Exception as error:
            if (run := asyncio.current_task()) is not None and run.cancelling():
                raise asyncio.CancelledError from None  # that it was cut is what counts
            task = refused_try(task, failure_of_try(error), function.asynchronous, self._clock())
        else:
            task = answered(task, outcome, function.asynchronous, self._clock())
            result = outcome.body
        self._settle(task, result)

    def _cut(self, number: int) -> None:
        """Keep a task whose run was cut: stopped by StopAsyncTask, else for the next start."""
        task = self._store.load(number)
        now = self._clock()
        if task is not None and task.status is Status.STOPPING:
            self._store.save(task.moved(Status.STOPPED, now))
        elif task is not None and task.status is Status.RUNNING:
            self._store.save(task.moved(Status.ENQUEUED, now, "the emulator was stopped"))

    def _expire(self, numbers: list[int]) -> None:
        told = detail_of("Expired", f"it waited for {self.function.asynchronous.max_age:g} s")
        for number in numbers:
            task = self._store.load(number)
            if task is not None:
                ended = task.moved(Status.EXPIRED, self._clock(), told, error="Expired")
                self._settle(ended, b"")

    def _settle(self, task: AsyncTask, result: bytes) -> None:
        if task.status is not Status.SUCCEEDED:
            self._log(f"async {task.function} {task.id}: {task.status} {task.steps[-1].detail}")
        if not task.ended:
            self._store.save(task)
            self.put(task)
        else:
            self._store.save(replace(task, destination=self._send_on(task, result)))
