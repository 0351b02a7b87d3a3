"""The pages that are open, each told of changes through a stream of its own.

A stream whose reader is slow keeps a few changes, and then none: it begins anew with everything.
So what is kept for it is bounded, and a page that catches up is right.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from aiohttp import web

from ..protocol import SERVICE_LOGGER
from .feed import ConsoleFeed
from .json_text import json_bytes
from .refusal import ConsoleRefusal

COALESCED = 0.2
"""Seconds in which what changes is gathered."""

AT_REST = 1.0
"""Seconds between two looks at what tells of no change itself, memory for example."""

SILENT = 15.0
"""Seconds after which a stream says that it is still there."""

KEPT_CHANGES = 16
"""Changes that wait for a slow reader."""

MAX_PAGES = 32
"""Pages that may be open at once."""

_log = logging.getLogger(SERVICE_LOGGER)


class OpenPage:
    """One page's stream: what waits to be sent there."""

    def __init__(self) -> None:
        self.news = asyncio.Event()
        self.news.set()
        self.is_behind = True
        """Whether it needs everything anew: at first, and when it was too slow."""
        self._waiting: deque[bytes] = deque()

    def tell(self, change: bytes) -> None:
        """Let a change wait to be sent."""
        if self.is_behind:
            return
        self._waiting.append(change)
        if len(self._waiting) > KEPT_CHANGES:
            self.is_behind = True
        self.news.set()

    def take(self, snapshot: Callable[[], bytes]) -> list[bytes]:
        """Return what is to be sent now."""
        self.news.clear()
        waiting, self._waiting = list(self._waiting), deque()
        if self.is_behind:
            self.is_behind = False
            return [snapshot()]
        return waiting


class ConsoleHub:
    """Looks for changes, and tells all pages, between `start` and `stop`."""

    def __init__(self, feed: ConsoleFeed) -> None:
        self._feed = feed
        self._pages: set[OpenPage] = set()
        self._awake = asyncio.Event()
        self._stopping = False
        self._looking: asyncio.Task[None] | None = None
        self._number = 0

    def wake(self) -> None:
        """Take note that something has changed. It costs next to nothing."""
        if not self._awake.is_set():
            self._awake.set()

    def start(self) -> None:
        """Begin to look for changes."""
        self._looking = asyncio.create_task(self._look())

    async def stop(self) -> None:
        """Look no more, and end all streams."""
        self._stopping = True
        for page in self._pages:
            page.news.set()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})

    def publish(self) -> None:
        """Tell all pages what has changed by now."""
        change = self._feed.change(calls=bool(self._pages))
        if change is not None and self._pages:
            told = self._event("change", json_bytes(change))
            for page in self._pages:
                page.tell(told)

    async def serve(self, response: web.StreamResponse) -> None:
        """Send one page everything, and then each change, until it leaves or the hub stops.

        Raises ConsoleRefusal 503 if too many pages are open, and what the connection raises.
        """
        self.check_room()
        page = OpenPage()
        self._pages.add(page)
        self.wake()
        try:
            while not self._stopping:
                for each in page.take(self._snapshot) or (b": still here\n\n",):
                    await response.write(each)
                with suppress(TimeoutError):
                    async with asyncio.timeout(SILENT):
                        await page.news.wait()
        finally:
            self._pages.discard(page)

    def check_room(self) -> None:
        """Raise ConsoleRefusal 503 if too many pages are open."""
        if len(self._pages) >= MAX_PAGES:
            raise ConsoleRefusal(503, f"{MAX_PAGES} pages are open: close one of them")

    async def _look(self) -> None:
        while True:
            if self._pages:
                with suppress(TimeoutError):
                    async with asyncio.timeout(AT_REST):
                        await self._awake.wait()
            else:
                await self._awake.wait()
            self._awake.clear()
            try:
                self.publish()
            except Exception:  # of a source: the next look may do
                _log.exception("the console cannot tell what has changed")
            await asyncio.sleep(COALESCED)

    def _snapshot(self) -> bytes:
        return self._event("snapshot", json_bytes(self._feed.snapshot()))

    def _event(self, kind: str, data: bytes) -> bytes:
        self._number += 1
        return b"event: %b\nid: %d\ndata: %b\n\n" % (kind.encode(), self._number, data)
