"""The CDN trigger."""

from __future__ import annotations

from typing import Any, ClassVar

from msgspec import Struct

from .lenient import Lenient
from .moments import Moment, with_moments


class CdnResource(Lenient, frozen=True):
    """The domain it is about."""

    domain: str = ""


class CdnUserIdentity(Lenient, frozen=True, rename="camel"):
    """The account it is about."""

    ali_uid: str = ""


@with_moments("event_time")
class CdnRecord(Lenient, frozen=True, rename="camel"):
    """One thing that happened; what `event_parameter` holds depends on `event_name`."""

    event_name: str
    event_parameter: dict[str, Any] = {}
    event_source: str = ""
    event_time: Moment = None
    event_version: str = ""
    region: str = ""
    resource: CdnResource = CdnResource()
    trace_id: str = ""
    user_identity: CdnUserIdentity = CdnUserIdentity()


class CdnEvent(Struct, frozen=True):
    """What the CDN trigger sends."""

    __event_marks__: ClassVar[tuple[str, ...]] = ("events.eventParameter",)
    __event_records__: ClassVar[str] = "events"

    events: list[CdnRecord]
