"""What is told of batches."""

from __future__ import annotations

import time

import pytest

from service import Context
from service.batching import figures
from service.context.call import record_of
from service.context.record import CallRecord
from service.counting.page import Page
from service.counting.pages import OF_USER, USER_PAGE
from service.logs.call_line import call_figures

OF_PREDICT = (("function", "index.predict"),)


@pytest.fixture(autouse=True)
def page(monkeypatch: pytest.MonkeyPatch) -> Page:
    """A page of the test's own."""
    monkeypatch.setattr(USER_PAGE, "page", Page(OF_USER))
    return USER_PAGE.made()


def test_sizes_waits_and_runs_are_counted(page: Page) -> None:
    """Each batch has a size and a run, each call a wait; those that failed are counted, too."""
    figures.note_begin("index.predict", [(None, 0.5), (None, 0.25), (None, 0.25)])
    figures.note_end("index.predict", 2.0, failed=False)
    figures.note_begin("index.predict", [(None, 0.0)])
    figures.note_end("index.predict", 1.0, failed=True)
    found = {key: value for family in page.families() for key, value in family.samples.items()}
    assert found["fc_batch_size_sum", OF_PREDICT] == 4
    assert found["fc_batch_size_count", OF_PREDICT] == 2
    assert found["fc_batch_wait_seconds_sum", OF_PREDICT] == 1.0
    assert found["fc_batch_wait_seconds_count", OF_PREDICT] == 4
    assert found["fc_batch_seconds_sum", OF_PREDICT] == 3.0
    assert found["fc_batches_failed_total", OF_PREDICT] == 1


def test_a_calls_line_tells_its_batch() -> None:
    """It has the first call's id, the size, and the waits of all batches that it was in."""
    now = time.monotonic()
    calls = [Context({}, name, record=CallRecord(now)) for name in "ab"]
    figures.note_begin("index.predict", [(None, 0.0), *((each, 0.25) for each in calls)])
    figures.note_begin("index.predict", [(calls[1], 0.125)])
    told = [call_figures(record_of(each)) for each in calls]
    names = ("batchId", "batchSize", "batchWaitMs")
    assert [[each[name] for name in names] for each in told] == [["a", 3, 250.0], ["b", 1, 375.0]]
    assert "batchId" not in call_figures(CallRecord(now))
