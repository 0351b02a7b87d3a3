"""The file that a measurement leaves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from service.errors import UsageError
from service.sizing.report import read_report, subject_differences, write_report
from tests.sizing.measured import SUBJECT, level, report


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    """All of it, from a folder that is made; nothing else is left there."""
    path = tmp_path / "reports" / "size.json"
    given = report(0.001, 0.1, levels=(1, 5))
    write_report(given, path)
    assert read_report(path) == given
    assert [each.name for each in path.parent.iterdir()] == ["size.json"]
    assert given.missing == [2, 10, 20, 50, 100, 200]


def test_a_level_takes_the_place_of_its_like() -> None:
    """In the order of their concurrency."""
    given = report(0.001, 0.1, levels=(1, 5)).with_level(level(2, 0.001, 0.1))
    given = given.with_level(level(5, 0.001, 0.2))
    assert [each.at_once for each in given.levels] == [1, 2, 5]
    assert given.levels[-1].full > 0.2


def test_no_report_is_none(tmp_path: Path) -> None:
    """It is not an error that there is none yet."""
    assert read_report(tmp_path / "size.json") is None


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"form": 99}', '{"form": 1}', '{"form": 1, "subject": {}, "levels": []}'],
    ids=["empty", "cut", "a-list", "newer", "nothing-else", "half"],
)
def test_another_file_is_told_in_a_line(tmp_path: Path, content: str) -> None:
    """What is no report is neither read nor overwritten in silence."""
    path = tmp_path / "size.json"
    path.write_text(content)
    with pytest.raises(UsageError, match="is no report of `size`"):
        read_report(path)


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A file is where the folder should be."""
    (tmp_path / "reports").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        write_report(report(0.001, 0.1), tmp_path / "reports" / "size.json")


def test_what_differs_is_named() -> None:
    """A measurement of another event is not gone on with."""
    assert subject_differences(SUBJECT, SUBJECT) == []
    (told,) = subject_differences(SUBJECT, replace(SUBJECT, event="3 bytes, def"))
    assert told == "event '2 bytes, abc', not '3 bytes, def'"
