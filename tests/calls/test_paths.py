"""Paths into an event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pydantic
import pytest
from msgspec import Struct, field

from service.calls.paths import path_reader
from service.errors import InvalidEvent


class Inner(Struct, rename="camel"):
    """A part with names of its own in JSON."""

    order_id: int = 7
    odd: str = field(default="x", name="od d")


@dataclass
class Outer:
    """What holds it."""

    inner: Inner
    items: list[dict[str, int]]


class Model(pydantic.BaseModel):
    """One of pydantic's, with an alias."""

    order_id: int = pydantic.Field(alias="orderId")


OUTER = Outer(Inner(), [{"a": 1}, {"a b": 2}])


@pytest.mark.parametrize(
    ("path", "event", "found"),
    [
        ("$", 5, 5),
        ("$.a.b", {"a": {"b": None}}, None),
        ("$[1][0]", [[1], (2,)], 2),
        ("$[-1]", [1, 2], 2),
        ("$['a b'].c-d", {"a b": {"c-d": 3}}, 3),
        ('$["it\'s"]', {"it's": 4}, 4),
        ("$.inner.orderId", OUTER, 7),
        ("$.inner.order_id", OUTER, 7),
        ("$.inner['od d']", OUTER, "x"),
        ("$.items[1]['a b']", OUTER, 2),
        ("$.orderId", Model(orderId=8), 8),
        ("$.order_id", Model(orderId=8), 8),
        ("$.a", b'{"a": 1}', 1),
        ("$.a", '{"a": 1}', 1),
    ],
)
def test_a_path_leads_to_a_value_in_whatever_the_event_has_become(
    path: str, event: Any, found: Any
) -> None:
    """Mappings, lists, Structs, dataclasses, pydantic models and JSON are read alike."""
    assert path_reader(path)(event) == found


@pytest.mark.parametrize(
    ("path", "event"),
    [
        ("$.a", {}),
        ("$.a", None),
        ("$.a", [1]),
        ("$[3]", [1]),
        ("$[0]", {"0": 1}),
        ("$[0]", Inner()),
        ("$.nothing", Inner()),
        ("$.a", b"no JSON"),
        ("$.a", b"[" * 100_000),
    ],
)
def test_what_is_not_there_is_told_by_its_name(path: str, event: Any) -> None:
    """The message has the path, and nothing of the event."""
    with pytest.raises(InvalidEvent, match=r"^\$"):
        path_reader(path)(event)


@pytest.mark.parametrize("path", ["", "a", "a.b", "$a", "$.", "$..a", "$[", "$[--1]", "$[*]", "$ "])
def test_what_is_no_path_is_refused(path: str) -> None:
    """It is refused when it is written down, with an example."""
    with pytest.raises(ValueError, match=r"is no path: write \$"):
        path_reader(path)
