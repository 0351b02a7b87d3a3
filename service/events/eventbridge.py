"""Events of an EventBridge rule, from Alibaba Cloud's own services among others."""

from __future__ import annotations

from typing import Any, ClassVar

from .cloudevents import CloudEvent
from .oss import OssRecord


class EventBridgeEvent(CloudEvent[Any], frozen=True, kw_only=True):
    """One event of any source."""

    __event_order__: ClassVar[int] = 1


class EventBridgeOssEvent(CloudEvent[OssRecord], frozen=True, kw_only=True):
    """One event of OSS: `data` is what a record of the OSS trigger is."""

    __event_marks__: ClassVar[tuple[str, ...]] = ("data.oss",)
