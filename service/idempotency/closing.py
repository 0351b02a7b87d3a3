"""When the connections of a store are closed: at the stop of the instance."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from ..calls.lifecycle import lifecycle_here
from ..errors import text_of
from ..protocol import SERVICE_LOGGER
from .detached import all_finished


class ClosedAtStop(Protocol):
    """What has connections."""

    async def aclose(self) -> None:
        """Close what was opened on the event loop that runs."""


LEAST_CLOSING = 1.0
"""Seconds that a store has to be closed, even if the time of the stop is up."""

_log = logging.getLogger(SERVICE_LOGGER)


def close_at_stop(store: ClosedAtStop) -> None:
    """Close a store when the instance that is served on this loop stops, behind `pre_stop`: what is
    being kept is kept first. Where no instance is served, whoever made the store closes it.
    """
    life = lifecycle_here()
    if life is not None:
        life.at_stop.append(lambda seconds: _close(store, max(seconds, LEAST_CLOSING)))


async def _close(store: ClosedAtStop, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await all_finished(LEAST_CLOSING / 2)
            await store.aclose()
    except Exception as reason:  # the stop goes on
        _log.warning("%r is not closed: %s: %s", store, type(reason).__name__, text_of(reason))
