"""A clock of a test's own: an event loop in which an hour takes no time.

`run_virtual(main())` runs a coroutine as `asyncio.run` does, and returns its result. Whenever
nothing is ready, time moves forward to the next timer instead of passing: timeouts, sleeps and
`call_later` keep their order, and take no time. `time.monotonic()` tells the same time as
`loop.time()` meanwhile, in all threads.

Threads really run. Time stands still while an executor's job is pending (`run_in_executor`,
`asyncio.to_thread`), or while somebody says so (`loop.hold()`), since nobody can know what a thread
would do before the next timer; `loop.advance(seconds)` moves it all the same. Where nothing can
happen any more, `Deadlock` is raised, and says which tasks wait, and where.

Limits: what other processes send is waited for only if there is no timer, so a test that talks to
one gives no time-outs or holds the clock. Signals and child processes are not played.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any, TypeVar, TypeVarTuple, Unpack
from unittest import mock

Returned = TypeVar("Returned")
Given = TypeVarTuple("Given")

CLOCK_START = 1000.0
"""What a virtual clock shows at first: not 0, which often means that something has not happened."""

THREAD_PATIENCE = 20.0
"""Real seconds that a held clock waits for a thread."""

WAKE_PATIENCE = 0.5
"""Real seconds in which a thread that nobody knows of may still wake the loop up."""

real_monotonic = time.monotonic
"""The machine's own clock, for who needs it in a coroutine of `run_virtual`."""


class Deadlock(RuntimeError):
    """Nothing is ready, no timer is set, and nobody else can wake the loop up."""


def run_virtual(main: Coroutine[Any, Any, Returned], *, start: float = CLOCK_START) -> Returned:
    """Run a coroutine on a virtual clock that begins at `start`, and return its result.

    Raises what it raises; Deadlock if it waits for what cannot happen any more. What it leaves
    running is cancelled, and awaited.
    """
    loop = VirtualLoop(start=start)
    ours = mock.patch("time.monotonic", loop.time)
    with ours, asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time moves to the next timer when nothing is ready.

    Alone it leaves `time.monotonic()` as it is: `run_virtual` does that as well.
    """

    def __init__(self, *, start: float = CLOCK_START) -> None:
        self._ticks = _Ticks(start)
        super().__init__(self._ticks)
        self._ticks.stalled = self._explain
        self._ticks.own = len(self._ticks.get_map())  # by which threads wake the loop up

    def time(self) -> float:
        """Return what the clock shows, in seconds."""
        return self._ticks.now

    def advance(self, seconds: float) -> None:
        """Move time forward now, also while it is held: timers that are due are called next."""
        self._ticks.now += seconds

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Let time stand still as long as a thread works that the loop does not know of."""
        self._ticks.held += 1
        try:
            yield
        finally:
            self._ticks.held -= 1

    def run_in_executor(
        self, executor: Any, func: Callable[[Unpack[Given]], Returned], *args: *Given
    ) -> asyncio.Future[Returned]:
        """Run a job in a thread; time stands still until its outcome is here."""
        self._ticks.held += 1
        try:
            future = super().run_in_executor(executor, func, *args)
        except BaseException:
            self._ticks.held -= 1
            raise
        future.add_done_callback(self._came_back)
        return future

    def _came_back(self, _: object) -> None:
        self._ticks.held -= 1

    async def shutdown_default_executor(self, *timeout: Any) -> None:
        """Wait for the threads, however long in real time."""
        with self.hold():
            await super().shutdown_default_executor(*timeout)

    def _explain(self) -> str:
        tasks = [task for task in asyncio.all_tasks(self) if not task.done()]
        waiting = "; ".join(sorted(map(_waiting, tasks))) or "no task is left"
        return f"nothing can happen any more: {waiting}"


def _waiting(task: asyncio.Task[Any]) -> str:
    frames = task.get_stack(limit=1)
    place = f" at {frames[0].f_code.co_filename}:{frames[0].f_lineno}" if frames else ""
    work = task.get_coro()
    return f"{task.get_name()} ({getattr(work, '__qualname__', work)}) waits{place}"


class _Ticks(selectors.BaseSelector):
    """A selector that waits for no timer: it moves the time instead."""

    def __init__(self, start: float) -> None:
        self.now = start
        self.held = 0
        """Threads that are waited for."""
        self.own = 0
        """Files that are the loop's own: who else can wake it up is not among them."""
        self.stalled: Callable[[], str] = str
        self._real = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return the files that are ready; if none is, move time forward by `timeout`."""
        ready = self._real.select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self.held:
            return self._wait(THREAD_PATIENCE, "a thread does not come back; ")
        if timeout is not None:
            # Rounded: what sums of fractions get wrong stays below what a loop tells apart.
            self.now = round(self.now + timeout, 9)
            return []
        if len(self._real.get_map()) > self.own:
            return self._real.select(None)
        return self._wait(WAKE_PATIENCE, "")

    def _wait(self, seconds: float, why: str) -> list[tuple[selectors.SelectorKey, int]]:
        if ready := self._real.select(seconds):
            return ready
        raise Deadlock(f"{why}{self.stalled()}")

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()
