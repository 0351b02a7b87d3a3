"""What makes two events the same."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import msgspec
import pydantic
import pytest

from service import EventStream
from service.errors import InvalidEvent, PayloadUnhashable
from service.idempotency.keys import digest_of, key_text, selector


class Order(msgspec.Struct, rename="camel"):
    """An order, as its event has it."""

    order_id: str
    price: int = 1


class OrderModel(pydantic.BaseModel):
    """The same with pydantic."""

    order_id: str


@dataclass
class OrderData:
    """The same as a dataclass."""

    order_id: str


@pytest.mark.parametrize(
    ("path", "event"),
    [
        ("$.order_id", b'{"order_id": "a"}'),
        ("$.order_id", '{"order_id": "a"}'),
        ("$.order_id", {"order_id": "a"}),
        ("$.order_id", Order("a")),
        ("$.orderId", Order("a")),
        ("$.order_id", OrderModel(order_id="a")),
        ("$.order_id", OrderData("a")),
        ("$.orders[1]['order id']", {"orders": [{}, {"order id": "a"}]}),
        (lambda event: event["x"].lower(), {"x": "A"}),
    ],
)
def test_a_key_is_found_in_every_kind_of_event(path: Any, event: Any) -> None:
    """By a path or by a function; in bytes, text, mappings, and objects with fields."""
    assert selector("key", path)(event) == "a"


@pytest.mark.parametrize("path", ["order_id", "$.", "$..a", "$.a[b]", "", 7, None])
def test_a_path_that_cannot_be_read_is_refused_at_once(path: Any) -> None:
    """The error shows what a path is."""
    with pytest.raises(ValueError, match=r"key.* path"):
        selector("key", path)


@pytest.mark.parametrize(
    "event", [b"{}", b"[1]", b"3", b"not JSON", b"\xff", {"other": 1}, Order("a"), b'{"a":{}}']
)
def test_an_event_without_the_key_is_invalid(event: Any) -> None:
    """It is the caller's fault, and the message names the path."""
    with pytest.raises(InvalidEvent, match=r"\$"):
        selector("key", "$.a.b")(event)


def test_a_stream_has_no_key() -> None:
    """What is read once cannot be looked into before."""
    with pytest.raises(TypeError, match="take it as bytes"):
        selector("key", "$.a")(EventStream.__new__(EventStream))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a-1", '"a-1"'),
        (17, "17"),
        ("17", '"17"'),
        (10**30, str(10**30)),
        (1.5, "1.5"),
        (["b", 2], '["b",2]'),
        ({"b": 1, "a": 2}, '{"a":2,"b":1}'),
        (uuid.UUID(int=7), '"00000000-0000-0000-0000-000000000007"'),
    ],
)
def test_a_short_key_stands_in_the_store_as_it_is(value: Any, text: str) -> None:
    """So that it can be found there; text and number are two."""
    assert key_text(value) == text


@pytest.mark.parametrize("value", ["k" * 1_000_000, "Bestellung für Jürgen", ["x" * 200]])
def test_a_long_or_strange_key_is_hashed(value: Any) -> None:
    """A megabyte or an umlaut is no trouble for a store."""
    assert key_text(value).startswith("sha256:")
    assert len(key_text(value)) == 71
    assert key_text(value) != key_text("other" * 100)


@pytest.mark.parametrize("value", [None, "", True, False, float("nan"), float("inf")])
def test_a_value_that_many_events_share_is_no_key(value: Any) -> None:
    """An empty key would make one event of all."""
    with pytest.raises(InvalidEvent, match="the same for many events"):
        key_text(value)


def test_a_key_of_a_class_without_text_is_the_functions_fault() -> None:
    """The message says what to return."""
    with pytest.raises(TypeError, match="return str or int"):
        key_text(object())


def test_the_same_payload_has_the_same_hash_however_it_was_written() -> None:
    """Spaces and the order of names do not count; any value does."""
    first = digest_of(b'{"a": 1, "b": [1, 2]}')
    assert digest_of('{"b":[1,2],"a":1}') == first
    assert digest_of({"b": [1, 2], "a": 1}) == first
    assert digest_of(b'{"b":[2,1],"a":1}') != first
    assert digest_of(Order("a")) == digest_of(b'{"price":1,"orderId":"a"}')
    assert digest_of(OrderModel(order_id="a")) == digest_of(OrderData("a"))
    assert digest_of(b"no JSON") == digest_of("no JSON") != digest_of(b"none")
    assert digest_of({"n": 10**30}) == digest_of(b'{"n": %d}' % 10**30)


def test_what_has_no_json_cannot_be_compared() -> None:
    """The message says how to compare less."""
    with pytest.raises(PayloadUnhashable, match="payload=None"):
        digest_of({"a": object()})


def test_an_object_that_makes_json_of_itself_is_compared_by_that() -> None:
    """As results are."""

    class Own:
        def to_json(self) -> dict[str, int]:
            return {"a": 1}

    assert digest_of(Own()) == digest_of({"a": 1})
