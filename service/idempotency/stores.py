"""What keeps claims and results: the four methods of a store, and a store in memory."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from ..errors import OnceStoreFailed
from ..protocol import SERVICE_LOGGER

FULL_AGAIN: Final = 15 / 16
"""The part of a full `MemoryStore` that stays when results are forgotten."""

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

    `max_bytes` bounds it: beyond it the oldest results are forgotten, with a warning. Calls may ask
    it from several threads, each on an event loop of its own.
    """

    def __init__(
        self, *, max_bytes: int = 64 * 1024 * 1024, clock: Callable[[], float] | None = None
    ) -> None:
        """`clock` returns seconds; by default it is the event loop's."""
        self._kept: dict[str, _Kept] = {}  # the oldest first
        self._size = 0
        self._lock = threading.Lock()
        self._max_bytes = max_bytes
        self._clock = clock or (lambda: asyncio.get_running_loop().time())

    def __repr__(self) -> str:
        return "MemoryStore()"

    async def claim(self, key: str, claim: bytes, lease: float) -> Claimed | None:
        """Keep a claim, as `OnceStore` says."""
        with self._lock:
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
        with self._lock:
            held = self._kept.get(key)
            if held is None or held.value != claim:
                return False
            held.until = self._clock() + lease
            return True

    async def settle(self, key: str, claim: bytes, value: bytes, seconds: float) -> bool:
        """Keep a result in the place of a claim, as `OnceStore` says."""
        with self._lock:
            held = self._kept.get(key)
            if held is None or held.value not in (claim, value):
                return False
            self._put(key, _Kept(value, self._clock() + seconds, is_claim=False))
            return True

    async def release(self, key: str, claim: bytes) -> None:
        """Forget a claim, as `OnceStore` says."""
        with self._lock:
            held = self._kept.get(key)
            if held is not None and held.value == claim:
                self._drop(key)

    def _put(self, key: str, kept: _Kept) -> None:
        """Keep an entry as the newest. If there is no room, what was kept under its key stays."""
        held = self._kept.get(key)
        more = _size(key, kept) - (0 if held is None else _size(key, held))
        if self._size + more > self._max_bytes:
            self._make_room(key, more)
        self._kept.pop(key, None)
        self._kept[key] = kept
        self._size += more

    def _drop(self, key: str) -> None:
        self._size -= _size(key, self._kept.pop(key))

    def _make_room(self, wanted: str, more: int) -> None:
        """Forget what has expired, then the oldest results; never a claim that stands, nor what is
        kept under the key `wanted`.
        """
        now = self._clock()
        others = [(key, kept) for key, kept in self._kept.items() if key != wanted]
        for key, kept in others:
            if kept.until <= now:
                self._drop(key)
        if self._size + more <= self._max_bytes:
            return
        for key, kept in others:
            # More than is needed: the next calls need not look through all of it again.
            if self._size + more <= self._max_bytes * FULL_AGAIN:
                break
            if kept.until > now and not kept.is_claim:
                self._drop(key)
        if self._size + more > self._max_bytes:
            raise OnceStoreFailed(
                f"MemoryStore is full: its claims and this value are over {self._max_bytes} bytes;"
                " raise max_bytes"
            )
        _log.warning("MemoryStore has forgotten results before they expired: it is full")


def _size(key: str, kept: _Kept) -> int:
    return len(key) + len(kept.value)
