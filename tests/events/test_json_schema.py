"""JSON Schema of event types: it takes the samples, and says what is wrong with others."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pydantic
import pytest
from jsonschema import Draft202012Validator

import service.events
from service.events import (
    CloudEvent,
    EventBatch,
    KafkaEvents,
    MnsStreamEvent,
    MnsTopicEvent,
    OssEvent,
    TimerEvent,
    schema,
)
from service.events.sample import names, sample, type_of


class Order(msgspec.Struct):
    number: int


class Orders(EventBatch[CloudEvent[Order]]):
    """Orders of a source of one's own."""


class Model(pydantic.BaseModel):
    number: int


def errors(kind: Any, value: Any) -> list[str]:
    return sorted(
        error.json_path for error in Draft202012Validator(schema(kind)).iter_errors(value)
    )


NO_OBJECTS = {"kafka.strings", "mns.stream", "tablestore"}
"""Samples that are no JSON, or have their objects in text."""


@pytest.mark.parametrize("name", sorted({n for n in names() if type_of(n)} - NO_OBJECTS))
def test_the_sample_of_a_trigger_fits(name: str) -> None:
    """What a trigger sends is what the schema of its type says."""
    assert errors(getattr(service.events, type_of(name)), json.loads(sample(name))) == []


def test_tablestore_is_described_as_json() -> None:
    """Its events are CBOR; the schema is that of the same as JSON."""
    decoded = json.loads(sample("tablestore.decoded"))
    assert errors(service.events.TablestoreEvent, decoded) == []


@pytest.mark.parametrize("name", sorted({*service.events.__all__} - {"schema"}))
def test_every_type_has_a_schema(name: str) -> None:
    """It is a valid schema, and knows no field without a name."""
    made = schema(getattr(service.events, name))
    Draft202012Validator.check_schema(made)
    assert '"":' not in json.dumps(made)


def test_what_is_wrong_is_said_in_its_place() -> None:
    """An editor can show the error where it is."""
    assert errors(OssEvent, {"events": [{"eventName": 1}]}) == [
        "$.events[0]",
        "$.events[0].eventName",
    ]
    assert errors(TimerEvent, {"triggerTime": "2026-03-11T08:00:00Z"}) == ["$"]


def test_attributes_beside_the_fields_fit() -> None:
    """What an event has beside its fields is let in."""
    assert errors(MnsTopicEvent, {"TopicName": "t", "Message": "m", "tenant": "north"}) == []
    assert errors(MnsStreamEvent, ["anything"]) == []


def test_a_type_of_ones_own() -> None:
    """A CloudEvent's data is described, a batch is a list or one, and data may be base64."""
    one = {"id": "1", "source": "shop", "type": "order"}
    assert errors(Orders, [one | {"data": {"number": 7}}]) == []
    assert errors(Orders, one | {"data_base64": "e30="}) == []
    assert errors(CloudEvent[Order], one) == ["$"]
    assert errors(CloudEvent[Order], one | {"data": {"number": "x"}}) == ["$.data.number"]
    assert errors(CloudEvent[Order | None], one) == []


def test_a_union() -> None:
    """It is any of its members; pydantic describes what it decodes, and bytes are anything."""
    both = schema(OssEvent | TimerEvent)
    assert both["title"] == "OssEvent | TimerEvent"
    assert errors(OssEvent | TimerEvent, json.loads(sample("timer"))) == []
    assert errors(KafkaEvents | bytes, 3) == []
    assert errors(Model, {"number": "x"}) == ["$.number"]


@pytest.mark.parametrize(
    "kind", [None, "OssEvent", 3, object()], ids=lambda kind: type(kind).__name__
)
def test_what_is_no_type_has_none(kind: Any) -> None:
    """It is a TypeError that says what would be."""
    with pytest.raises(TypeError, match=r"takes a type, OssEvent|allowed are bytes"):
        schema(kind)
