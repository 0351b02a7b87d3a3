"""How an instance ends: what it is asked and told, how long it has, and what is let go of then
(docs/platform.md sections 1 and 7).

Where the platform's documents are silent, this is what is done:

- An instance of which a call ran over its time gets SIGTERM and no further call; what it has
  besides may end within its own time; then comes SIGKILL, `stop_grace` after SIGTERM at the
  earliest.
- /pre-stop is called before an end that is by the book: not after a crash, a time-out, or a start
  that failed. Calls may be in the instance then: if the emulator stops, it waits for none.
- An instance of code that has changed is ended by the book once its calls have ended.
- SIGTERM goes to the first process alone, as to a container's; SIGKILL to all.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable

from ...protocol import PRE_STOP
from .calling import InstanceCalls
from .client import Lost, Unreadable
from .conditions import Conditions
from .freezer import Freezer
from .processes import Processes

WayToEnd = Callable[[Processes], Awaitable[None]]
"""What is done before the processes are killed that are left."""


async def leave_no_time(_processes: Processes) -> None:
    """End it as it is."""


class InstanceEnd:
    """The end of one instance. `write` is given lines of the log."""

    def __init__(
        self,
        conditions: Conditions,
        calls: InstanceCalls,
        freezer: Freezer,
        write: Callable[[str], None],
    ) -> None:
        self._pre_stop_timeout = conditions.function.pre_stop_timeout
        self._grace = conditions.stop_grace
        self._calls = calls
        self._freezer = freezer
        self._write = write
        self._releases: list[Callable[[], None]] = []
        self._hurried = asyncio.Event()

    def then(self, release: Callable[[], None]) -> None:
        """Have something let go of at the end: what was taken last first."""
        self._releases.append(release)

    async def run(self, processes: Processes | None, way: WayToEnd) -> str:
        """End the processes this way; return what its line says of their code. What was taken is
        let go of, whatever goes wrong meanwhile.
        """
        try:
            self._freezer.thaw()
            if processes is None:
                return ""
            await self._tried(lambda: way(processes))
            await self._tried(processes.kill)
            return f" with code {processes.ended.result()}" if processes.ended.done() else ""
        finally:
            self._let_go()

    async def _tried(self, step: Callable[[], Awaitable[None]]) -> None:
        """Do a step of the end; what goes wrong in it is told, and keeps nothing else from it."""
        try:
            await step()
        except Exception as reason:
            self._write(f"could not be ended as it should: {type(reason).__name__}: {reason}")

    def _let_go(self) -> None:
        for release in reversed(self._releases):
            try:
                release()
            except Exception as reason:
                self._write(f"could not be tidied up: {type(reason).__name__}: {reason}")

    # --- ways to end

    async def by_the_book(self, processes: Processes) -> None:
        """/pre-stop, SIGTERM, and a while in which the instance may end by itself."""
        limit = self._pre_stop_timeout
        if limit is not None:
            try:
                fault = await self._calls.hook(PRE_STOP, limit)
            except (TimeoutError, Lost, Unreadable):
                fault = f"PreStop had no answer within {limit:g} seconds"
            if fault:
                self._write(fault)
        processes.signal_first(signal.SIGTERM)
        await self._wait_for(processes, self._grace)

    async def once_vacant(self, processes: Processes) -> None:
        """By the book, once its calls have ended, or there is no time for that any more."""
        waits = [asyncio.ensure_future(w) for w in (self._calls.vacancy(), self._hurried.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        await self.by_the_book(processes)

    def hurry(self) -> None:
        """Wait for no call any more."""
        self._hurried.set()

    async def outlast(self, processes: Processes) -> None:
        """SIGTERM, then wait for the other calls, and for a while at least."""
        processes.signal_first(signal.SIGTERM)
        sent = time.monotonic()
        await self._calls.vacancy()
        await self._wait_for(processes, sent + self._grace - time.monotonic())

    async def _wait_for(self, processes: Processes, seconds: float) -> None:
        await asyncio.wait([processes.ended], timeout=max(seconds, 0))
        if not processes.ended.done():
            self._write("did not end after SIGTERM, and is killed")
