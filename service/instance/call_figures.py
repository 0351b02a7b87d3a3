"""What is counted of this worker's calls, at next to no cost for one: what it took is put aside,
and sorted into buckets when somebody asks, or when a few hundred have come together.
"""

from __future__ import annotations

from bisect import bisect_right

from ..context.call import Context
from ..context.record import CallRecord
from ..counting.page import FamilyShape, Page, PageFull
from ..counting.pages import OF_CALLS, WorkerPages

TOGETHER = 512
"""Calls that are sorted into the buckets together. So many are not counted at most, if the process
is killed.
"""

MOST_ERROR_TYPES = 100
"""Error types that are told by name, of a worker and its predecessors. Others are one."""

OTHER_ERRORS = "other"
SUCCESS_LABELS = (("outcome", "success"), ("error_type", ""))

BUCKET_ENDS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
)
"""Upper ends of the buckets, in seconds."""

OUTCOME_OF = {
    "": "success",
    "FunctionTimeout": "timeout",
    "InitializationError": "initialization_error",
    "Overloaded": "refused",
    "Stopping": "refused",
    "ClientGone": "client_gone",
    "ServiceError": "service_error",
    **dict.fromkeys(
        ("BadRequest", "InvalidEvent", "RequestTimeout", "PayloadTooLarge", "NotAnEventFunction"),
        "bad_request",
    ),
    "PayloadDiffers": "bad_request",
}
"""What a call came to, by the error type of its answer; any other one is of the function."""

ANSWERED_CALLS = FamilyShape(
    "fc_calls_total", "counter", "Calls that were answered.", ("outcome", "error_type")
)


def _seconds(name: str, help: str) -> FamilyShape:
    return FamilyShape(name, "histogram", help, bounds=BUCKET_ENDS)


def _total(name: str, help: str) -> FamilyShape:
    return FamilyShape(name, "counter", help)


DURATION = _seconds("fc_call_duration_seconds", "From the head of a call to its answer.")
QUEUED = _seconds("fc_call_queue_seconds", "How long calls waited for a slot.")
HANDLER = _seconds("fc_call_handler_seconds", "How long the handler ran.")
EVENT_BYTES = _total("fc_event_bytes_total", "Bytes of the events that calls have read.")
RESULT_BYTES = _total("fc_result_bytes_total", "Bytes of the results of calls.")
REFUSED = _total("fc_calls_refused_total", "Calls for which there was no slot and no queue place.")
STALLS = _total("fc_event_loop_stalls_total", "Times that the event loop was blocked.")
LINES_LOST = _total("fc_log_lines_lost_total", "Log lines that could not be written.")
STARTS = _total("fc_worker_starts_total", "Processes that have begun to serve.")


class CountedCalls:
    """Counts the calls of this process. Its page may be one that a predecessor has counted on, and
    then has the predecessor's numbers as well.
    """

    def __init__(self) -> None:
        self._answered = self._failed = 0
        self.shared: WorkerPages | None = None
        """The pages of all workers, if there are several."""
        self._page: Page | None = None
        self._sorted: dict[FamilyShape, int] = {}  # where each family's numbers are on the page
        self._before: dict[FamilyShape, float] = {}  # what totals were before this process
        self._error_types: dict[str, int] = {}
        self._forget()

    def _forget(self) -> None:
        self._took: list[float] = []
        self._waited: list[float] = []
        self._ran: list[float] = []
        self._errors: list[str] = []
        self._unqueued = 0
        self._bytes_in = self._bytes_out = 0

    # --- each call

    def note(self, _context: Context, record: CallRecord) -> None:
        """Put aside what a call took: an observer of its end."""
        took = self._took
        took.append(record.ended - record.arrived)
        if record.handler_at:
            self._ran.append((record.handled_at or record.ended) - record.handler_at)
        if record.slot_at != record.arrived:
            if record.slot_at:
                self._waited.append(record.slot_at - record.arrived)
            else:
                self._unqueued += 1
        self._bytes_in += record.bytes_in
        self._bytes_out += record.bytes_out
        if record.error_type:
            self._errors.append(record.error_type)
        if len(took) >= TOGETHER:
            self.settle()

    # --- now and then

    def totals(self) -> dict[str, int]:
        """Return how many calls this worker and its predecessors have answered, and how many of
        these failed.
        """
        self.settle()
        return {"calls": self._answered, "failed": self._failed}

    def share(self, pages: WorkerPages, place: int) -> None:
        """Count on the page of a worker's place from now on."""
        self.shared = pages
        self.use(pages.of_calls[place])

    def use(self, page: Page) -> None:
        """Count on a page from now on, from what is there."""
        self._page = page
        shapes = (DURATION, QUEUED, HANDLER, EVENT_BYTES, RESULT_BYTES)
        totals = (REFUSED, STALLS, LINES_LOST, STARTS)
        self._sorted = {shape: page.place_of(shape) for shape in (*shapes, *totals)}
        self._before = {shape: page.cells[self._sorted[shape]] for shape in totals}
        for values in (("success", ""), ("function_error", OTHER_ERRORS)):
            page.place_of(ANSWERED_CALLS, values)
        self._error_types = {}
        calls = next(each for each in page.families() if each.name == ANSWERED_CALLS.name).samples
        self._answered += int(sum(calls.values()))
        self._failed += int(sum(n for (_, labels), n in calls.items() if labels != SUCCESS_LABELS))
        page.cells[self._sorted[STARTS]] += 1

    @property
    def page(self) -> Page:
        """The page: one of this process's own if it was given none."""
        if self._page is None:
            self.use(page := Page(OF_CALLS))
            return page
        return self._page

    def settle(self) -> None:
        """Put on the page what was put aside."""
        took, waited, ran, errors = self._took, self._waited, self._ran, self._errors
        unqueued, bytes_in, bytes_out = self._unqueued, self._bytes_in, self._bytes_out
        self._forget()
        self._answered += len(took)
        self._failed += len(errors)
        at_once = len(took) - len(waited) - unqueued
        self._sort(DURATION, took)
        self._sort(QUEUED, waited, zeros=at_once)
        self._sort(HANDLER, ran)
        self._add(EVENT_BYTES, bytes_in)
        self._add(RESULT_BYTES, bytes_out)
        self._add_outcomes(errors, len(took) - len(errors))

    def set_total(self, shape: FamilyShape, value: float) -> None:
        """Note what a total of this process has come to; those of its predecessors are added."""
        cells = self.page.cells
        cells[self._sorted[shape]] = self._before[shape] + value

    def _add(self, shape: FamilyShape, value: float) -> None:
        cells = self.page.cells
        cells[self._sorted[shape]] += value

    def _sort(self, shape: FamilyShape, values: list[float], zeros: int = 0) -> None:
        values.sort()
        cells = self.page.cells
        place, before = self._sorted[shape], 0
        for bound in BUCKET_ENDS:
            upto = bisect_right(values, bound)
            if upto != before:
                cells[place] += upto - before
            place, before = place + 1, upto
        cells[place] += len(values) - before
        cells[place + 1] += sum(values)
        cells[self._sorted[shape]] += zeros

    def _add_outcomes(self, errors: list[str], succeeded: int) -> None:
        page = self.page
        page.cells[page.place_of(ANSWERED_CALLS, ("success", ""))] += succeeded
        for error_type in errors:
            page.cells[self._place_of_error(page, error_type[:100])] += 1

    def _place_of_error(self, page: Page, error_type: str) -> int:
        place = self._error_types.get(error_type)
        if place is None:
            outcome = OUTCOME_OF.get(error_type, "function_error")
            try:
                if len(self._error_types) >= MOST_ERROR_TYPES:
                    raise PageFull
                place = page.place_of(ANSWERED_CALLS, (outcome, error_type))
                self._error_types[error_type] = place
            except PageFull:
                place = page.place_of(ANSWERED_CALLS, ("function_error", OTHER_ERRORS))
        return place
