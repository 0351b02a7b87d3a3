"""What two looks at a running service tell of the time between them: pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..counting.families import SampleKey

WatchedSamples = Mapping[SampleKey, float]


@dataclass(frozen=True)
class Look:
    """What a service said of each worker at a time of the monotonic clock."""

    at: float
    samples: WatchedSamples

    @property
    def workers(self) -> list[str]:
        """The numbers of its workers."""
        found = {dict(ls).get("worker", "") for name, ls in self.samples if name == "fc_worker_up"}
        numbers = filter(str.isdecimal, found)
        return sorted(numbers, key=lambda number: (len(number), number))


@dataclass(frozen=True)
class WatchedRow:
    """A row of the table. Times are seconds, NaN if there was no call; `up` is false for a worker
    that did not answer.
    """

    who: str
    up: bool
    calls_a_second: float
    p50: float
    p99: float
    in_flight: int
    queued: int
    calls: int
    errors: int


def rows_of(before: Look, now: Look) -> list[WatchedRow]:
    """Return a row for each worker, and one for all if there are several."""
    rows = [_row(number, [number], before, now) for number in now.workers]
    return rows if len(rows) == 1 else [*rows, _row("all", now.workers, before, now)]


def _row(who: str, workers: Sequence[str], before: Look, now: Look) -> WatchedRow:
    seconds = max(now.at - before.at, 1e-9)
    ends = grown(buckets(before, workers), buckets(now, workers))
    calls = int(_sum(now, "fc_call_duration_seconds_count", workers))
    succeeded = _sum(now, "fc_calls_total", workers, outcome="success")
    return WatchedRow(
        who=who,
        up=all(_sum(now, "fc_worker_up", [worker]) > 0 for worker in workers),
        calls_a_second=ends.get(math.inf, 0.0) / seconds,
        p50=quantile(ends, 0.5),
        p99=quantile(ends, 0.99),
        in_flight=int(_sum(now, "fc_calls_in_flight", workers)),
        queued=int(_sum(now, "fc_calls_queued", workers)),
        calls=calls,
        errors=calls - int(succeeded),
    )


def _sum(look: Look, name: str, workers: Sequence[str], **labels: str) -> float:
    wanted = set(labels.items())
    return sum(
        value
        for (sample, given), value in look.samples.items()
        if sample == name and dict(given).get("worker", "") in workers and wanted <= set(given)
        if math.isfinite(value)
    )


def buckets(look: Look, workers: Sequence[str]) -> dict[float, float]:
    """Return how many calls took no longer than each end of a bucket, the last one infinite."""
    found: dict[float, float] = {}
    for (name, labels), value in look.samples.items():
        given = dict(labels)
        if name == "fc_call_duration_seconds_bucket" and given.get("worker", "") in workers:
            end = float(given["le"])
            found[end] = found.get(end, 0.0) + value
    return dict(sorted(found.items()))


def grown(before: Mapping[float, float], now: Mapping[float, float]) -> dict[float, float]:
    """Return how much each has grown; all that there is if the service has begun anew."""
    if any(before.get(end, 0.0) > value for end, value in now.items()):
        return dict(now)
    return {end: value - before.get(end, 0.0) for end, value in now.items()}


def quantile(ends: Mapping[float, float], share: float) -> float:
    """Return about how many seconds such a share of the calls took at most: within a bucket they
    are taken to be spread evenly. NaN if there were none.
    """
    total = ends.get(math.inf, 0.0)
    if not total:
        return math.nan
    lower, below = 0.0, 0.0
    for end, upto in ends.items():
        if upto >= share * total:
            if end == math.inf:
                return lower
            return lower + (end - lower) * (share * total - below) / (upto - below)
        lower, below = end, upto
    return lower
