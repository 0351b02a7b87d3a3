"""An event is decoded as the member of a union whose shape it has."""

from __future__ import annotations

import dataclasses
import json
from functools import cache
from typing import Any, Literal, TypedDict

import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import service.events
from service.calls.decode import decoder
from service.errors import InvalidEvent
from service.events import (
    CdnEvent,
    CloudEvent,
    CloudEvents,
    EventBridgeEvent,
    EventBridgeOssEvent,
    KafkaEvents,
    MnsStreamEvent,
    MnsTopicEvent,
    OssEvent,
    RocketMqEvents,
    TablestoreEvent,
    TimerEvent,
)
from service.events.sample import names, sample, type_of

BY_SAMPLE = {name: getattr(service.events, type_of(name)) for name in names() if type_of(name)}
SAMPLED = sorted(set(BY_SAMPLE.values()), key=lambda kind: str(kind.__name__))
GENERAL = [EventBridgeEvent, CloudEvents]
built = cache(decoder)


@pytest.mark.parametrize("one", [*SAMPLED, *GENERAL], ids=lambda kind: kind.__name__)
def test_a_sample_is_of_one_type_of_two(one: Any) -> None:
    """In a union of any two types of triggers a sample of either becomes what its trigger sends,
    whichever stands first.
    """
    for other in {*SAMPLED, *GENERAL} - {one}:
        decode = built(one | other)
        for name, kind in BY_SAMPLE.items():
            if kind in (one, other):
                assert type(decode(sample(name))) is kind, (other, name)


def test_a_sample_is_of_one_type_of_all() -> None:
    """In a union of all of them, too."""
    every: Any = SAMPLED[0]
    for kind in [*SAMPLED[1:], *GENERAL]:
        every = every | kind
    decode = built(every)
    for name, kind in BY_SAMPLE.items():
        assert type(decode(sample(name))) is kind


class Order(msgspec.Struct):
    number: int


class Parcel(msgspec.Struct):
    weight: int


class Box(msgspec.Struct):
    weight: int
    width: int


@dataclasses.dataclass
class Cat:
    name: str
    lives: int = 9


@dataclasses.dataclass
class Dog:
    name: str
    tail: str


class Train(TypedDict):
    kind: Literal["train"]
    wagons: int


class Car(TypedDict):
    kind: Literal["car"]
    wheels: int


class Model(pydantic.BaseModel):
    size: int = pydantic.Field(alias="modelSize")


class Other(pydantic.BaseModel):
    colour: str


@pydantic.dataclasses.dataclass
class Checked:
    weight: int = pydantic.Field(gt=0)


def cloud(data: Any) -> bytes:
    return json.dumps({"id": "1", "source": "s", "type": "t", "data": data}).encode()


UNIONS: dict[str, tuple[Any, bytes, Any]] = {
    "structs": (Order | Parcel, b'{"weight":3}', Parcel(3)),
    "more-fields-win": (Parcel | Box, b'{"weight":3,"width":1}', Box(3, 1)),
    "fewer-fields": (Box | Parcel, b'{"weight":3}', Parcel(3)),
    "dataclasses": (Cat | Dog, b'{"name":"a","tail":"b"}', Dog("a", "b")),
    "typed-dicts": (Train | Car, b'{"kind":"car","wheels":4}', {"kind": "car", "wheels": 4}),
    "models": (Model | Other, b'{"colour":"red"}', Other(colour="red")),
    "model-and-dict": (Other | dict[str, int], b'{"a":1}', {"a": 1}),
    "model-and-struct": (Order | Model, b'{"modelSize":3}', Model(modelSize=3)),
    "model-and-trigger": (Model | OssEvent, b'{"modelSize":3}', Model(modelSize=3)),
    "struct-and-trigger": (OssEvent | Order, b'{"number":3}', Order(3)),
    "struct-and-text": (Order | Parcel | str, b'"a"', "a"),
    "what-is-no-event": (bytes | OssEvent, b"\xff", b"\xff"),
    "pydantics-dataclass": (Checked | None, b'{"weight":3}', Checked(3)),
    "in-a-list": (list[Cat | Dog], b'[{"name":"a","lives":1}]', [Cat("a", 1)]),
    "in-a-list-with-none": (list[Cat | Dog | None], b"[null]", [None]),
    "in-a-dict": (dict[str, Order | Parcel], b'{"a":{"number":1}}', {"a": Order(1)}),
    "of-lists": (list[Order] | Parcel, b'[{"number":1}]', [Order(1)]),
    "an-empty-batch": (OssEvent | KafkaEvents, b"[]", []),
    "nothing-for-a-trigger": (OssEvent | TimerEvent | None, b"", None),
    "null-for-a-trigger": (OssEvent | TimerEvent | None, b"null", None),
}


@pytest.mark.parametrize(("annotation", "body", "value"), UNIONS.values(), ids=UNIONS)
def test_unions(annotation: Any, body: bytes, value: Any) -> None:
    """A union of any kinds of classes becomes the one that fits."""
    decoded = decoder(annotation)(body)
    assert decoded == value
    assert isinstance(decoded, type(value))


def test_cloud_events_of_two_kinds() -> None:
    """CloudEvents whose data differ are told apart by it."""
    decode = decoder(CloudEvent[Order] | CloudEvent[Parcel])
    assert decode(cloud({"weight": 3})).data == Parcel(3)
    assert decode(cloud({"number": 3})).data == Order(3)


def test_what_is_no_json() -> None:
    """CBOR is a table's, and text a topic's, beside types of JSON."""
    decode = decoder(OssEvent | TablestoreEvent | MnsStreamEvent)
    assert isinstance(decode(sample("tablestore")), TablestoreEvent)
    assert decode(b"\xff") == MnsStreamEvent(b"\xff")
    assert decode(b"[1]") == MnsStreamEvent(b"[1]")


REFUSED: dict[str, tuple[Any, bytes, str]] = {
    "one-fits": (
        OssEvent | TimerEvent,
        b'{"triggerName":"a","triggerTime":3}',
        "$.triggerTime: Expected `datetime`, got `int`",
    ),
    "none-fits": (OssEvent | TimerEvent, b'{"a":1}', "$: it is none of OssEvent, TimerEvent"),
    "a-batch-for-single-ones": (CdnEvent | TimerEvent, b"[1]", "$: it is none of CdnEvent"),
    "a-batch-of-numbers": (KafkaEvents | RocketMqEvents, b"[1]", "$: it is none of KafkaEvents"),
    "several-try": (
        Order | Parcel,
        b"[]",
        "Order: $: Expected `object`, got `array`; Parcel: $: Expected",
    ),
    "the-nearest-is-told": (Box | Parcel, b'{"weight":3,"width":"x"}', "$.width: Expected `int`"),
    "not-json": (OssEvent | TimerEvent, b"{", "$: it is none of OssEvent, TimerEvent"),
    "deep": (MnsTopicEvent | TimerEvent, b"[" * 200_000, "$: it is none of MnsTopicEvent"),
}


@pytest.mark.parametrize(("annotation", "body", "message"), REFUSED.values(), ids=REFUSED)
def test_what_fits_no_member(annotation: Any, body: bytes, message: str) -> None:
    """A body that fits no member is InvalidEvent, with the reason of the one it was meant for."""
    with pytest.raises(InvalidEvent) as caught:
        decoder(annotation)(body)
    assert str(caught.value).startswith(message)
    assert caught.value.__context__ is None


def test_a_member_that_nothing_decodes() -> None:
    """A union with a class that nothing decodes is refused at load."""

    class Plain:
        pass

    with pytest.raises(TypeError, match="Plain is unknown"):
        decoder(Order | Parcel | Plain)


MIXED = [
    OssEvent | TimerEvent,
    EventBridgeOssEvent | EventBridgeEvent | Order,
    Cat | Dog,
    Model | Order | None,
]


@pytest.mark.parametrize("annotation", MIXED, ids=str)
@settings(max_examples=settings().max_examples // 8)  # each of the many kinds of types has its own
@given(
    st.binary()
    | st.dictionaries(
        st.sampled_from(["id", "events", "triggerName", "triggerTime", "name", "number"]),
        st.none() | st.integers() | st.text(max_size=5) | st.just([{"oss": {}}]),
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_body(annotation: Any, body: bytes) -> None:
    """Any body at all is a member's value or InvalidEvent, and nothing else."""
    try:
        built(annotation)(body)
    except InvalidEvent:
        return
