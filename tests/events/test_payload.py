"""What messages carry, as types of the handler's own."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import Annotated, Any

import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service import events
from service.calls.decode import decoder
from service.errors import InvalidEvent
from service.events.sample import sample


class Order(msgspec.Struct):
    number: int


class Model(pydantic.BaseModel):
    number: int


ORDER = '{"number": 7}'

# Of each family: the type, its sample, and the place of what it carries.
FAMILIES: dict[str, tuple[Any, str, str]] = {
    "API Gateway": (events.ApiGatewayEvent, "apigateway", "body"),
    "an HTTP trigger": (events.HttpEvent, "http", "body"),
    "Kafka": (events.KafkaEvents, "kafka", "0.data.value"),
    "MNS queue": (events.MnsQueueEvents, "mns.queue", "0.data.messageBody"),
    "MNS topic": (events.MnsTopicEvent, "mns.topic", "Message"),
    "MNS stream": (events.MnsStreamEvent, "mns.stream.attributes", "body"),
    "MQTT": (events.MqttMessages, "mqtt", "0.body"),
    "RabbitMQ": (events.RabbitMqEvents, "rabbitmq", "0.data.body"),
    "RocketMQ": (events.RocketMqEvents, "rocketmq", "0.data.body"),
    "RocketMQ, self-managed": (events.RocketMqMessages, "rocketmq.self-managed", "0.body"),
    "a timer": (events.TimerEvent, "timer", "payload"),
    "EventBridge": (events.EventBridgeEvent, "eventbridge.oss", "data"),
}


def carrying(family: str, payload: Any) -> Any:
    """The family's sample event, or the first of its batch, with this payload."""
    kind, name, path = FAMILIES[family]
    body = json.loads(sample(name))
    holder, (*steps, last) = body, path.split(".")
    for step in steps:
        holder = holder[int(step) if step.isdecimal() else step]
    holder[last] = payload
    if "isBase64Encoded" in body:
        body["isBase64Encoded"] = False
    event = decoder(kind)(json.dumps(body).encode())
    return event[0] if isinstance(event, list) else event


@pytest.mark.parametrize("family", FAMILIES)
def test_a_message_becomes_a_type_of_ones_own(family: str) -> None:
    """JSON in text is decoded as the type that is asked for, of msgspec's or pydantic's."""
    event = carrying(family, ORDER)
    assert event.json(Order) == Order(7)
    assert event.json(Model) == Model(number=7)
    assert event.json() == {"number": 7}


@pytest.mark.parametrize("family", ["Kafka", "MNS queue", "MQTT", "RabbitMQ", "RocketMQ"])
def test_a_message_that_is_a_value_already(family: str) -> None:
    """What the trigger has decoded itself becomes the type all the same."""
    event = carrying(family, {"number": 7})
    assert event.json(Order) == Order(7)
    assert carrying(family, {"number": 2**70}).json() == {"number": 2**70}


def test_the_message_itself_reads_what_it_carries() -> None:
    """The message within a CloudEvent has the same method."""
    assert carrying("Kafka", ORDER).data.json(Order) == Order(7)


def test_the_data_of_any_cloud_event_is_read() -> None:
    """Data that is no message is what the event carries."""
    event = decoder(events.CloudEvent[Order])(
        b'{"id":"1","source":"s","type":"t","data":{"number":7}}',
    )
    assert event.json() == {"number": 7}


def test_base64_is_decoded_where_the_trigger_says_so() -> None:
    """A body in base64 is read like any other; one that is none is InvalidEvent."""
    event = decoder(events.ApiGatewayEvent)(sample("apigateway"))
    assert event.json() == {"status": "PAID"}
    body = base64.b64encode(b"\xff\x00").decode()
    binary = msgspec.structs.replace(event, body=body)
    assert binary.content() == b"\xff\x00"
    with pytest.raises(InvalidEvent, match=r"ApiGatewayEvent\.body: not JSON"):
        binary.json(Order)
    with pytest.raises(InvalidEvent, match=r"ApiGatewayEvent\.body: it is no base64"):
        msgspec.structs.replace(event, body="!").json(Order)


BAD = {
    "no-json": ("settle 1", Order, r"RocketMqData\.body: not JSON: unexpected character"),
    "not-the-type": ('{"number": "x"}', Order, r"body: \$\.number: Expected `int`, got `str`"),
    "of-pydantic": ('{"number": "x"}', Model, r"body: \$\.number: Input should be a valid integer"),
    "nothing": (None, Order, r"body: \$: Expected `object`, got `null`"),
    "empty": ("", Order, r"body: the body is empty"),
}


@pytest.mark.parametrize(("payload", "kind", "message"), BAD.values(), ids=BAD)
def test_a_message_that_does_not_fit(payload: Any, kind: Any, message: str) -> None:
    """It is InvalidEvent, which names the field, the path in it and the reason."""
    with pytest.raises(InvalidEvent, match=message):
        carrying("RocketMQ", payload).json(kind)


def test_text_stands_in_quotes() -> None:
    """Text and bytes are asked for as JSON has them, and None where the type allows it."""
    assert carrying("Kafka", '"x"').json(str) == "x"
    assert carrying("Kafka", None).json(Order | None) is None
    with pytest.raises(InvalidEvent, match="not JSON"):
        carrying("Kafka", "x").json(str)


def test_a_kind_that_nothing_can_become() -> None:
    """It is a TypeError: the mistake is the caller's, and no event's. Kinds need no hash."""
    with pytest.raises(TypeError, match="an event cannot become"):
        carrying("Kafka", "{}").json(object())
    unhashable: Any = Annotated[int, []]
    assert carrying("Kafka", "7").json(unhashable) == 7


@settings(max_examples=50)
@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_hostile_bytes_are_json_or_invalid(body: bytes) -> None:
    """Nothing but InvalidEvent comes of bytes that are no JSON."""
    event = events.MnsStreamEvent(body)
    with suppress(InvalidEvent):
        json.dumps(event.json())
