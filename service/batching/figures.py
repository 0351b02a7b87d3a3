"""What is told of batches: in `/metrics`, and in the lines that sum up their calls."""

from __future__ import annotations

from collections.abc import Sequence

from ..context.call import Context, record_of
from ..counting.page import FamilyShape
from ..metrics import UserCounter, UserHistogram

LABELS = ("function",)

SIZES = UserHistogram(
    FamilyShape(
        "fc_batch_size",
        "histogram",
        "How many calls were handed over together.",
        LABELS,
        (1, 2, 4, 8, 16, 32, 64, 128, 256),
    )
)
WAITS = UserHistogram(
    FamilyShape(
        "fc_batch_wait_seconds",
        "histogram",
        "How long calls waited until their batch began.",
        LABELS,
        (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0),
    )
)
RUNS = UserHistogram(
    FamilyShape(
        "fc_batch_seconds",
        "histogram",
        "How long the function ran for a batch.",
        LABELS,
        (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0),
    )
)
FAILED = UserCounter(
    FamilyShape(
        "fc_batches_failed_total",
        "counter",
        "Batches that failed as a whole, or that were given up.",
        LABELS,
    )
)


def note_begin(function: str, calls: Sequence[tuple[Context | None, float]]) -> None:
    """Tell of a batch that begins, each of whose calls has waited so many seconds."""
    SIZES.observe(len(calls), function=function)
    first = next((context.request_id for context, _ in calls if context is not None), "")
    for context, waited in calls:
        WAITS.observe(waited, function=function)
        if context is not None:
            _note_call(context, first, len(calls), waited)


def _note_call(context: Context, first: str, size: int, waited: float) -> None:
    """Note in which batch a call is: the last one, if it is in several. Waits add up."""
    record = record_of(context)
    noted = record.noted or {}
    waited = round(noted.get("batchWaitMs", 0.0) + waited * 1000, 2)
    record.noted = {**noted, "batchId": first, "batchSize": size, "batchWaitMs": waited}


def note_end(function: str, seconds: float, *, failed: bool) -> None:
    """Tell of a batch that has ended."""
    RUNS.observe(seconds, function=function)
    if failed:
        FAILED.inc(function=function)
