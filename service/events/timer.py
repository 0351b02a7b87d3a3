"""The timer trigger."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct


class TimerEvent(Struct, frozen=True, rename="camel"):
    """What the timer sends; `payload` is always text, also when it holds JSON."""

    trigger_time: datetime
    trigger_name: str
    payload: str = ""
