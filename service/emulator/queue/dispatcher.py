"""The asynchronous calls of all functions: taken, found, and sent on to destinations.

Each function has a `FunctionQueue` of its own, so that a backlog of one delays no other.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping

from ...protocol import new_request_id
from ..calls import Invoker, PlatformError
from ..spec.model import DeployedFunction, Destination
from .destination import destination_event
from .function_queue import FunctionQueue, Surroundings
from .store import Store, TaskExists
from .task import AsyncTask, Status, TaskQuery

EVENT_LIMIT = 128 * 1024
"""Bytes of an asynchronous call's event (docs/platform.md section 8), a destination's too.

That ends functions which are each other's destinations: each event quotes the one before, and the
escapes of what is quoted double each time.
"""

_TASK_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}", re.ASCII)


class Dispatcher:
    """The asynchronous calls of all functions."""

    def __init__(
        self,
        store: Store,
        functions: Mapping[str, DeployedFunction],
        invokers: Mapping[str, Invoker],
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
        self._log = log
        self._clock = clock
        self._invokers = invokers
        self._shared = Surroundings(store, log, clock, sleep)
        self._queues = {name: self._new_queue(function) for name, function in functions.items()}

    def _new_queue(self, function: DeployedFunction) -> FunctionQueue:
        return FunctionQueue(function, self._invokers[function.name], self._shared, self._send_on)

    async def start(self) -> None:
        """Take up what is in the store: a call that ran when the emulator ended runs again."""
        self._take_up(None)
        for queue in self._queues.values():
            queue.start()

    def _take_up(self, function: str | None) -> None:
        """Let the calls wait that the store has, of one function or of all."""
        now = self._clock()
        for number in self._store.unfinished():
            task = self._store.load(number)
            if task is not None and function in (None, task.function):
                self._resume(task, now)

    def add(self, function: DeployedFunction) -> None:
        """Take calls of one function more, and take up those that the store has. One that was
        removed and comes back goes on with its own, of which some may run still.
        """
        queue = self._queues.get(function.name)
        if queue is None:
            queue = self._queues[function.name] = self._new_queue(function)
            self._take_up(function.name)
        else:
            queue.function, queue.invoker = function, self._invokers[function.name]
        queue.start()

    def change(self, function: DeployedFunction) -> None:
        """Go by another configuration of a function."""
        self._queues[function.name].function = function

    def remove(self, function: str) -> None:
        """Begin no further call of a function; those that run end. What waits is in the store until
        there is such a function again.
        """
        self._queues[function].rest()

    async def submit(
        self,
        function: str,
        event: bytes,
        task_id: str = "",
        *,
        request_id: str = "",
        delay: float = 0.0,
    ) -> AsyncTask:
        """Return the task of a new call once it is on disk; without an id it gets its request's.

        It is not run before `delay` seconds have passed. Raises PlatformError 404
        `FunctionNotFound`, 400 `InvalidArgument`, 409 `AsyncTaskAlreadyExists` (no document names
        that one for Function Compute 3; 2 has `StatefulAsyncInvocationAlreadyExists`); StoreError.
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
        due = now + delay if delay else 0.0
        task = AsyncTask(function, task_id or request_id, request_id, event, submitted=now, due=due)
        try:
            task, written = self._add(task.moved(Status.ENQUEUED, now))
        except TaskExists as error:
            raise PlatformError(409, "AsyncTaskAlreadyExists", str(error)) from None
        # A caller that leaves meanwhile takes nothing back: the task may be on disk by then.
        await asyncio.shield(written)
        return task

    def find(self, function: str, task_id: str) -> AsyncTask | None:
        """Return a task, None if there is none of that id."""
        return self._store.find(function, task_id)

    def waiting(self, function: str) -> int:
        """Return how many calls of a function wait for their time, or for room."""
        queue = self._queues.get(function)
        return 0 if queue is None else queue.waiting

    def page(self, query: TaskQuery) -> tuple[list[AsyncTask], int | None]:
        """Return a page of tasks, and the number to go on after."""
        return self._store.page(query)

    def abort(self, task: AsyncTask) -> None:
        """Stop a task: one that waits is not run, one that runs is left as by a caller that leaves.

        One that has ended stays as it is.
        """
        self._queues[task.function].abort(task)

    async def stop(self, grace: float = 0.0) -> None:
        """Begin no further call. Those that run have `grace` seconds to end, then they go back to
        the queue, for the next start. The store stays open.
        """
        await asyncio.gather(*(queue.stop(grace) for queue in self._queues.values()))
        self._store.flush()

    def _add(self, task: AsyncTask) -> tuple[AsyncTask, asyncio.Future[None]]:
        """Write a new task, which waits in its queue as soon as it is on disk."""
        task, written = self._store.add(task)
        # If the disk did not take it, the queue finds no task of that number.
        written.add_done_callback(lambda _: self._queues[task.function].put(task))
        return task, written

    def _resume(self, task: AsyncTask, now: float) -> None:
        if task.function not in self._functions:
            told = f"the file has no function '{task.function}' any more"
            self._store.save(task.moved(Status.INVALID, now, told))
        elif task.status is Status.STOPPING:
            self._store.save(task.moved(Status.STOPPED, now))
        else:
            if task.status is Status.RUNNING:
                self._store.save(task.moved(Status.ENQUEUED, now, "the emulator ended meanwhile"))
            self._queues[task.function].put(task)

    # --- destinations

    def _send_on(self, task: AsyncTask, result: bytes) -> str:
        """Queue the call of a task's destination, in the transaction that ends the task; return
        what the task says of it: "" if it has none.
        """
        function = self._queues[task.function].function  # it may have been removed meanwhile
        config = function.asynchronous
        target = config.on_success if task.status is Status.SUCCEEDED else config.on_failure
        if target is None:
            return ""
        event = destination_event(task, function, result)
        if obstacle := self._obstacle(target, event):
            told = f"destination {target.function} is not called: {obstacle}"
            self._log(f"async {task.function} {task.id}: {told}")
            return "Failed"
        now = self._clock()
        request_id = new_request_id()
        call = AsyncTask(target.function, request_id, request_id, event, submitted=now)
        self._add(call.moved(Status.ENQUEUED, now))
        return "Succeeded"

    def _obstacle(self, target: Destination, event: bytes) -> str:
        """Return why a destination cannot be called, "" if it can."""
        if target.function not in self._functions:
            return "the file has no such function"
        if len(event) > EVENT_LIMIT:
            return f"its event has {len(event)} bytes, over {EVENT_LIMIT}"
        return ""
