"""The OSS trigger: something happened to objects of a bucket."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import unquote

from msgspec import Struct, field

from .lenient import Lenient
from .moments import Moment, with_moments

# None of these is tracked by the garbage collector, which saves an eighth of decoding: what stands
# in an event is JSON, and leads back to no event.


class OssBucket(Lenient, frozen=True, gc=False, rename="camel"):
    """The bucket that holds the object."""

    name: str
    arn: str = ""
    owner_identity: str = ""
    virtual_bucket: str = ""


class OssObjectMeta(Lenient, frozen=True, gc=False, rename="camel"):
    """What the object was stored with; only newer events bring it."""

    mime_type: str = ""
    user_meta: dict[str, str] = {}


class OssObject(Lenient, frozen=True, gc=False, rename="camel"):
    """The object; `key` is its name as the event has it, `decoded_key` without URL encoding."""

    key: str
    size: int = 0
    delta_size: int = 0
    e_tag: str = ""
    object_meta: OssObjectMeta | None = None

    @property
    def decoded_key(self) -> str:
        """The key, each `%E5` and the like in it replaced by what it stands for.

        A `+` stays one, a `%` that begins no such code too; a key whose codes are no UTF-8 is as it
        came. No page of the platform says whether keys are encoded (docs/platform.md section 14).
        """
        try:
            return unquote(self.key, errors="strict")
        except UnicodeDecodeError:
            return self.key


class OssInfo(Lenient, frozen=True, gc=False, rename="camel"):
    """Which object of which bucket."""

    bucket: OssBucket
    object: OssObject
    oss_schema_version: str = ""
    rule_id: str = ""


class OssRequestParameters(Lenient, frozen=True, gc=False):
    """Where the request to OSS came from."""

    source_ip_address: str = field(default="", name="sourceIPAddress")


@with_moments("event_time")
class OssRecord(Lenient, frozen=True, gc=False, rename="camel"):
    """One thing that happened: `event_name` is `ObjectCreated:PutObject` for example."""

    event_name: str
    oss: OssInfo
    event_source: str = ""
    event_time: Moment = None
    event_version: str = ""
    region: str = ""
    request_parameters: OssRequestParameters = OssRequestParameters()
    response_elements: dict[str, Any] = {}
    user_identity: dict[str, Any] = {}


class OssEvent(Struct, frozen=True, gc=False):
    """What the OSS trigger sends."""

    __event_marks__: ClassVar[tuple[str, ...]] = ("events.oss",)
    __event_records__: ClassVar[str] = "events"

    events: list[OssRecord]
