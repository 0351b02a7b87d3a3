"""The health of an instance, asked for again and again (docs/platform.md section 1.4)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ..spec.model import HealthCheck
from .client import Lost, OutOfFiles, Unreadable
from .plain_answer import InstanceAnswer

AskHealth = Callable[[float], Awaitable[InstanceAnswer]]
"""Sends the check's request, and waits so many seconds for its answer."""


class InstanceHealth:
    """Counts the checks of one instance. `on_change` is told when it has become good or bad, and
    why.
    """

    def __init__(
        self, check: HealthCheck, ask: AskHealth, on_change: Callable[[str], None]
    ) -> None:
        self.check = check
        self._ask = ask
        self._on_change = on_change
        self._awake = asyncio.Event()
        self._awake.set()
        self._pauses = 0

    def pause(self) -> None:
        """Check no more, and take no check for failed that is under way: the instance is frozen."""
        self._awake.clear()
        self._pauses += 1

    def go_on(self) -> None:
        """Check again."""
        self._awake.set()

    async def fault(self) -> str:
        """Check once; return what is wrong, "" if nothing is."""
        try:
            answer = await self._ask(self.check.timeout)
        except TimeoutError:
            return f"no answer within {self.check.timeout:g} seconds"
        except OutOfFiles:  # which says nothing of the instance
            return ""
        except (Lost, Unreadable):
            return "no answer"
        return "" if 200 <= answer.status < 400 else f"status {answer.status}"

    async def watch(self) -> None:
        """Check every period, for ever."""
        bad, in_a_row, last_failed = False, 0, False
        while True:
            await asyncio.sleep(self.check.period)
            await self._awake.wait()
            pauses = self._pauses
            fault = await self.fault()
            if pauses != self._pauses:
                continue
            in_a_row = in_a_row + 1 if last_failed == bool(fault) else 1
            last_failed = bool(fault)
            enough = self.check.failures if fault else self.check.successes
            if bad != last_failed and in_a_row >= enough:
                bad = last_failed
                self._on_change(fault)
