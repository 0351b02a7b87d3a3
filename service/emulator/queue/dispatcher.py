"""Runs asynchronous calls: takes them from the queue, retries them, sends their results on.

Each function has a Lane of its own, so that a backlog of one delays no other. What becomes of a
task after a run is said by `answered` and `refused`, which are pure (docs/platform.md section 12).
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial

from ...protocol import new_request_id
from ..calls import Invocation, Invoker, PlatformError
from ..spec.model import Destination, Function
from .destination import destination_event
from .outcomes import _detail, _failure, answered, refused
from .schedule import Lane
from .store import Store, TaskExists
from .task import AsyncTask, Status, TaskQuery

EVENT_LIMIT = 128 * 1024
"""Bytes of an asynchronous call's event (docs/platform.md section 8), a destination's too.

That ends functions which are each other's destinations: each event quotes the one before, and the
escapes of what is quoted double with each turn.
"""


_TASK_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}", re.ASCII)


class Dispatcher:
    """The asynchronous calls of all functions."""

    def __init__(
        self,
        store: Store,
        functions: Mapping[str, Function],
        pools: Mapping[str, Invoker],
        log: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`log` is given a line for each retry and each call that is given up; `clock` gives the
        Unix time in seconds.
        """
        self._store = store
        self._functions = functions
        self._pools = pools
        self._log = log
        self._clock = clock
        self._lanes = {
            name: Lane(
                load=store.load,
                run=partial(self._run, function),
                cut=self._cut,
                expire=partial(self._expire, function),
                room=partial(_room, pools[name]),
                log=log,
                clock=clock,
                sleep=sleep,
            )
            for name, function in functions.items()
        }

    async def start(self) -> None:
        """Take up what is in the store: a call that ran when the emulator ended runs again."""
        now = self._clock()
        for number in self._store.unfinished():
            task = self._store.load(number)
            if task is not None:
                self._resume(task, now)
        for lane in self._lanes.values():
            lane.start()

    async def submit(
        self, function: str, event: bytes, task_id: str = "", *, request_id: str = ""
    ) -> AsyncTask:
        """Return the task of a new call once it is on disk; without an id it gets its request's.

        Raises PlatformError 404 `FunctionNotFound`, 400 `InvalidArgument`, 409
        `AsyncTaskAlreadyExists` (no document names that one for Function Compute 3; 2 has
        `StatefulAsyncInvocationAlreadyExists`); StoreError.
        """
        if function not in self._functions:
            raise PlatformError(404, "FunctionNotFound", f"function '{function}' does not exist")
        request_id = request_id or new_request_id()
        if task_id and not _TASK_ID.fullmatch(task_id):
            told = (
                f"the async task id '{task_id[:200]}' is not 1 to 128 letters, digits, _ and -, "
                "with a letter or _ first"
            )
            raise PlatformError(400, "InvalidArgument", told)
        now = self._clock()
        task = AsyncTask(function, task_id or request_id, request_id, event, submitted=now)
        try:
            task, written = self._add(task.moved(Status.ENQUEUED, now))
        except TaskExists as error:
            raise PlatformError(409, "AsyncTaskAlreadyExists", str(error)) from None
        # A caller that leaves meanwhile takes nothing back: the task may be on disk by then.
        await asyncio.shield(written)
        return task

    def find(self, function: str, task_id: str) -> AsyncTask | None:
        """Return a task, None where there is none of that id."""
        return self._store.find(function, task_id)

    def page(self, query: TaskQuery) -> tuple[list[AsyncTask], int | None]:
        """Return a page of tasks, and the number to go on after."""
        return self._store.page(query)

    def abort(self, task: AsyncTask) -> None:
        """Stop a task: one that waits is not run, one that runs is left as by a caller that leaves.

        One that has ended stays as it is.
        """
        lane = self._lanes[task.function]
        if lane.stop_running(task.number):
            self._store.save(task.moved(Status.STOPPING, self._clock()))
        elif lane.remove(task.number):
            self._store.save(task.moved(Status.STOPPED, self._clock()))

    async def stop(self, grace: float = 0.0) -> None:
        """Begin no further call. Those that run have `grace` seconds to end, then they go back to
        the queue, for the next start. The store stays open.
        """
        await asyncio.gather(*(lane.stop(grace) for lane in self._lanes.values()))
        self._store.flush()

    def _add(self, task: AsyncTask) -> tuple[AsyncTask, asyncio.Future[None]]:
        """Write a new task, which waits in its lane as soon as it is on disk."""
        task, written = self._store.add(task)
        # Where the disk did not take it, the lane finds no task of that number.
        written.add_done_callback(lambda _: self._wait(task))
        return task, written

    def _wait(self, task: AsyncTask) -> None:
        config = self._functions[task.function].asynchronous
        self._lanes[task.function].put(task.number, task.due, task.submitted + config.max_age)

    def _resume(self, task: AsyncTask, now: float) -> None:
        if task.function not in self._functions:
            told = f"the file has no function '{task.function}' any more"
            self._store.save(task.moved(Status.INVALID, now, told))
        elif task.status is Status.STOPPING:
            self._store.save(task.moved(Status.STOPPED, now))
        else:
            if task.status is Status.RUNNING:
                self._store.save(task.moved(Status.ENQUEUED, now, "the emulator ended meanwhile"))
            self._wait(task)

    async def _run(self, function: Function, task: AsyncTask) -> None:
        now = self._clock()
        task = task.moved(Status.DEQUEUED, now).moved(Status.RUNNING, now, runs=task.runs + 1)
        self._store.save(task)
        result = b""
        try:
            outcome = await self._pools[function.name].invoke(
                Invocation(function.name, task.event, task.request_id, retry_count=task.retries)
            )
        except Exception as error:
            if (run := asyncio.current_task()) is not None and run.cancelling():
                raise asyncio.CancelledError from None  # that it was cut is what counts
            task = refused(task, _failure(error), function.asynchronous, self._clock())
        else:
            task = answered(task, outcome, function.asynchronous, self._clock())
            result = outcome.body
        self._settle(function, task, result)

    def _cut(self, number: int) -> None:
        """Keep a task whose run was cut: stopped by StopAsyncTask, else for the next start."""
        task = self._store.load(number)
        now = self._clock()
        if task is not None and task.status is Status.STOPPING:
            self._store.save(task.moved(Status.STOPPED, now))
        elif task is not None and task.status is Status.RUNNING:
            self._store.save(task.moved(Status.ENQUEUED, now, "the emulator was stopped"))

    def _expire(self, function: Function, task: AsyncTask) -> None:
        age = function.asynchronous.max_age
        told = _detail("Expired", f"it waited for {age:g} s")
        task = task.moved(Status.EXPIRED, self._clock(), told, error="Expired")
        self._settle(function, task, b"")

    def _settle(self, function: Function, task: AsyncTask, result: bytes) -> None:
        config = function.asynchronous
        if task.status is not Status.SUCCEEDED:
            self._log(f"async {function.name} {task.id}: {task.status} {task.steps[-1].detail}")
        if not task.ended:
            self._store.save(task)
            self._wait(task)
            return
        target = config.on_success if task.status is Status.SUCCEEDED else config.on_failure
        if target is not None:
            reached = self._send_on(function, task, result, target)
            task = replace(task, destination="Succeeded" if reached else "Failed")
        self._store.save(task)

    def _send_on(
        self, function: Function, task: AsyncTask, result: bytes, target: Destination
    ) -> bool:
        """Queue the call of a destination, in the transaction that ends the task; False if it is
        not called.
        """
        event = destination_event(task, function, result)
        obstacle = ""
        if target.function not in self._functions:
            obstacle = "the file has no such function"
        elif len(event) > EVENT_LIMIT:
            obstacle = f"its event has {len(event)} bytes, over {EVENT_LIMIT}"
        if obstacle:
            self._log(
                f"async {function.name} {task.id}: "
                f"destination {target.function} is not called: {obstacle}"
            )
            return False
        now = self._clock()
        request_id = new_request_id()
        call = AsyncTask(target.function, request_id, request_id, event, submitted=now)
        self._add(call.moved(Status.ENQUEUED, now))
        return True


def _room(pool: Invoker) -> int:
    return pool.room
