"""Makes the lease of a claim end later, as long as its handler runs."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from ..errors import OnceStoreFailed
from ..protocol import SERVICE_LOGGER
from .detached import detached
from .rules import OnceRules

BEATS: Final = 3
"""How often in each lease it is made to end later."""

_log = logging.getLogger(SERVICE_LOGGER)


class Heartbeat:
    """Makes a lease end later and later, from a third of it on. A short handler costs a timer."""

    def __init__(self, rules: OnceRules, key: str, claim: bytes) -> None:
        self._rules = rules
        self._key = key
        self._claim = claim
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._over = asyncio.Event()

    def start(self) -> None:
        """Begin."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._rules.lease / BEATS, self._begin)

    async def stop(self) -> None:
        """End, once the store has answered what it was asked."""
        self._over.set()
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            await asyncio.wait((self._task,))

    def _begin(self) -> None:
        self._task = detached(self._beat())

    async def _beat(self) -> None:
        rules = self._rules
        while not self._over.is_set():
            try:
                held = await rules.ask(rules.store.renew(self._key, self._claim, rules.lease))
                if not held and not await self._regained():
                    return
            except OnceStoreFailed as reason:
                _log.warning("@once: a lease is not made longer: %s", reason)
            try:
                async with asyncio.timeout(rules.lease / BEATS):
                    await self._over.wait()
            except TimeoutError:
                continue

    async def _regained(self) -> bool:
        """Claim the key once more, if nobody else has: the store may have lost it."""
        rules = self._rules
        met = await rules.ask(rules.store.claim(self._key, self._claim, rules.lease))
        if met is None or met.is_over:
            return True
        _log.error(
            "@once: another call has taken over the key of this one, whose lease of %g s was over"
            " while its handler ran: its result will not be kept",
            rules.lease,
        )
        return False
