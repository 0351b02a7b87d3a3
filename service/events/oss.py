"""The OSS trigger: something happened to objects of a bucket."""

from __future__ import annotations

from typing import Any, ClassVar

from msgspec import Struct, field

from .lenient import Lenient, Moment, OrDefault, Text, read_fields


class OssBucket(Lenient, frozen=True, rename="camel"):
    """The bucket that holds the object."""

    name: str
    arn: OrDefault[str] = ""
    owner_identity: OrDefault[str] = ""
    virtual_bucket: OrDefault[str] = ""


class OssObjectMeta(Lenient, frozen=True, rename="camel"):
    """What the object was stored with; only newer events bring it."""

    mime_type: OrDefault[str] = ""
    user_meta: OrDefault[dict[str, str]] = {}


class OssObject(Lenient, frozen=True, rename="camel"):
    """The object; `key` is its name as it is, not URL-encoded."""

    key: str
    size: OrDefault[int] = 0
    delta_size: OrDefault[int] = 0
    e_tag: OrDefault[str] = ""
    object_meta: OssObjectMeta | None = None


class OssInfo(Lenient, frozen=True, rename="camel"):
    """Which object of which bucket."""

    bucket: OssBucket
    object: OssObject
    oss_schema_version: OrDefault[str] = ""
    rule_id: OrDefault[str] = ""


class OssRequestParameters(Lenient, frozen=True):
    """Where the request to OSS came from."""

    source_ip_address: OrDefault[str] = field(default="", name="sourceIPAddress")


class OssRecord(Struct, frozen=True, rename="camel"):
    """One thing that happened: `event_name` is `ObjectCreated:PutObject` for example."""

    event_name: str
    oss: OssInfo
    event_source: Text = ""
    event_time: Moment = None
    event_version: Text = ""
    region: Text = ""
    request_parameters: OrDefault[OssRequestParameters] = OssRequestParameters()
    response_elements: OrDefault[dict[str, Any]] = {}
    user_identity: OrDefault[dict[str, Any]] = {}

    def __post_init__(self) -> None:
        read_fields(self, ("event_source", "event_version", "region"), ("event_time",))


class OssEvent(Struct, frozen=True):
    """What the OSS trigger sends."""

    __event_marks__: ClassVar[tuple[str, ...]] = ("events.oss",)

    events: list[OssRecord]
