"""Events of an EventBridge rule, from Alibaba Cloud's own services among others."""

from __future__ import annotations

from typing import Any

from .cloudevents import CloudEvent
from .oss import OssRecord


class EventBridgeEvent(CloudEvent[Any], frozen=True, kw_only=True):
    """One event of any source."""


class EventBridgeOssEvent(CloudEvent[OssRecord], frozen=True, kw_only=True):
    """One event of OSS: `data` is what a record of the OSS trigger is."""
