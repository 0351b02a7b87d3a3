"""Gates that open when all calls are there: what proves that they were in flight together."""

from __future__ import annotations

import asyncio
import threading


class MeetingGate:
    """Opens once each of `size` calls has come to it or is known to come no more. Calls wait on the
    event loop, or in threads.
    """

    def __init__(self, size: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._lock = threading.RLock()  # a finalizer may end a call in the midst of it
        self._missing = size
        self.together = 0
        """How many calls have waited here for the others."""
        self._open_here = asyncio.Event()
        self._open_there = threading.Event()

    async def meet(self) -> None:
        """Wait for the others."""
        self._count(1)
        await self._open_here.wait()

    def meet_in_thread(self) -> None:
        """Wait for the others, in a thread."""
        self._count(1)
        self._open_there.wait()

    def lose(self) -> None:
        """Wait for one call less."""
        self._count(0)

    def open(self) -> None:
        """Let all go on."""
        self._open_there.set()
        self._loop.call_soon_threadsafe(self._open_here.set)

    def _count(self, here: int) -> None:
        with self._lock:
            self.together += here
            self._missing -= 1
            is_last = not self._missing
        if is_last:
            self.open()
