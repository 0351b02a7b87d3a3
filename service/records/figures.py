"""The metrics of `@each`."""

from __future__ import annotations

from ..counting.page import FamilyShape
from ..metrics import UserCounter
from .outcomes import RECORD_OUTCOMES, BatchReport

RECORDS = UserCounter(
    FamilyShape(
        "fc_records_total", "counter", "Records that @each has handled, by outcome.", ("outcome",)
    )
)
RETRIES = UserCounter(
    FamilyShape("fc_record_retries_total", "counter", "Times that a record was tried again.")
)


def count(report: BatchReport) -> None:
    """Count the records of a batch that has ended."""
    for outcome in RECORD_OUTCOMES:
        RECORDS.inc(report.counts[outcome], outcome=outcome)
    RETRIES.inc(report.retries)
