"""Recorded calls sent again: one by one, or overlapping as they did."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec

from .reading import StoredCall


class SentCall(msgspec.Struct, frozen=True):
    """What came of a call that was sent again: as EndedCall has it; `failed` if it is an error.
    `error` is the code of a call that no function answered; `lines` is None if they are not known.
    """

    request_id: str
    took: float
    result: bytes
    failed: bool
    error: str = ""
    lines: Sequence[str] | None = None


SendAgain = Callable[[StoredCall], Coroutine[Any, Any, SentCall]]


async def send_again(
    calls: Sequence[StoredCall], send: SendAgain, *, overlap: bool
) -> list[SentCall]:
    """Send calls, which are in the order of their arrival; return what came of each.

    If they `overlap`, a call is sent as soon as all have ended that had ended before it came: so
    many are in flight at once as were then, and no pause between calls is waited for. Raises what
    `send` raises first.
    """
    if not overlap:
        return [await send(call) for call in calls]
    tasks: list[asyncio.Task[SentCall]] = []
    by_end = sorted(range(len(calls)), key=lambda place: calls[place].told.ended)
    passed = 0
    try:
        for call in calls:
            while calls[by_end[passed]].told.ended <= call.told.arrived:
                if by_end[passed] >= len(tasks):
                    break  # it took no time at all, and is sent now
                await tasks[by_end[passed]]
                passed += 1
            tasks.append(asyncio.create_task(send(call)))
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
