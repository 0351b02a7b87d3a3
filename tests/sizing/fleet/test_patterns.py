"""How calls come over time."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.errors import UsageError
from service.sizing.fleet.patterns import pattern_of


@pytest.mark.parametrize("name", ["constant", "daily", "burst"])
def test_a_pattern_has_the_rate_that_was_asked_for_at_its_most(name: str, tmp_path: Path) -> None:
    """And never more; its arrivals are as many as it says, and the same for the same seed."""
    pattern = pattern_of(name, 0.3, None, tmp_path)
    rates = [pattern.rate(second * pattern.seconds / 5000) for second in range(5000)]
    assert max(rates) == pytest.approx(0.3, rel=0.01)
    assert min(rates) >= 0
    arrivals = list(pattern.arrivals(7))
    assert len(arrivals) == pytest.approx(pattern.calls(), rel=0.3)
    assert arrivals == sorted(arrivals) == list(pattern.arrivals(7))
    assert arrivals[-1] < pattern.seconds
    assert arrivals != list(pattern.arrivals(8))


def test_a_file_has_its_form_and_the_rate_that_was_asked_for(tmp_path: Path) -> None:
    """Between two points the rate is on their line; the highest is --rate."""
    (tmp_path / "week.csv").write_text("# calls\n0, 10\n100, 20\n200 0\n")
    pattern = pattern_of("week.csv", 2000.0, None, tmp_path)
    rates = [pattern.rate(second) for second in (0, 50, 100, 150, 200, 300)]
    assert rates == [1000, 1500, 2000, 1000, 0, 0]
    assert (pattern.seconds, pattern.name) == (200, "week.csv")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "no file"),
        ("", "is empty"),
        ("0,1\n0,2\n", "line 2"),
        ("0,nan\n", "line 1"),
        ("-1,5\n", "line 1"),
        ("a,b\n", "line 1"),
        ("5\n", "line 1"),
    ],
    ids=["missing", "empty", "not-rising", "nan", "negative", "words", "one-column"],
)
def test_a_file_that_is_none_is_told_in_a_line(
    content: str | None, told: str, tmp_path: Path
) -> None:
    """With the line, and the form."""
    if content is not None:
        (tmp_path / "p.csv").write_text(content)
    with pytest.raises(UsageError, match=told):
        pattern_of("p.csv", 1.0, None, tmp_path)
