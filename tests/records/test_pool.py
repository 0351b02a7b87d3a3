"""The threads of plain handlers of records."""

from __future__ import annotations

import asyncio
import threading

from service.calls.threads import ThreadPool
from service.records.pool import record_threads


async def test_batches_of_a_loop_share_their_threads_until_the_last_has_ended() -> None:
    """Then the threads end; one that has not come back keeps them for the next batch."""
    with record_threads(wanted=False) as none:
        assert none is None
    with record_threads(wanted=True) as first, record_threads(wanted=True) as second:
        assert first is second
        assert first is not None
        assert (await first.run(threading.current_thread)).result.name.startswith("record-")
    gate = threading.Event()
    with record_threads(wanted=True) as hung:
        assert hung is not None
        assert hung is not first
        work = hung.run(gate.wait)
    with record_threads(wanted=True) as third:
        assert third is hung
        gate.set()
        await work
    with record_threads(wanted=True) as fourth:
        assert fourth is not third


def test_each_loop_has_threads_of_its_own() -> None:
    """What they have done is told to the loop that asked."""

    async def pool() -> ThreadPool | None:
        with record_threads(wanted=True) as threads:
            assert threads is not None
            assert (await threads.run(lambda: 7)).result == 7
            return threads

    assert asyncio.run(pool()) is not asyncio.run(pool())
