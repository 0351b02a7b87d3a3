"""The values that a shared function has on one event loop, and the fetches that run for them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from typing import Any

from ..errors import text_of
from ..protocol import SERVICE_LOGGER
from .fetches import Fetch
from .rules import SharingRules

REFRESH_AGAIN = 1.0
"""Seconds until a refresh that has failed is tried again, while the old value serves."""

FetchWork = Callable[[], Awaitable[Any]]

_log = logging.getLogger(SERVICE_LOGGER)


class KeptValue:
    """A value, and when its fetch began."""

    __slots__ = ("began", "retry_at", "value")

    def __init__(self, value: Any, began: float) -> None:
        self.value = value
        self.began = began
        self.retry_at = 0.0


class ShareCounts:
    """What has happened since a shared function is there."""

    __slots__ = ("__weakref__", "failures", "fetches", "hits")

    def __init__(self) -> None:
        self.hits = 0  # calls that were given a value that was there
        self.fetches = 0
        self.failures = 0  # fetches that raised


class KeptValues:
    """At most `max_entries` values, the least recently used go first; fetches that run are none of
    these. Used on one event loop, by its thread.
    """

    def __init__(self, rules: SharingRules, counts: ShareCounts) -> None:
        self._rules = rules
        self._counts = counts
        self._values: OrderedDict[Hashable, KeptValue] = OrderedDict()
        self._fetches: dict[Hashable, Fetch] = {}

    def __len__(self) -> int:
        return len(self._values)

    async def get(self, key: Hashable, work: FetchWork) -> Any:
        """Return the value: a kept one, or that of a fetch, which is `work` if none runs."""
        now = time.monotonic()
        kept = self._values.get(key)
        if kept is not None:
            age = now - kept.began
            if age < self._rules.ttl + self._rules.stale:
                self._counts.hits += 1
                self._values.move_to_end(key)
                if age >= self._rules.ttl and now >= kept.retry_at:
                    with suppress(RuntimeError):  # the instance stops: what there is serves
                        self._fetch(key, work, now)
                return kept.value
        return await self._fetch(key, work, now).outcome()

    def forget(self, key: Hashable) -> None:
        """Keep a value no more; a fetch that runs is not for those who ask from now on."""
        self._values.pop(key, None)
        self._fetches.pop(key, None)

    def forget_all(self) -> None:
        """Keep nothing."""
        self._values.clear()
        self._fetches.clear()

    def _fetch(self, key: Hashable, work: FetchWork, now: float) -> Fetch:
        """Return the fetch that runs, or a new one."""
        running = self._fetches.get(key)
        if running is not None:
            if not running.is_overdue(now):
                return running
            running.abandon()
        fetch = Fetch(self._rules.name, self._rules.timeout)
        fetch.start(work, lambda ended: self._ended(key, ended))
        self._counts.fetches += 1
        self._fetches[key] = fetch
        return fetch

    def _ended(self, key: Hashable, fetch: Fetch) -> None:
        is_wanted = self._fetches.get(key) is fetch
        if is_wanted:
            del self._fetches[key]
        if fetch.error is not None:
            self._counts.failures += 1
            if is_wanted:
                self._note_failure(key, fetch, fetch.error)
        elif is_wanted:
            self._values[key] = KeptValue(fetch.value, fetch.began)
            self._values.move_to_end(key)
            while len(self._values) > self._rules.max_entries:
                self._values.popitem(last=False)

    def _note_failure(self, key: Hashable, fetch: Fetch, error: BaseException) -> None:
        kept, now = self._values.get(key), time.monotonic()
        serves = self._rules.ttl + self._rules.stale - (now - kept.began) if kept else 0.0
        if kept is not None and serves > 0:
            kept.retry_at = now + REFRESH_AGAIN
            then = f"the value of {now - kept.began:.0f} s ago serves {serves:.0f} s more"
        elif fetch.waiting:
            return  # they get the error
        else:
            then = "nobody waits for it any more, and the next call tries again"
        what, why = type(error).__name__, text_of(error)
        _log.warning("%s failed: %s: %s; %s", self._rules.name, what, why, then)


def loop_is_here(loop: asyncio.AbstractEventLoop) -> bool:
    """Return whether this code runs on an event loop."""
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
