"""Events that the page sends: one, or many of them at a concurrency."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..protocol import SERVICE_LOGGER, new_request_id
from .refusal import ConsoleRefusal
from .requests import event_field, flag_field, number_field, text_field

MOST_SENT = 10_000
"""Calls of one batch."""

MOST_SENT_AT_ONCE = 1_000
"""Calls of one batch that are in flight together."""

TOLD_IDS = 200
"""Request ids that the page is told of."""

_BATCHES = 8
"""Batches that may be under way."""

_log = logging.getLogger(SERVICE_LOGGER)


@dataclass(frozen=True, slots=True)
class SentBatch:
    """What is to be sent: an event, so many times, so many of them at once."""

    function: str
    event: bytes
    asynchronous: bool
    count: int = 1
    at_once: int = 1


def batch_of(fields: Mapping[str, Any]) -> SentBatch:
    """Return the batch that a request asks for. Raises ConsoleRefusal."""
    return SentBatch(
        text_field(fields, "function"),
        event_field(fields),
        flag_field(fields, "async"),
        int(number_field(fields, "count", 1, 1, MOST_SENT)),
        int(number_field(fields, "at_once", 1, 1, MOST_SENT_AT_ONCE)),
    )


class BatchSender:
    """Sends batches. `send_one` is awaited with a batch and the request id of each call; what it
    raises ends the batch, and is logged.
    """

    def __init__(self, send_one: Callable[[SentBatch, str], Awaitable[None]]) -> None:
        self._send_one = send_one
        self._batches: set[asyncio.Task[None]] = set()

    def send(self, batch: SentBatch) -> list[str]:
        """Begin to send; return the first request ids. Raises ConsoleRefusal."""
        if len(self._batches) >= _BATCHES:
            raise ConsoleRefusal(429, f"{_BATCHES} batches are under way: wait for one of them")
        ids = [new_request_id() for _ in range(batch.count)]
        task = asyncio.create_task(self._send_all(batch, ids))
        self._batches.add(task)
        task.add_done_callback(self._ended)
        return ids[:TOLD_IDS]

    async def stop(self) -> None:
        """Send no more."""
        for task in self._batches:
            task.cancel()
        await asyncio.gather(*self._batches, return_exceptions=True)

    async def _send_all(self, batch: SentBatch, ids: list[str]) -> None:
        following = iter(ids)
        async with asyncio.TaskGroup() as group:
            for _ in range(min(batch.at_once, len(ids))):
                group.create_task(self._send_next(batch, following))

    async def _send_next(self, batch: SentBatch, ids: Iterator[str]) -> None:
        for request_id in ids:
            await self._send_one(batch, request_id)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._batches.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            faults = fault.exceptions if isinstance(fault, ExceptionGroup) else (fault,)
            told = f"{type(faults[0]).__name__}: {faults[0]}"
            _log.error("the console cannot send: %s", told)
