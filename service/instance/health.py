"""What `/health` tells: the figures of one worker, and those of several added up."""

from __future__ import annotations

import asyncio
import time
from _thread import start_new_thread
from collections.abc import Callable, Sequence
from typing import Any

from .assembly import Service

Health = dict[str, Any]

ANY = {"draining"}
"""What is true of the instance as soon as it is true of one worker; all else must be of all."""


def can_start_thread() -> bool:
    """Return whether this process can have one more thread: one is started. If it cannot, there are
    as many threads and processes as there may be, or there is no memory for one.
    """
    try:
        start_new_thread(lambda: None, ())
    except RuntimeError:
        return False
    return True


async def health_of(
    service: Service, asking: int = 0, can_start: Callable[[], bool] = can_start_thread
) -> Health:
    """Return what `/health` tells of this worker; `asking` requests are not counted. One that can
    start neither threads nor processes is not healthy.
    """
    began = time.monotonic()
    await asyncio.sleep(0)
    now = time.monotonic()
    lost, threads = service.calls.lost, service.settings.concurrency
    return {
        "ready": service.lifecycle.ready,
        "healthy": service.lifecycle.ready
        and not service.lifecycle.refusing
        and lost <= threads // 2
        and can_start(),
        "draining": service.lifecycle.draining.is_set(),
        "inFlight": _in_flight(service, asking),
        "running": service.admission.running,
        "queued": service.admission.queued,
        "refused": service.admission.refused,
        **(service.figures.totals() if service.settings.metrics else {}),
        "lost": lost,
        "stalls": service.watchdog.stalls,
        "bodyBytes": service.budget.used,
        "logLinesLost": service.logs.pipe.lost,
        "loopLagSeconds": round(now - began, 6),
        "uptimeSeconds": round(now - service.started, 3),
    }


def _in_flight(service: Service, asking: int) -> int:
    """Return the requests under way, without those that ask. On aiohttp's own server, where nothing
    counts them, they are the calls.
    """
    others = service.lifecycle.in_flight - asking
    return others if others >= 0 else service.admission.present


def summed(workers: Sequence[Health | None]) -> Health:
    """Return an instance's figures: counts added up, times at their largest, and `each` worker's
    own. None stands for a worker that does not answer: such an instance is not healthy.

    What there is one worker of is returned as it is.
    """
    if len(workers) == 1 and workers[0] is not None:
        return workers[0]
    there = [worker for worker in workers if worker is not None]
    state = {name: _together(name, [worker[name] for worker in there]) for name in there[0]}
    for name in ("ready", "healthy"):
        state[name] = state[name] and len(there) == len(workers)
    each = [
        {"worker": number, "answers": worker is not None, **(worker or {})}
        for number, worker in enumerate(workers, 1)
    ]
    return {**state, "workers": len(workers), "each": each}


def _together(name: str, values: Sequence[Any]) -> Any:
    if isinstance(values[0], bool):
        return any(values) if name in ANY else all(values)
    return max(values) if isinstance(values[0], float) else sum(values)
