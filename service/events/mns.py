"""The triggers of Message Service (MNS): topics, in two formats, and queues."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Self

import msgspec
from msgspec import Struct, field

from .cloudevents import CloudEvent, EventBatch
from .lenient import Lenient, convert
from .moments import from_epoch
from .payload import WithPayload


class MnsTopicEvent(WithPayload, Lenient, frozen=True, rename="pascal"):
    """A topic's message in the JSON format."""

    __event_payload__: ClassVar[str] = "message"
    __event_marks__: ClassVar[tuple[str, ...]] = (
        "TopicName",
        "Message",
    )

    message: str
    topic_name: str = ""
    topic_owner: str = ""
    subscriber: str = ""
    subscription_name: str = ""
    publish_time: int = 0
    message_id: str = ""
    message_md5: str = field(default="", name="MessageMD5")
    attributes: dict[str, Any] = field(default={}, name="")
    """The message's attributes, which the platform mixes in with the fields above."""

    @classmethod
    def __from_event__(cls, body: bytes) -> Self:
        found = msgspec.json.decode(body, type=dict[str, Any])
        known = set(cls.__struct_encode_fields__) - {""}
        attributes = {name: value for name, value in found.items() if name not in known}
        fields = {name: value for name, value in found.items() if name in known}
        return convert(fields | {"": attributes}, cls)

    @property
    def time(self) -> datetime | None:
        """When the message was published: `publish_time`, which is in milliseconds."""
        return from_epoch(self.publish_time, 1000)

    def to_json(self) -> dict[str, Any]:
        """Return the event as the platform sends it."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return {**fields.pop(""), **fields}


class MnsStreamEvent(WithPayload, Struct, frozen=True):
    """A topic's message in the STREAM format: the bare bytes, and the attributes if it has any."""

    __event_payload__: ClassVar[str] = "body"
    __event_order__: ClassVar[int] = 3

    body: bytes
    attrs: dict[str, Any] = {}

    @classmethod
    def __event_schema__(cls, _kind: Any, part: dict[str, Any]) -> None:
        """Let a JSON Schema take any body."""
        for name in part.keys() - {"title", "description"}:
            del part[name]

    @classmethod
    def __from_event__(cls, body: bytes) -> Self:
        # Nothing marks which one it is: JSON of exactly two fields is the one with attributes.
        try:
            found = msgspec.json.decode(body, type=_StreamWithAttributes)
        except (ValueError, msgspec.DecodeError, RecursionError):
            return cls(body)
        return cls(found.body.encode(), found.attrs or {})


class _StreamWithAttributes(Struct, forbid_unknown_fields=True):
    body: str
    attrs: dict[str, Any] | None


class MnsQueueData(WithPayload, Lenient, frozen=True, rename="camel"):
    """One message of a queue."""

    __event_payload__: ClassVar[str] = "message_body"

    message_id: str
    message_body: Any
    request_id: str = ""


class MnsQueueEvent(CloudEvent[MnsQueueData], frozen=True, kw_only=True):
    """A CloudEvent around one message of a queue."""

    __event_marks__: ClassVar[tuple[str, ...]] = ("data.messageBody",)


class MnsQueueEvents(EventBatch[MnsQueueEvent]):
    """What the queue trigger sends."""
