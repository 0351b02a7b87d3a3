"""Prometheus' text format: what is written can be read, by us and by Prometheus' own parser."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from service.counting.families import Family, SampleKey
from service.counting.samples import samples_in
from service.counting.text import exposition, value_text

VALUES = st.floats(allow_nan=False)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"])) | st.just(
    'a\\n"b"\\\n{c="d"},'
)


@given(st.dictionaries(TEXTS, VALUES, min_size=1), TEXTS)
def test_what_is_written_is_read_again(values: dict[str, float], help: str) -> None:
    """Whatever a label's value and the description say, by this reader and by Prometheus'."""
    samples: dict[SampleKey, float] = {
        ("orders_total", (("shop", each),)): value for each, value in values.items()
    }
    text = exposition([Family("orders_total", "counter", help, samples)]).decode()
    assert samples_in(text) == samples
    (family,) = text_string_to_metric_families(text)
    read = {(s.name, tuple(s.labels.items())): s.value for s in family.samples}
    assert (family.type, read) == ("counter", samples)


@given(st.text())
def test_no_text_makes_a_line_of_its_own(text: str) -> None:
    """Control characters, line ends and lone surrogates of a label stay within one line of UTF-8
    that a terminal can be shown.
    """
    family = Family("up", "gauge", text, {("up", (("of", text),)): 1.0})
    lines = exposition([family]).decode().splitlines()
    assert [line.split(" ")[0].split("{")[0] for line in lines] == ["#", "#", "up"]
    assert all(line.isprintable() or not any(ord(c) < 32 for c in line) for line in lines)


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.0, "3"), (0.25, "0.25"), (math.inf, "+Inf"), (-math.inf, "-Inf"), (math.nan, "NaN")],
)
def test_numbers_are_written_as_prometheus_has_them(value: float, text: str) -> None:
    """Whole ones without a point, and what is no number by its name."""
    assert value_text(value) == text


@pytest.mark.parametrize("line", ["# HELP a b", "", "a b c d", 'a{b="c} 1', "1 2", "a one"])
def test_a_line_that_is_no_sample_is_passed_over(line: str) -> None:
    """Comments, and whatever a stranger answers."""
    assert samples_in(f"{line}\nup 1\n") == {("up", ()): 1.0}
