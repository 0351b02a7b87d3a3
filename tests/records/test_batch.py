"""Records found in the bodies of all triggers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import pytest

from service import events
from service.calls.decode import decoder
from service.calls.stream import EventStream
from service.errors import InvalidEvent
from service.events.cloudevents import CloudEvent, EventBatch
from service.events.sample import sample
from service.records.batch import RecordReader

RECORDS = {
    "cdn.log": events.CdnRecord,
    "dts": events.DtsEvent,
    "eventbridge.oss": events.EventBridgeOssEvent,
    "kafka": events.KafkaEvent,
    "kafka.strings": events.KafkaEvent,
    "mns.queue": events.MnsQueueEvent,
    "mns.queue.single": events.MnsQueueEvent,
    "mns.topic": events.MnsTopicEvent,
    "mqtt": events.MqttMessage,
    "oss.put": events.OssRecord,
    "rabbitmq": events.RabbitMqEvent,
    "rocketmq": events.RocketMqEvent,
    "rocketmq.self-managed": events.RocketMqMessage,
    "rocketmq.single": events.RocketMqEvent,
    "sls": events.SlsEvent,
    "tablestore": events.TablestoreRecord,
}
"""Samples, with the type of one record."""


def records(annotation: Any, body: bytes) -> list[Any]:
    """All records of a body, each decoded."""
    reader = RecordReader(annotation)
    return [reader.read(part) for part in reader.split(body)]


@pytest.mark.parametrize("name", RECORDS)
def test_the_records_of_each_trigger_are_found(name: str) -> None:
    """They are those that the type of the whole batch has, and their type is the record's own."""
    kind = RECORDS[name]
    found = records(kind, sample(name))
    assert found
    assert {type(record) for record in found} == {kind}
    if name in ("kafka", "kafka.strings", "mns.queue", "rabbitmq", "rocketmq", "dts", "mqtt"):
        batch: Any = {
            "kafka": events.KafkaEvents,
            "mns": events.MnsQueueEvents,
            "rabbitmq": events.RabbitMqEvents,
            "rocketmq": events.RocketMqEvents,
            "dts": events.DtsEvents,
            "mqtt": events.MqttMessages,
        }[name.split(".")[0]]
        assert len(found) == len(decoder(batch)(sample(name)))


@dataclass
class Order:
    """A record of the user's own."""

    number: int


Texts = list[str]


@pytest.mark.parametrize(
    ("annotation", "body", "found"),
    [
        (Order, b'[{"number": 1}, "{\\"number\\": 2}"]', [Order(1), Order(2)]),
        (Any, b'\xef\xbb\xbf [{"a": 1}, "text", null]', [{"a": 1}, "text", None]),
        (dict, b'["{\\"a\\": 1}"]', [{"a": 1}]),
        (str, b'["a", 1, "{}"]', ["a", "1", "{}"]),
        (bytes, b'["a", {"b": 1}]', [b"a", b'{"b": 1}']),
        (int | str, b'["a", 1]', ["a", 1]),
        (Texts, b'[["a"], []]', [["a"], []]),
        (Annotated[int, msgspec.Meta(ge=1)], b"[1, 2]", [1, 2]),
        (dict, b'{"events": [{"a": 1}]}', [{"a": 1}]),
        (Any, b"[]", []),
        (events.KafkaEvent, b"[]", []),
    ],
)
def test_any_list_has_records(annotation: Any, body: bytes, found: list[Any]) -> None:
    """Each is decoded as the annotation asks; one that is a text may hold its JSON."""
    assert records(annotation, body) == found


def test_a_single_event_is_a_batch_of_one() -> None:
    """EventBridge sends one event without a list around it, if it is told to."""
    [event] = records(dict, sample("rocketmq.single"))
    assert event["data"]["topic"]
    [typed] = records(CloudEvent[Any], sample("eventbridge.oss"))
    assert typed.type.startswith("oss:")


@pytest.mark.parametrize("body", [b"{}", b'{"a": [1]}', b"1", b'"text"', b"", b"no JSON", b"[1,"])
def test_what_is_no_list_is_refused(body: bytes) -> None:
    """The error says what is asked for."""
    with pytest.raises(InvalidEvent):
        records(Any, body)
    with pytest.raises(InvalidEvent):
        records(Order, body)
    if not body.startswith(b"["):
        with pytest.raises(InvalidEvent, match="@each takes a list of records"):
            RecordReader(Any).split(body)


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff\xff", b"\xa0", b"\xa1\x67Records\x01"])
def test_bytes_that_are_no_rows_of_tablestore_are_refused(body: bytes) -> None:
    """So is CBOR of another shape."""
    with pytest.raises(InvalidEvent):
        RecordReader(events.TablestoreRecord).split(body)


def test_a_row_of_tablestore_that_is_none_is_refused_alone() -> None:
    """The others are decoded."""
    import cbor2

    reader = RecordReader(events.TablestoreRecord)
    good = {"Type": "PutRow", "PrimaryKey": [{"ColumnName": "id", "Value": 1}]}
    first, second = reader.split(cbor2.dumps({"Version": "1", "Records": [None, good]}))
    with pytest.raises(InvalidEvent):
        reader.read(first)
    assert reader.read(second).key() == {"id": 1}


@pytest.mark.parametrize("body", [b'"no JSON"', b'"{"', b"1", b"{}", b'{"number": "x"}', b"[" * 9])
def test_a_record_that_does_not_fit_is_refused_alone(body: bytes) -> None:
    """Its reason has no part of it."""
    with pytest.raises(InvalidEvent) as failure:
        RecordReader(Order).read(body)
    assert "no JSON" not in str(failure.value)


class Orders(EventBatch[CloudEvent[Order]]):
    """A batch of the user's own."""


class Uploads(events.OssEvent, frozen=True):
    """An event of a trigger, in a class of the user's own."""


@pytest.mark.parametrize(
    ("annotation", "advice"),
    [
        (Uploads, "annotate it as OssRecord"),
        (events.CdnEvent, "annotate it as CdnRecord"),
        (events.KafkaEvents, "annotate it as KafkaEvent"),
        (Orders, "annotate it as"),
        (events.OssEvent, "annotate it as OssRecord"),
        (events.TablestoreEvent, "annotate it as TablestoreRecord"),
        (EventStream, "lines=True"),
        (complex, "an event cannot become complex"),
    ],
)
def test_the_annotation_of_a_batch_is_refused(annotation: Any, advice: str) -> None:
    """A handler of `@each` takes one record: the error says which type that is."""
    with pytest.raises(TypeError, match=advice):
        RecordReader(annotation)


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of Tablestore need cbor2: one line says so when the handler is loaded."""
    monkeypatch.setattr(events.TablestoreRecord, "__event_needs__", ("cbor_that_is_not_there",))
    with pytest.raises(TypeError, match="pip install cbor_that_is_not_there"):
        RecordReader(events.TablestoreRecord)
