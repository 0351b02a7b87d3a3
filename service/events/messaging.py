"""Messages of Kafka, RocketMQ, RabbitMQ and MQTT, as EventBridge delivers them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from msgspec import Struct

from .cloudevents import CloudEvent, EventBatch
from .lenient import Lenient
from .moments import from_epoch
from .payload import WithPayload


class KafkaData(WithPayload, Lenient, frozen=True):
    """One Kafka message."""

    __event_payload__: ClassVar[str] = "value"

    topic: str
    partition: int
    offset: int
    timestamp: int = 0
    headers: Any = None
    key: Any = None
    value: Any = None

    @property
    def time(self) -> datetime | None:
        """When the message was produced: `timestamp`, which is in milliseconds."""
        return from_epoch(self.timestamp, 1000)


class KafkaEvent(CloudEvent[KafkaData], frozen=True, kw_only=True):
    """A CloudEvent around one Kafka message."""

    __event_marks__: ClassVar[tuple[str, ...]] = (
        "data.topic",
        "data.partition",
        "data.offset",
    )


class KafkaEvents(EventBatch[KafkaEvent]):
    """What the Kafka trigger sends."""


class RocketMqData(WithPayload, Lenient, frozen=True, rename="camel"):
    """One RocketMQ message."""

    __event_payload__: ClassVar[str] = "body"

    topic: str
    body: Any = None
    system_properties: dict[str, Any] = {}
    user_properties: dict[str, Any] = {}


class RocketMqEvent(CloudEvent[RocketMqData], frozen=True, kw_only=True):
    """A CloudEvent around one RocketMQ message."""

    __event_marks__: ClassVar[tuple[str, ...]] = (
        "data.topic",
        "data.systemProperties",
    )


class RocketMqEvents(EventBatch[RocketMqEvent]):
    """What the RocketMQ trigger sends."""


class RocketMqMessage(RocketMqData, frozen=True, rename="camel", kw_only=True):
    """One message of a self-managed RocketMQ, which comes without a CloudEvent around it."""

    __event_marks__: ClassVar[tuple[str, ...]] = (
        "msgId",
        "topic",
    )

    msg_id: str


class RocketMqMessages(EventBatch[RocketMqMessage]):
    """What the trigger of a self-managed RocketMQ sends."""


class RabbitMqEnvelope(Lenient, frozen=True, rename="camel"):
    """How the message came."""

    delivery_tag: int = 0
    exchange: str = ""
    redeliver: bool = False
    routing_key: str = ""


class RabbitMqData(WithPayload, Lenient, frozen=True):
    """One RabbitMQ message."""

    __event_payload__: ClassVar[str] = "body"

    body: Any
    envelope: RabbitMqEnvelope = RabbitMqEnvelope()
    props: dict[str, Any] = {}


class RabbitMqEvent(CloudEvent[RabbitMqData], frozen=True, kw_only=True):
    """A CloudEvent around one RabbitMQ message."""

    __event_marks__: ClassVar[tuple[str, ...]] = (
        "data.envelope",
        "data.body",
    )


class RabbitMqEvents(EventBatch[RabbitMqEvent]):
    """What the RabbitMQ trigger sends."""


class MqttProps(Lenient, frozen=True, rename="camel"):
    """Who sent the message, and to which topic."""

    first_topic: str
    second_topic: str = ""
    client_id: str = ""


class MqttMessage(WithPayload, Struct, frozen=True):
    """One MQTT message, which comes without a CloudEvent around it."""

    __event_payload__: ClassVar[str] = "body"
    __event_marks__: ClassVar[tuple[str, ...]] = ("props.firstTopic",)

    props: MqttProps
    body: Any = None


class MqttMessages(EventBatch[MqttMessage]):
    """What the MQTT trigger sends."""
