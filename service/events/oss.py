"""The OSS trigger: something happened to objects of a bucket."""

from __future__ import annotations

from typing import Any, ClassVar

from msgspec import Struct, field

from .lenient import Moment, Text, read_fields


class OssBucket(Struct, frozen=True, rename="camel"):
    """The bucket that holds the object."""

    name: str
    arn: str = ""
    owner_identity: str = ""
    virtual_bucket: str = ""


class OssObjectMeta(Struct, frozen=True, rename="camel"):
    """What the object was stored with; only newer events bring it."""

    mime_type: str = ""
    user_meta: dict[str, str] = {}


class OssObject(Struct, frozen=True, rename="camel"):
    """The object; `key` is its name as it is, not URL-encoded."""

    key: str
    size: int = 0
    delta_size: int = 0
    e_tag: str = ""
    object_meta: OssObjectMeta | None = None


class OssInfo(Struct, frozen=True, rename="camel"):
    """Which object of which bucket."""

    bucket: OssBucket
    object: OssObject
    oss_schema_version: str = ""
    rule_id: str = ""


class OssRequestParameters(Struct, frozen=True):
    """Where the request to OSS came from."""

    source_ip_address: str = field(default="", name="sourceIPAddress")


class OssRecord(Struct, frozen=True, rename="camel"):
    """One thing that happened: `event_name` is `ObjectCreated:PutObject` for example."""

    event_name: str
    oss: OssInfo
    event_source: Text = ""
    event_time: Moment = None
    event_version: Text = ""
    region: Text = ""
    request_parameters: OssRequestParameters = OssRequestParameters()
    response_elements: dict[str, Any] = {}
    user_identity: dict[str, Any] = {}

    def __post_init__(self) -> None:
        read_fields(self, ("event_source", "event_version", "region"), ("event_time",))


class OssEvent(Struct, frozen=True):
    """What the OSS trigger sends."""

    __event_marks__: ClassVar[tuple[str, ...]] = ("events.oss",)

    events: list[OssRecord]
