"""What a soak leaves: figures that can be read again, and the page's table."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak import report
from tests.soak.course import Course, Sample
from tests.soak.report import KEPT, SoakReport, from_json, to_json
from tests.soak.traffic import Tally

SAMPLES = [Sample(each, 100 * each, 40.123456, 9, 5, 1, 1000, 0, 0.001, 0.002) for each in range(4)]
COURSE = Course("async", SAMPLES, [(0.1, 40.0), (0.2, 41.0)], Tally(400, {"ok": 400}), 0, 0)


def test_what_is_kept_can_be_read_again() -> None:
    """With figures as long as they are exact."""
    again = from_json(to_json(SoakReport("2026-11-28", "3.13.0", 10, [COURSE])))
    assert (again.date, again.python, again.minutes) == ("2026-11-28", "3.13.0", 10)
    (course,) = again.courses
    assert (course.load, course.tally) == (COURSE.load, COURSE.tally)
    assert course.samples[-1].rss == 40.1235
    assert course.slope() == 0


def test_of_many_looks_the_highest_of_their_time_are_kept() -> None:
    """A peak is not lost, and the file stays small."""
    looks = [(float(number), float(number % 7)) for number in range(10 * KEPT)]
    long = Course("async", SAMPLES, looks)
    (course,) = from_json(to_json(SoakReport("", "", 1, [long]))).courses
    assert len(course.load) == KEPT
    assert {held for _, held in course.load} == {6.0}


def test_the_table_is_put_between_its_marks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text around it stays as it was written."""
    monkeypatch.setattr(report, "DOCS", tmp_path)
    page = tmp_path / "reliability.md"
    page.write_text("before\n<!-- made: soak -->\nold\n<!-- end -->\nafter\n")
    report.fill(SoakReport("2026-11-28", "3.13.0", 10, [COURSE]))
    text = page.read_text()
    assert text.startswith(
        "before\n<!-- made: soak -->\n\nOn 2026-11-28, 10 minutes on Python 3.13.0"
    )
    assert "\n| calls | 400 |\n" in text
    assert text.endswith("| exit code | 0 |\n\n<!-- end -->\nafter\n")
