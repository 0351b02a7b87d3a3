"""What keeps claims and results: the four methods of a store, and a store in memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from ..errors import OnceStoreFailed
from ..protocol import SERVICE_LOGGER

_log = logging.getLogger(SERVICE_LOGGER)


class Claimed(NamedTuple):
    """What a claim has met: `value` is what was kept under the key."""

    value: bytes
    is_over: bool
    """True if that was a claim whose lease was over: the key is ours now. False if it stands."""


class OnceStore(Protocol):
    """Keeps bytes under keys, and changes them in one step whoever else does so at that moment.

    Write one for the database that you have: a key is a text of at most 500 characters, a value is
    bytes that mean nothing to the store. Times are measured by the store's clock, since those of
    two instances may differ. Each method may be called twice with the same arguments, if nobody
    knows what became of the first call, and then does and returns the same again. What a method
    raises means that the store cannot be used now.
    """

    async def claim(self, key: str, claim: bytes, lease: float) -> Claimed | None:
        """Keep `claim` for `lease` seconds and return None, if nothing is kept under the key.

        A result that has expired is nothing. A claim whose lease is over is replaced, too, and
        returned with `is_over`; a store that forgets such claims returns None. Anything else stays,
        and is returned. If it is `claim` itself, it is kept anew, and None is returned.
        """

    async def renew(self, key: str, claim: bytes, lease: float) -> bool:
        """Let the lease of a claim end in `lease` seconds from now; return False if it is not
        what is kept.
        """

    async def settle(self, key: str, claim: bytes, value: bytes, seconds: float) -> bool:
        """Keep `value` for so many seconds in the place of `claim`; return False, and change
        nothing, if something else is kept. True if it is `value` already.
        """

    async def release(self, key: str, claim: bytes) -> None:
        """Keep nothing any more, if it is `claim` that is kept."""


@dataclass
class _Kept:
    value: bytes
    until: float
    is_claim: bool


class MemoryStore:
    """Keeps claims and results in this process.

    It knows nothing of other processes: with two workers or two instances an event may be handled
    twice, and all is forgotten when the process ends. It is for tests, for a single instance with
    one worker, and for what may happen twice at a pinch.

    `max_bytes` bounds the results: beyond it the oldest one is forgotten, with a warning.
    """

    def __init__(
        self, *, max_bytes: int = 64 * 1024 * 1024, clock: Callable[[], float] | None = None
    ) -> None:
        """`clock` returns seconds; by default it is the event loop's."""
        self._kept: dict[str, _Kept] = {}  # the oldest first
        self._size = 0
        self._max_bytes = max_bytes
        self._clock = clock or (lambda: asyncio.get_running_loop().time())

    def __repr__(self) -> str:
        return "MemoryStore()"

    async def claim(self, key: str, claim: bytes, lease: float) -> Claimed | None:
        """Keep a claim, as `OnceStore` says."""
        now = self._clock()
        held = self._kept.get(key)
        if held is not None and held.value != claim and held.until > now:
            return Claimed(held.value, is_over=False)
        self._put(key, _Kept(claim, now + lease, is_claim=True))
        if held is None or held.value == claim or not held.is_claim:
            return None
        return Claimed(held.value, is_over=True)

    async def renew(self, key: str, claim: bytes, lease: float) -> bool:
        """Keep a claim for longer, as `OnceStore` says."""
        held = self._kept.get(key)
        if held is None or held.value != claim:
            return False
        held.until = self._clock() + lease
        return True

    async def settle(self, key: str, claim: bytes, value: bytes, seconds: float) -> bool:
        """Keep a result in the place of a claim, as `OnceStore` says."""
        held = self._kept.get(key)
        if held is None or held.value not in (claim, value):
            return False
        self._put(key, _Kept(value, self._clock() + seconds, is_claim=False))
        return True

    async def release(self, key: str, claim: bytes) -> None:
        """Forget a claim, as `OnceStore` says."""
        held = self._kept.get(key)
        if held is not None and held.value == claim:
            self._drop(key)

    def _put(self, key: str, kept: _Kept) -> None:
        self._drop(key)
        size = len(key) + len(kept.value)
        if self._size + size > self._max_bytes:
            self._make_room(size)
        self._kept[key] = kept
        self._size += size

    def _drop(self, key: str) -> None:
        held = self._kept.pop(key, None)
        if held is not None:
            self._size -= len(key) + len(held.value)

    def _make_room(self, size: int) -> None:
        """Forget what has expired, then the oldest results; never a claim that stands."""
        now = self._clock()
        for key, kept in list(self._kept.items()):
            if kept.until <= now:
                self._drop(key)
        oldest = [key for key, kept in self._kept.items() if not kept.is_claim]
        for count, key in enumerate(oldest):
            if self._size + size <= self._max_bytes:
                break
            self._drop(key)
            if not count:
                _log.warning("MemoryStore has forgotten results before they expired: it is full")
        if self._size + size > self._max_bytes:
            raise OnceStoreFailed(
                f"MemoryStore is full: its claims and this value are over {self._max_bytes} bytes;"
                " raise max_bytes"
            )
