"""CloudEvents as they come: documented samples, other spellings, and what nobody asked for."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pydantic
import pytest

from service.calls.decode import decoder
from service.calls.encode import encode
from service.errors import InvalidEvent
from service.events import (
    CloudEvent,
    CloudEvents,
    EventBatch,
    EventBridgeEvent,
    KafkaEvents,
    RabbitMqEvents,
)
from service.events.sample import sample

CHINA = timezone(timedelta(hours=8))
DOCUMENTED = {
    "id": "45ef4dewdwe1-7c35-447a-bd93-fab****",
    "source": "acs:aliyuncvc",
    "specversion": "1.0",
    "subject": "acs.aliyuncvc:cn-hangzhou:{AccountId}:215672",
    "time": "2020-11-19T21:04:41+08:00",
    "type": "aliyuncvc:MeetingEvent:MemberOperate",
    "aliyunaccountid": "123456789098****",
    "aliyunpublishtime": "2020-11-19T21:04:42.179PRC",
    "aliyuneventbusname": "default",
    "aliyunregionid": "cn-hangzhou",
    "aliyunpublishaddr": "172.25.XX.XX",
    "data": {"meetingName": "swqd", "time": 1590592527490},
}
"""The form of the events in EventBridge's own documents."""

PLAIN = {"id": "1", "source": "shop", "type": "order"}


class Order(msgspec.Struct):
    number: int


class Checked(pydantic.BaseModel):
    number: int = pydantic.Field(gt=0)


class Tenanted(CloudEvent[Order], frozen=True, kw_only=True):
    """A CloudEvent with an attribute of one's own."""

    tenantid: str


class Orders(EventBatch[CloudEvent[Checked]]):
    """Orders, checked by pydantic."""


def body_of(**changes: Any) -> bytes:
    return json.dumps(PLAIN | changes).encode()


@pytest.mark.parametrize("annotation", [EventBridgeEvent, CloudEvent, CloudEvent[dict[str, Any]]])
def test_the_documented_event(annotation: Any) -> None:
    """The event of the platform's documents, whose publish time ends in PRC, is decoded."""
    event = decoder(annotation)(json.dumps(DOCUMENTED).encode())
    assert event.publish_time == datetime(2020, 11, 19, 21, 4, 42, 179000, CHINA)
    assert event.time == datetime(2020, 11, 19, 21, 4, 41, tzinfo=CHINA)
    assert event.data["meetingName"] == "swqd"
    (batched,) = decoder(CloudEvents)(json.dumps([DOCUMENTED]).encode())
    assert batched.publish_addr == "172.25.XX.XX"


TIMES: dict[str, tuple[Any, Any]] = {
    "one-digit-month": ("2023-1-25T01:45:16.969Z", datetime(2023, 1, 25, 1, 45, 16, 969000, UTC)),
    "space": ("2023-10-25 09:45:16", datetime(2023, 10, 25, 9, 45, 16, tzinfo=UTC)),
    "no-seconds": ("2023-10-25T09:45Z", datetime(2023, 10, 25, 9, 45, tzinfo=UTC)),
    "nanoseconds": (
        "2023-10-25T09:45:16.123456789Z",
        datetime(2023, 10, 25, 9, 45, 16, 123456, UTC),
    ),
    "gmt": ("2023-10-25T09:45:16 GMT", datetime(2023, 10, 25, 9, 45, 16, tzinfo=UTC)),
    "words": ("the day before", "the day before"),
    "no-such-month": ("2023-13-25T01:45:16Z", "2023-13-25T01:45:16Z"),
    "no-such-zone": ("2023-10-25T01:45:16NOWHERE", "2023-10-25T01:45:16NOWHERE"),
    "number": (1590592527490, 1590592527490),
    "null": (None, None),
}


@pytest.mark.parametrize(("sent", "read"), TIMES.values(), ids=TIMES)
def test_a_time_never_refuses_an_event(sent: Any, read: Any) -> None:
    """A time is read in all spellings of the platform's; one that cannot be read is as it came."""
    event = decoder(EventBridgeEvent)(body_of(time=sent, aliyunpublishtime=sent))
    assert (event.time, event.publish_time) == (read, read)
    assert decoder(EventBridgeEvent)(encode(event)) == event


def test_metadata_of_another_type_never_refuses_an_event() -> None:
    """Text that is null is empty, and a number becomes text."""
    event = decoder(EventBridgeEvent)(body_of(subject=None, aliyunaccountid=1357, dataschema=1.5))
    assert (event.subject, event.account_id, event.data_schema) == ("", "1357", "1.5")


def test_an_event_without_data() -> None:
    """Data that is absent is None where the type allows that, and else the event is refused."""
    assert decoder(EventBridgeEvent)(body_of()).data is None
    assert decoder(CloudEvent[Order | None])(body_of()).data is None
    with pytest.raises(InvalidEvent, match=r"^\$: Object missing required field `data`$"):
        decoder(CloudEvent[Order])(body_of())
    with pytest.raises(InvalidEvent, match=r"^\$\[0\]: Object missing required field `data`$"):
        decoder(KafkaEvents)(b"[" + body_of() + b"]")


def test_data_in_base64() -> None:
    """Data that came as base64 is its bytes, and is decoded where the type asks for more."""
    sent = body_of(data_base64=base64.b64encode(b'{"number":7}').decode())
    assert decoder(EventBridgeEvent)(sent).data == b'{"number":7}'
    assert decoder(CloudEvent[bytes])(sent).data == b'{"number":7}'
    assert decoder(CloudEvent[Order])(sent).data == Order(7)
    assert decoder(EventBridgeEvent)(sent).extensions == {}
    with pytest.raises(InvalidEvent, match=r"^\$\.data_base64: Invalid base64 encoded string$"):
        decoder(EventBridgeEvent)(body_of(data_base64="?"))


def test_extensions_and_the_schema_of_the_data() -> None:
    """Attributes of a source's own are extensions, and are sent again as they came."""
    sent = body_of(dataschema="http://a/b", tenantid="north", weight=[1], data=None)
    event = decoder(EventBridgeEvent)(sent)
    assert event.data_schema == "http://a/b"
    assert event.extensions == {"tenantid": "north", "weight": [1]}
    returned = json.loads(encode(event))
    assert (returned["tenantid"], returned["dataschema"]) == ("north", "http://a/b")
    assert decoder(EventBridgeEvent)(encode(event)) == event


def test_an_attribute_of_ones_own() -> None:
    """A class of one's own names the extensions that it wants, with their types."""
    event = decoder(Tenanted)(body_of(tenantid="north", other=1, data={"number": 1}))
    assert (event.tenantid, event.extensions, event.data) == ("north", {"other": 1}, Order(1))
    with pytest.raises(InvalidEvent, match=r"missing required field `tenantid`"):
        decoder(Tenanted)(body_of(data={"number": 1}))


def test_data_that_pydantic_checks() -> None:
    """Data is checked by pydantic in one event as in a batch, which may be of texts."""
    assert decoder(CloudEvent[Checked])(body_of(data={"number": 1})).data.number == 1
    body = json.dumps([json.dumps(PLAIN | {"data": {"number": number}}) for number in (1, 0)])
    with pytest.raises(InvalidEvent, match=r"^\$\[1\]\.data\.number: Input should be greater"):
        decoder(Orders)(body.encode())


def test_a_batch_after_a_byte_order_mark() -> None:
    """A batch is read after a byte order mark and white space."""
    (event,) = decoder(CloudEvents)(b"\xef\xbb\xbf \n[" + body_of(data=1) + b"] ")
    assert event.data == 1
    assert decoder(EventBatch[str])(b'["a"]') == ["a"]


def test_messages_in_other_spellings() -> None:
    """Kafka values and RabbitMQ bodies are whatever was sent: JSON, or text that holds it."""
    for value in ('{"page":"/cart"}', {"page": "/cart"}, None, 7):
        changes = {"0.data.value": json.dumps(value)}
        assert decoder(KafkaEvents)(sample("kafka", changes))[0].data.value == value
        changes = {"0.data.body": json.dumps(value)}
        assert decoder(RabbitMqEvents)(sample("rabbitmq", changes))[0].data.body == value
