"""Keys of records."""

from __future__ import annotations

from typing import Any

import pytest

from service.errors import InvalidEvent
from service.records.keys import key_reader


@pytest.mark.parametrize(
    ("key", "record", "found"),
    [
        (None, {"a": 1}, None),
        ("$.a", {"a": 1}, 1),
        ("$.a", {"a": None}, None),
        (lambda record: record["a"], {"a": "x"}, "x"),
        ("$.a", {"a": {"c": 1, "b": [2]}}, '{"b":[2],"c":1}'),
        ("$", b'"text"', "text"),
        ("$.a", {"a": "k" * 1_000_000}, "k" * 1_000_000),
    ],
)
def test_a_key_is_a_value_that_can_be_compared(key: Any, record: Any, found: Any) -> None:
    """A path or a function finds it; lists and mappings are compared by what is in them."""
    assert key_reader(key)(record) == found


@pytest.mark.parametrize("key", [7, ["$.a"], "a", "$["])
def test_what_is_no_key_is_refused(key: Any) -> None:
    """Neither a path nor a function: the error says what to write."""
    with pytest.raises((TypeError, ValueError), match=r"\$\.order\.id"):
        key_reader(key)


def test_an_async_function_is_no_key() -> None:
    """Nothing waits for it, by its look and by what it returns."""

    async def key(_record: Any) -> Any:
        """Return nothing."""

    with pytest.raises(TypeError, match="plain function"):
        key_reader(key)
    with pytest.raises(TypeError, match="make it a plain one"):
        key_reader(lambda record: key(record))({})


def test_a_key_that_is_not_there_or_cannot_be_compared_is_told() -> None:
    """The failure is the record's."""
    with pytest.raises(InvalidEvent, match=r"\$\.a: the event has no 'a' there"):
        key_reader("$.a")({"b": 1})
    with pytest.raises(TypeError):
        key_reader(lambda _: {1, 2})({})
