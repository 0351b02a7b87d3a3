"""Mistakes in an event that is being written, each with its place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.console.event_check import MOST_MISTAKES, event_mistakes
from service.console.json_places import TextLines, json_places
from service.events.sample import sample

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def values(value: Any, path: tuple[str | int, ...] = ()) -> Any:
    """Every value in a value, by its path."""
    yield path, value
    children = dict(enumerate(value)) if isinstance(value, list) else value
    for key, each in children.items() if isinstance(children, dict) else ():
        yield from values(each, (*path, key))


@settings(max_examples=50)
@given(JSON, st.sampled_from([None, 2]), st.booleans())
def test_each_value_of_a_text_is_found_where_it_stands(
    value: Any, indent: int | None, ascii_only: bool
) -> None:
    """What begins at its place is the value."""
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    places = json_places(text)
    found = dict(values(value))
    assert places.keys() == found.keys()
    decoder = json.JSONDecoder()
    for path, place in places.items():
        assert decoder.raw_decode(text, place)[0] == found[path]


def test_a_line_and_a_column_count_from_one() -> None:
    """As editors count them."""
    lines = TextLines("ab\n\ncd")
    assert [lines.place(offset) for offset in (0, 1, 3, 4, 5)] == [
        *((1, 1), (1, 2)),
        *((2, 1), (3, 1), (3, 2)),
    ]


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [("", 1, 1), ("{\n  x}", 2, 3), ("{}{}", 1, 3), ("[" * 100_000, 1, 1), ("1" * 5_000, 1, 1)],
    ids=["nothing", "a bare word", "two texts", "too deep", "a number too long"],
)
def test_what_is_no_json_is_one_mistake(text: str, line: int, column: int) -> None:
    """With the place at which it ends to be some, whatever the type is."""
    for name in ("", "OssEvent"):
        (mistake,) = event_mistakes(name, text)
        assert (mistake["line"], mistake["column"]) == (line, column)
        assert mistake["message"]


def test_any_json_will_do_for_an_event_without_a_type() -> None:
    """A function takes what it likes."""
    assert event_mistakes("", '[1, {"a": null}]') == []


def test_mistakes_of_a_sample_are_told_in_their_order_with_their_paths() -> None:
    """A number in the place of a text, a list that is none."""
    event = json.loads(sample("oss.put"))
    event["events"][0]["eventName"] = 7
    event["events"][0]["oss"]["object"]["size"] = "large"
    found = event_mistakes("OssEvent", json.dumps(event, indent=2))
    assert [mistake["path"] for mistake in found] == [
        "events.0.eventName",
        "events.0.oss.object.size",
    ]
    assert found[0]["line"] < found[1]["line"]
    assert "7" in found[0]["message"]
    event["events"] = {"<b>": 1}
    (mistake,) = event_mistakes("OssEvent", json.dumps(event))
    assert mistake["path"] == "events"


def test_no_more_mistakes_are_told_than_a_page_can_show() -> None:
    """And none of them is longer than a few lines."""
    event = {"events": [{"eventName": ["x" * 5_000]}] * 200}
    found = event_mistakes("OssEvent", json.dumps(event))
    assert len(found) == MOST_MISTAKES
    assert max(len(mistake["message"]) for mistake in found) < 400
