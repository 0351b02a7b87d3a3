"""The function of the soak: it does what the name in a call's headers says, and tells how the
process looks from inside.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import threading
import time
import zlib
from collections import deque
from typing import Any

from service import Context, EventStream

TICK = 0.01
"""Seconds between two looks at how late the event loop is."""

hanging: dict[str, threading.Event] = {}
"""The plain calls that hang, by request id, until the call `release` names them."""

late: deque[float] = deque(maxlen=100_000)
here: list[Any] = []
"""The event loop, and the task that watches it."""


async def initialize(_context: Context) -> None:
    """Begin to watch the loop."""
    loop = asyncio.get_running_loop()
    here[:] = [loop, loop.create_task(ticks())]


async def ticks() -> None:
    """Note by how much each tick is late, for as long as the process lives."""
    while True:
        due = time.monotonic() + TICK
        await asyncio.sleep(TICK)
        late.append(max(0.0, time.monotonic() - due))


def figures() -> dict[str, float]:
    """What there is in the process now, garbage left out; how late the loop was since last time."""
    lags = sorted(late) or [0.0]
    p99, most = lags[len(lags) * 99 // 100], lags[-1]
    late.clear()
    del lags
    gc.collect()
    return {
        "tasks": len(asyncio.all_tasks(here[0])),
        "threads": threading.active_count(),
        "objects": len(gc.get_objects()),
        "blocks": sys.getallocatedblocks(),
        "garbage": len(gc.garbage),
        "lag_p99": p99,
        "lag_max": most,
    }


def hang(request_id: str) -> None:
    """Hold a thread until the caller, who has been told of the time-out, lets it go."""
    hanging[request_id] = threading.Event()
    hanging[request_id].wait()
    del hanging[request_id]


def release(event: bytes) -> None:
    """Let the call go whose request id the event is, if one hangs."""
    if (one := hanging.get(event.decode())) is not None:
        one.set()


def result(what: str, size: int, checksum: int) -> Any:
    """What a call answers, or raises."""
    if what == "raises":
        raise ValueError(f"told of {size} bytes")
    if what == "prints":
        print("an event of", size)
        logging.getLogger("soak").info("its sum is %d", checksum)
    if what == "cancelled":
        raise asyncio.CancelledError
    return {"size": size, "sum": checksum}


async def handler(event: EventStream, context: Context) -> Any:
    """An async handler."""
    what = context.function.name
    if what == "figures":
        return figures()
    size, checksum = 0, 0
    if what == "streamed":
        async for chunk in event:
            size, checksum = size + len(chunk), zlib.crc32(chunk, checksum)
    else:
        whole = await event.read()
        size, checksum = len(whole), zlib.crc32(whole)
        if what == "echo":
            return whole
        if what == "release":
            return None
    if what == "slow":
        await asyncio.sleep(0.01)
    if what == "hangs":
        await asyncio.Event().wait()
    if what == "thread":
        await asyncio.to_thread(time.sleep, 0.001)
    return result(what, size, checksum)


def plain(event: bytes, context: Context) -> Any:
    """A plain handler."""
    what = context.function.name
    if what == "figures":
        return figures()
    if what == "echo":
        return event
    if what == "release":
        return release(event)
    if what in ("slow", "thread"):
        time.sleep(0.01)
    if what == "hangs":
        hang(context.request_id)
    return result(what, len(event), zlib.crc32(event))
