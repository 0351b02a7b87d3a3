"""The CDN trigger."""

from __future__ import annotations

from typing import Any, ClassVar

from msgspec import Struct

from .lenient import Lenient, Moment, OrDefault, Text, read_fields


class CdnResource(Lenient, frozen=True):
    """The domain it is about."""

    domain: OrDefault[str] = ""


class CdnUserIdentity(Lenient, frozen=True, rename="camel"):
    """The account it is about."""

    ali_uid: OrDefault[str] = ""


class CdnRecord(Struct, frozen=True, rename="camel"):
    """One thing that happened; what `event_parameter` holds depends on `event_name`."""

    event_name: str
    event_parameter: OrDefault[dict[str, Any]] = {}
    event_source: Text = ""
    event_time: Moment = None
    event_version: Text = ""
    region: Text = ""
    resource: OrDefault[CdnResource] = CdnResource()
    trace_id: Text = ""
    user_identity: OrDefault[CdnUserIdentity] = CdnUserIdentity()

    def __post_init__(self) -> None:
        read_fields(self, ("event_source", "event_version", "region", "trace_id"), ("event_time",))


class CdnEvent(Struct, frozen=True):
    """What the CDN trigger sends."""

    __event_marks__: ClassVar[tuple[str, ...]] = ("events.eventParameter",)

    events: list[CdnRecord]
