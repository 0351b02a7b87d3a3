"""The threads of plain handlers of records."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from ..calls.threads import ThreadPool

MOST_THREADS = 200
"""Threads for the records of all calls of a process: as many as a service has slots at most."""


class _Shared:
    """A pool, and how many batches use it."""

    def __init__(self) -> None:
        self.pool = ThreadPool(MOST_THREADS, "record")
        self.users = 0


_OF_LOOPS: WeakKeyDictionary[asyncio.AbstractEventLoop, _Shared] = WeakKeyDictionary()


@contextmanager
def record_threads(*, wanted: bool) -> Iterator[ThreadPool | None]:
    """Have threads for a batch, if they are wanted: the same as the other batches of this event
    loop. They end with the last batch, unless one of them has not come back.
    """
    if not wanted:
        yield None
        return
    loop = asyncio.get_running_loop()
    shared = _OF_LOOPS.get(loop)
    if shared is None:
        shared = _OF_LOOPS[loop] = _Shared()
    shared.users += 1
    try:
        yield shared.pool
    finally:
        shared.users -= 1
        if not shared.users and not shared.pool.busy:
            _OF_LOOPS.pop(loop, None)
            shared.pool.close()
