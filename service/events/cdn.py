"""The CDN trigger."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct


class CdnResource(Struct, frozen=True):
    """The domain it is about."""

    domain: str = ""


class CdnUserIdentity(Struct, frozen=True, rename="camel"):
    """The account it is about."""

    ali_uid: str = ""


class CdnRecord(Struct, frozen=True, rename="camel"):
    """One thing that happened; what `event_parameter` holds depends on `event_name`."""

    event_name: str
    event_parameter: dict[str, Any] = {}
    event_source: str = ""
    event_time: datetime | None = None
    event_version: str = ""
    region: str = ""
    resource: CdnResource = CdnResource()
    trace_id: str = ""
    user_identity: CdnUserIdentity = CdnUserIdentity()


class CdnEvent(Struct, frozen=True):
    """What the CDN trigger sends."""

    events: list[CdnRecord]
