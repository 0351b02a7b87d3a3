"""What `/metrics` tells: what all workers have counted, and how each of them is now."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..counting import foreign
from ..counting.families import ADDED_UP, Family, Labels, added, number, of_worker
from ..counting.pages import USER_PAGE, WorkerPages
from ..counting.text import CONTENT_TYPE, exposition
from ..http.answers import Answer
from ..logs.log import log_rarely
from .assembly import Service
from .call_figures import LINES_LOST, REFUSED, STALLS
from .health import health_of

PAGES = "pages"
"""The name by which the worker that was asked gives what all of them have counted."""

NOW = {
    "inFlight": ("fc_calls_in_flight", "Requests whose heads have arrived and that are under way."),
    "running": ("fc_calls_running", "Calls that have a slot."),
    "queued": ("fc_calls_queued", "Calls that wait for a slot."),
    "lost": ("fc_calls_lost", "Handlers that go on after the time-out of their call."),
    "bodyBytes": ("fc_buffered_event_bytes", "Bytes of events that are in memory."),
    "threads": ("fc_threads", "Python threads."),
}
"""How many there are now: added up over the workers."""

OF_EACH = {
    "loopLagSeconds": (
        "fc_event_loop_lag_seconds",
        "How long the event loop took to come to a task, when asked.",
    ),
    "initializerSeconds": ("fc_initializer_seconds", "How long the initializer took."),
    "startedAt": ("fc_worker_start_time_seconds", "When the process began, since 1970."),
}
"""What cannot be added up: each worker's own."""

UP = ("fc_worker_up", "Whether the worker has answered this scrape.")


async def worker_metrics(service: Service, asking: int = 0) -> dict[str, Any]:
    """Put what this worker has counted on its page; return how it is now. `asking` requests are not
    counted.
    """
    health = await health_of(service, asking)
    figures = service.figures
    figures.settle()
    USER_PAGE.settle()
    figures.set_total(REFUSED, health["refused"])
    figures.set_total(STALLS, health["stalls"])
    figures.set_total(LINES_LOST, health["logLinesLost"])
    return {
        **health,
        "threads": threading.active_count(),
        "initializerSeconds": service.lifecycle.initializer_seconds,
        "startedAt": round(time.time() - health["uptimeSeconds"], 3),
        "registered": _registered(),
    }


def _registered() -> str:
    try:
        text, left_out = foreign.packed(foreign.registered())
    except Exception as reason:  # a collector of the user's, or of a library
        log_rarely("metrics", "a metric of prometheus_client raised %s", type(reason).__name__)
        return foreign.packed([])[0]
    if left_out:
        log_rarely("metrics", "%d metrics of prometheus_client are too many to tell", left_out)
    return text


async def metrics_for_request(service: Service) -> dict[str, Any]:
    """Return the same of the worker that the request has reached, and where all have counted."""
    state = await worker_metrics(service, asking=1)
    own = [USER_PAGE.page] if USER_PAGE.page is not None else []
    return {**state, PAGES: service.figures.shared or WorkerPages([service.figures.page], own)}


def metrics_answer(said: Sequence[dict[str, Any] | None], query: Mapping[str, str]) -> Answer:
    """Return what a scrape gets: `?by=worker` tells each worker's own instead of the sums. None
    stands for a worker that did not answer; what it has counted is told all the same.
    """
    by_worker = query.get("by") == "worker"
    pages = next(each[PAGES] for each in said if each and PAGES in each)
    families = [*pages.families(by_worker=by_worker), *_now(said, by_worker)]
    families += _of_registries(said, by_worker)
    first: dict[str, Family] = {}
    for family in families:
        if first.setdefault(family.name, family) is not family:
            log_rarely("metrics", "there are two metrics named %s: one is told", family.name)
    return Answer(exposition(first.values()), content_type=CONTENT_TYPE)


def _now(said: Sequence[dict[str, Any] | None], by_worker: bool) -> Iterator[Family]:
    """Tell how the workers are now."""

    def of_each(name: str, help: str, values: Iterable[float | None]) -> Family:
        samples = {(name, _worker(n)): v for n, v in enumerate(values, 1) if v is not None}
        return Family(name, "gauge", help, samples)

    for key, (name, help) in NOW.items():
        if by_worker:
            yield of_each(name, help, (each[key] if each else None for each in said))
        else:
            yield number(name, "gauge", help, sum(each[key] for each in said if each))
    for key, (name, help) in OF_EACH.items():
        yield of_each(name, help, (each[key] if each else None for each in said))
    yield of_each(*UP, (each is not None for each in said))


def _of_registries(said: Sequence[dict[str, Any] | None], by_worker: bool) -> list[Family]:
    """Tell what is in the workers' registries: what counts is added up, all else is each one's."""
    parts = []
    for worker, each in enumerate(said, 1):
        families = foreign.unpacked(each["registered"]) if each else []
        if len(said) > 1 or by_worker:
            families = [
                of_worker([f], worker)[0] if by_worker or f.kind not in ADDED_UP else f
                for f in families
            ]
        parts.append(families)
    return added(parts)


def _worker(number: int) -> Labels:
    return (("worker", str(number)),)
