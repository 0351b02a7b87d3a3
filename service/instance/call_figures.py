"""What is counted of this worker's calls, at next to no cost for one: what it took is put aside,
and sorted into buckets when somebody asks, or when a few hundred have come together.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import cycle

import msgspec

from ..calls.observers import FIGURES_OF_EACH, TOGETHER, Observers
from ..context.record import CallRecord
from ..counting.page import FamilyShape, Page, PageFull
from ..counting.pages import OF_CALLS, WorkerPages

MOST_ERROR_TYPES = 100
"""Error types that are told by name, of a worker and its predecessors. Others are one."""

OTHER_ERRORS = "other"
SUCCESS_LABELS = (("outcome", "success"), ("error_type", ""))

BUCKET_ENDS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
)
"""Upper ends of the buckets, in seconds."""

SUM = len(BUCKET_ENDS) + 1
"""Where the sum of a histogram stands behind its first bucket."""

OUTCOME_OF = {
    "": "success",
    "FunctionTimeout": "timeout",
    "InitializationError": "initialization_error",
    "Overloaded": "refused",
    "Stopping": "refused",
    "ClientGone": "client_gone",
    "ServiceError": "service_error",
    **dict.fromkeys(
        (
            *("BadRequest", "InvalidEvent", "PayloadDiffers", "RequestTimeout", "PayloadTooLarge"),
            "NotAnEventFunction",
        ),
        "bad_request",
    ),
}
"""What a call came to, by the error type of its answer; any other one is of the function."""

ANSWERED_CALLS = FamilyShape(
    "fc_calls_total", "counter", "Calls that were answered.", ("outcome", "error_type")
)

MOST_ASIDE = TOGETHER // 2
"""Calls that are put aside of a kind before they are counted."""

MOST_FIGURES = MOST_ASIDE * FIGURES_OF_EACH
"""Their figures."""


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


class _Unusual(msgspec.Struct):
    """What is counted of a call that was told apart, None for what it did not come to."""

    took: float
    waited: float | None
    ran: float | None
    bytes_in: int
    bytes_out: int
    error_type: str


class CountedCalls:
    """Counts the calls of this process. Its page may be one that a predecessor has counted on, and
    then has the predecessor's numbers as well.
    """

    def __init__(self) -> None:
        self._answered = self._failed = 0
        self.shared: WorkerPages | None = None
        """The pages of all workers, if there are several."""
        self._usual: list[float] = []  # figures of calls, as `Observers.usual` has them
        self._longer: list[float] = []  # and of those that took their time
        self._unusual: list[_Unusual] = []
        self._error_types: dict[str, int] = {}
        self._before: dict[FamilyShape, float] = {}  # what totals were before this process
        self._page: Page | None = None
        self._cells = memoryview(b"").cast("d")
        # Where on the page the numbers of each begin:
        self._totals: dict[FamilyShape, int] = {}
        self._took = self._ran = self._waited = 0
        self._event_bytes = self._result_bytes = self._succeeded = 0

    # --- each call

    def watch(self, observers: Observers) -> None:
        """Count the calls of which these are told."""
        soon = min(observers.slow_after, BUCKET_ENDS[0])
        observers.look_after = cycle((0.0, *[soon] * (TOGETHER - 1)))
        observers.usual = self._usual
        observers.unusual = self.note_unusual

    def note_unusual(self, record: CallRecord) -> None:
        """Put aside a call that failed, had to wait for a slot, or took its time; or one of those
        that did not, when it is time to count.
        """
        took, handled = record.ended - record.arrived, record.handled_at or record.ended
        at_once = record.slot_at is record.arrived
        if at_once and record.handler_at and not record.error_type:
            figures = self._usual if took < BUCKET_ENDS[0] else self._longer
            figures += (took, handled - record.handler_at, record.bytes_in, record.bytes_out)
        else:
            self._unusual.append(
                _Unusual(
                    took=took,
                    ran=handled - record.handler_at if record.handler_at else None,
                    waited=record.slot_at - record.arrived if record.slot_at else None,
                    bytes_in=record.bytes_in,
                    bytes_out=record.bytes_out,
                    error_type=record.error_type,
                )
            )
        if (
            len(self._longer) >= MOST_FIGURES
            or len(self._usual) >= MOST_FIGURES
            or len(self._unusual) >= MOST_ASIDE
        ):
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
        self._page, self._cells = page, page.cells
        self._took, self._waited, self._ran = map(page.place_of, (DURATION, QUEUED, HANDLER))
        self._event_bytes, self._result_bytes = map(page.place_of, (EVENT_BYTES, RESULT_BYTES))
        self._totals = {s: page.place_of(s) for s in (REFUSED, STALLS, LINES_LOST, STARTS)}
        self._before = {shape: page.cells[place] for shape, place in self._totals.items()}
        self._succeeded = page.place_of(ANSWERED_CALLS, ("success", ""))
        page.place_of(ANSWERED_CALLS, ("function_error", OTHER_ERRORS))
        self._error_types = {}
        calls = next(each for each in page.families() if each.name == ANSWERED_CALLS.name).samples
        self._answered += int(sum(calls.values()))
        self._failed += int(sum(n for (_, labels), n in calls.items() if labels != SUCCESS_LABELS))
        page.cells[self._totals[STARTS]] += 1

    @property
    def page(self) -> Page:
        """The page: one of this process's own if it was given none."""
        if self._page is None:
            self.use(page := Page(OF_CALLS))
            return page
        return self._page

    def set_total(self, shape: FamilyShape, value: float) -> None:
        """Note what a total of this process has come to; those of its predecessors are added."""
        self.page.cells[self._totals[shape]] = self._before[shape] + value

    def settle(self) -> None:
        """Put on the page what was put aside."""
        if self._page is None:
            self.use(Page(OF_CALLS))
        if self._usual:
            self._settle_usual()
        if self._longer:
            self._settle_longer()
        if self._unusual:
            self._settle_unusual()

    def _settle_usual(self) -> None:
        usual, cells = self._usual, self._cells
        count = len(usual) // FIGURES_OF_EACH
        for histogram, seconds in (
            (self._took, usual[0::FIGURES_OF_EACH]),
            (self._ran, usual[1::FIGURES_OF_EACH]),
        ):
            cells[histogram] += count
            cells[histogram + SUM] += sum(seconds)
        self._settle_rest(usual)

    def _settle_longer(self) -> None:
        self._add_times(self._took, self._longer[0::FIGURES_OF_EACH])
        self._add_times(self._ran, self._longer[1::FIGURES_OF_EACH])
        self._settle_rest(self._longer)

    def _settle_rest(self, figures: list[float]) -> None:
        """Put on the page, of calls that had a slot at once and succeeded, all but their times."""
        cells, count = self._cells, len(figures) // FIGURES_OF_EACH
        cells[self._event_bytes] += sum(figures[2::FIGURES_OF_EACH])
        cells[self._result_bytes] += sum(figures[3::FIGURES_OF_EACH])
        cells[self._waited] += count
        cells[self._succeeded] += count
        self._answered += count
        figures.clear()

    def _settle_unusual(self) -> None:
        unusual, cells = self._unusual, self._cells
        self._add_times(self._took, [each.took for each in unusual])
        self._add_times(self._ran, [each.ran for each in unusual if each.ran is not None])
        self._add_times(self._waited, [each.waited for each in unusual if each.waited is not None])
        cells[self._event_bytes] += sum(each.bytes_in for each in unusual)
        cells[self._result_bytes] += sum(each.bytes_out for each in unusual)
        errors = [each.error_type for each in unusual if each.error_type]
        cells[self._succeeded] += len(unusual) - len(errors)
        for error_type in errors:
            cells[self._place_of_error(self.page, error_type[:100])] += 1
        self._answered += len(unusual)
        self._failed += len(errors)
        unusual.clear()

    def _add_times(self, place: int, seconds: list[float]) -> None:
        """Add to the histogram that begins there."""
        cells, before = self._cells, 0
        cells[place + SUM] += sum(seconds)
        seconds.sort()
        for bound in BUCKET_ENDS:
            upto = bisect_right(seconds, bound)
            if upto != before:
                cells[place] += upto - before
            place, before = place + 1, upto
        cells[place] += len(seconds) - before

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
