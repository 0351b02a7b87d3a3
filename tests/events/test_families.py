"""What a family of triggers can do beyond its fields."""

from __future__ import annotations

import importlib.util
import json
from typing import Annotated, Any
from urllib.parse import quote

import cbor2
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.calls.decode import decoder
from service.calls.encode import encode
from service.errors import InvalidEvent
from service.events import (
    ApiGatewayAnswer,
    ApiGatewayEvent,
    CdnEvent,
    CloudEvent,
    DtsEvents,
    EventBatch,
    HttpEvent,
    KafkaEvents,
    MnsStreamEvent,
    MnsTopicEvent,
    OssEvent,
    OssRecord,
    RocketMqEvents,
    SlsEvent,
    TablestoreEvent,
    TablestoreRecord,
    TimerEvent,
)
from service.events.dts import DtsField, DtsImage, DtsSchema, DtsTopicPartition, DtsValue
from service.events.oss import OssBucket, OssObject
from service.events.sample import sample
from service.events.tablestore import TablestoreColumn


class Order(msgspec.Struct):
    number: int


class Orders(EventBatch[CloudEvent[Order]]):
    """Orders of a source of one's own."""


def order(number: object) -> dict[str, Any]:
    return {"id": "1", "source": "shop", "type": "order", "data": {"number": number}}


def test_batch_of_own() -> None:
    """A batch of one's own type takes a list, one event and texts alike."""
    one = order(7)
    for body in (one, [one], [json.dumps(one)]):
        (event,) = decoder(Orders)(json.dumps(body).encode())
        assert event.data == Order(7)


TEXTS = {
    "a-field": (json.dumps(order("x")), "$[1].data.number: Expected `int`, got `str`"),
    "the-whole": ("[]", "$[1]: Expected `object`, got `array`"),
    "not-json": ("{hunter2", "$[1]: not JSON: unexpected character"),
}


@pytest.mark.parametrize(("text", "message"), TEXTS.values(), ids=TEXTS)
def test_batch_of_bad_texts(text: str, message: str) -> None:
    """A bad text in a batch is InvalidEvent with its place in the batch."""
    with pytest.raises(InvalidEvent) as caught:
        decoder(Orders)(json.dumps([json.dumps(order(1)), text]).encode())
    assert str(caught.value).startswith(message)
    assert "hunter2" not in str(caught.value)


def test_batch_is_a_list() -> None:
    """A batch is a list, of a type that tells what is in it."""
    assert isinstance(decoder(KafkaEvents)(b"[]"), KafkaEvents)
    assert decoder(RocketMqEvents)(b"[]") == []


def test_unparametrised_batch() -> None:
    """A batch of no particular type has the JSON values."""
    assert decoder(EventBatch)(b'[{"a":1}]') == [{"a": 1}]


def test_topic_as_sent() -> None:
    """A topic's event becomes the same flat JSON again."""
    body = sample("mns.topic.attributes")
    assert json.loads(encode(decoder(MnsTopicEvent)(body))) == json.loads(body)


STREAMS = {
    "bytes": b"\xff",
    "nothing": b"",
    "other-json": b'{"body":"x","attrs":{},"more":1}',
    "deep-json": b'{"body":' + b"[" * 100_000,
}


@pytest.mark.parametrize("body", STREAMS.values(), ids=STREAMS)
def test_stream(body: bytes) -> None:
    """A STREAM message that has no attributes is the bytes as they are."""
    assert decoder(MnsStreamEvent)(body) == MnsStreamEvent(body)


def test_dts_rows() -> None:
    """A DTS row is column names and values, text decoded."""
    (event,) = decoder(DtsEvents)(sample("dts"))
    assert event.data.before_image.row() == {"id": 42, "status": "NEW"}
    assert event.data.after_image.row() == {"id": 42, "status": "PAID"}


VALUES: dict[str, tuple[DtsValue | None, object]] = {
    "null": (None, None),
    "number": (DtsValue(7), 7),
    "text": (DtsValue({"hb": [-28, -67, -96], "offset": 0, "limit": 3}, "utf8"), "你"),
    "other-charset": (DtsValue({"hb": [-60, -29]}, "gbk"), "你"),
    "part-of-a-buffer": (
        DtsValue({"hb": [65, 66, 67, 68], "offset": 1, "limit": 2}, "ascii"),
        "BC",
    ),
    "binary": (DtsValue({"hb": [-1, 0]}, "binary"), b"\xff\x00"),
    "no-charset": (DtsValue({"hb": [1]}), b"\x01"),
    "other-object": (DtsValue({"year": 2026}), {"year": 2026}),
}


@pytest.mark.parametrize(("value", "plain"), VALUES.values(), ids=VALUES)
def test_dts_values(value: DtsValue | None, plain: object) -> None:
    """A DTS value is what the column holds; Java's signed bytes are read as they are meant."""
    image = DtsImage([value], DtsSchema([DtsField("a", 0)]))
    assert image.row() == {"a": plain}


def test_content() -> None:
    """The body of an HTTP request is bytes, whichever way it was sent."""
    assert decoder(ApiGatewayEvent)(sample("apigateway")).content() == b'{"status":"PAID"}'
    assert decoder(HttpEvent)(sample("http")).content() == b"Hi"


def test_answer() -> None:
    """An answer becomes the JSON that API Gateway wants."""
    assert json.loads(encode(ApiGatewayAnswer("gone", 404))) == {
        "body": "gone",
        "statusCode": 404,
        "headers": {},
        "isBase64Encoded": False,
    }


def test_binary_answer() -> None:
    """An answer of bytes is base64."""
    answer = ApiGatewayAnswer.of(b"\xff", headers={"Content-Type": "image/png"})
    assert json.loads(encode(answer)) == {
        "body": "/w==",
        "statusCode": 200,
        "headers": {"Content-Type": "image/png"},
        "isBase64Encoded": True,
    }


def test_not_cbor() -> None:
    """A Tablestore event that is not CBOR is InvalidEvent."""
    with pytest.raises(InvalidEvent, match="not CBOR: CBORDecodeEOF"):
        decoder(TablestoreEvent)(sample("tablestore")[:-1])


def test_without_cbor2(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without cbor2 a Tablestore handler is refused at load, not at its first event."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "cbor2" else find(name)
    )
    with pytest.raises(TypeError, match=r"TablestoreEvent needs cbor2, .* pip install cbor2"):
        decoder(TablestoreEvent)


def test_null_is_the_default() -> None:
    """A field that is null is what it is if it is absent."""
    changes = {"source.endpoint": "null", "parameter": "null", "cursorTime": "null"}
    event = decoder(SlsEvent)(sample("sls", changes))
    assert (event.source.endpoint, event.parameter, event.cursor_time) == ("", {}, 0)
    (change,) = decoder(DtsEvents)(sample("dts", {"0.data.topicPartition": "null"}))
    assert change.data.topic_partition == DtsTopicPartition()
    record: dict[str, Any] = {"Type": "DeleteRow", "PrimaryKey": [], "Columns": None, "Info": None}
    body = cbor2.dumps({"Version": None, "Records": [record]})
    event = decoder(TablestoreEvent)(body)
    assert (event.version, event.records[0].columns, event.records[0].info.timestamp) == ("", [], 0)


def test_a_null_makes_a_default_of_its_own() -> None:
    """What one event's default is changed to, no other event sees."""
    changes = {"parameter": "null"}
    first, second = (decoder(SlsEvent)(sample("sls", changes)) for _ in range(2))
    first.parameter["key"] = "value"
    assert second.parameter == {}


NULLS = {
    "apigateway-get": (ApiGatewayEvent, "apigateway", {"body": "null", "queryParameters": "null"}),
    "http-get": (HttpEvent, "http", {"body": "null", "headers": "null", "version": "null"}),
    "http-time": (HttpEvent, "http", {"requestContext.time": "soon"}),
    "oss-time": (OssEvent, "oss.put", {"events.0.eventTime": "2026-3-11T08:22:17PRC"}),
    "oss-nulls": (OssEvent, "oss.put", {"events.0.region": "null", "events.0.eventTime": "null"}),
    "cdn-time": (CdnEvent, "cdn.log", {"events.0.eventTime": "soon", "events.0.traceId": "7"}),
    "mns-topic": (MnsTopicEvent, "mns.topic", {"PublishTime": "null", "Subscriber": "null"}),
    "timer-payload": (TimerEvent, "timer", {"payload": "null"}),
}


@pytest.mark.parametrize(("annotation", "name", "changes"), NULLS.values(), ids=NULLS)
def test_what_nobody_asked_for(annotation: Any, name: str, changes: dict[str, str]) -> None:
    """Metadata that is null, of another type, or no time, never refuses an event."""
    event = decoder(annotation)(sample(name, changes))
    if annotation in (ApiGatewayEvent, HttpEvent):
        assert event.content() in (b"", b"Hi")
    assert encode(event)


class Upload(msgspec.Struct):
    """An event of one's own, with parts of the triggers' in it."""

    bucket: OssBucket
    times: dict[str, TimerEvent | None]
    objects: Annotated[list[OssObject], msgspec.Meta(min_length=1)]


def test_nulls_within_types_of_ones_own() -> None:
    """What may be absent of a trigger's part may be null wherever a type of one's own has it, and
    a field of one's own may not.
    """
    timer = '{"triggerTime":"2026-03-11T08:22:17Z","triggerName":"t","payload":null}'
    objects = '[{"key":"a","size":null,"eTag":7,"objectMeta":null}]'
    body = f'{{"bucket":{{"name":"b","arn":null}},"times":{{"x":{timer},"y":null}},"objects":%s}}'
    upload = decoder(Upload)((body % objects).encode())
    assert upload.bucket == OssBucket("b")
    assert (upload.times["x"].payload, upload.times["y"]) == ("", None)
    assert upload.objects == [OssObject("a", e_tag="7")]
    for wrong in ("null", "[]"):
        with pytest.raises(InvalidEvent, match=r"^\$.objects: Expected `array"):
            decoder(Upload)((body % wrong).encode())


def test_what_fits_is_not_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event as the platform sends it costs no look at its parts beyond the decoder's."""
    monkeypatch.setattr(OssRecord, "__event_mended__", None)
    assert decoder(OssEvent)(sample("oss.put")).events[0].region == "cn-hangzhou"


KEYS = {
    "plain": ("incoming/a b+c.png", "incoming/a b+c.png"),
    "encoded": ("incoming/%E5%B0%81%20a.png", "incoming/封 a.png"),
    "a-percent": ("100%.png", "100%.png"),
    "cut": ("a%E5%B0", "a%E5%B0"),
    "not-utf-8": ("a%FF", "a%FF"),
    "a-surrogate": ("\ud800%41", "\ud800A"),
}


@pytest.mark.parametrize(("key", "decoded"), KEYS.values(), ids=KEYS)
def test_a_key_is_decoded_beside_the_raw_one(key: str, decoded: str) -> None:
    """Percent codes are replaced if they are UTF-8; whatever else stands in a key stays."""
    assert OssObject(key).decoded_key == decoded
    assert OssObject(key).key == key


@settings(max_examples=50)
@given(st.text())
def test_any_key_is_decoded(key: str) -> None:
    """No key raises anything, and one that was encoded comes back."""
    assert (
        OssObject(quote(key, safe="/", errors="replace")).decoded_key
        == key.encode(errors="replace").decode()
    )
    assert isinstance(OssObject(key).decoded_key, str)


def test_rows_of_tablestore_are_dicts() -> None:
    """A row is its key and what is known of its columns; the key alone is at hand, too."""
    put, update, deletion = decoder(TablestoreEvent)(sample("tablestore")).records
    assert put.key() == {"tenant": "north", "order_id": 20260311000042}
    assert put.row() == put.key() | {"status": "PAID", "amount": 199.5, "gift": False}
    assert update.row() == update.key() | {"note": None}
    assert deletion.row() == deletion.key()


def columns(*found: tuple[str, str, Any, int | None]) -> TablestoreRecord:
    made = [TablestoreColumn(kind, name, value, version) for kind, name, value, version in found]
    return TablestoreRecord("UpdateRow", [], made)


def test_the_newest_version_of_a_column_counts() -> None:
    """Of several versions the row has the newest, and what was put after all were deleted."""
    row = columns(
        ("Put", "a", 2, 20),
        ("Put", "a", 1, 10),
        ("DeleteAllVersions", "b", None, None),
        ("Put", "b", 3, None),
    ).row()
    assert row == {"a": 2, "b": 3}


def test_a_column_of_an_unknown_type_is_told() -> None:
    """What it does to the row nobody knows: it is InvalidEvent, and the columns can be read."""
    record = columns(("Increment", "n", 1, 10))
    with pytest.raises(InvalidEvent, match="column 'n' is of the type 'Increment', which is none"):
        record.row()
    assert record.columns[0].value == 1


def test_images_of_dts_are_dicts() -> None:
    """A change has the row before and after it, None where there was none."""
    (change, *_) = decoder(DtsEvents)(sample("dts"))
    assert change.data.before() == {"id": 42, "status": "NEW"}
    assert change.data.after() == {"id": 42, "status": "PAID"}
    insert = msgspec.structs.replace(change.data, before_image=None)
    assert insert.before() is None
    assert msgspec.structs.replace(insert, after_image=None).after() is None


UNDECODABLE = {
    "unknown-charset": DtsValue({"hb": [65]}, "klingon"),
    "not-bytes": DtsValue({"hb": ["x"]}, "utf8"),
    "not-of-the-charset": DtsValue({"hb": [-1]}, "utf8"),
    "no-number": DtsValue({"hb": [65], "limit": "x"}, "utf8"),
}


@pytest.mark.parametrize("value", UNDECODABLE.values(), ids=UNDECODABLE)
def test_a_value_of_dts_that_cannot_be_decoded_is_told(value: DtsValue) -> None:
    """It is InvalidEvent that names the column, and what came can be read."""
    image = DtsImage([value], DtsSchema([DtsField("note", 0)]))
    with pytest.raises(InvalidEvent, match="column 'note' cannot be decoded"):
        image.row()
    assert image.values == [value]
