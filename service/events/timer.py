"""The timer trigger."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from .lenient import Lenient
from .moments import with_moments
from .payload import WithPayload


@with_moments("trigger_time")
class TimerEvent(WithPayload, Lenient, frozen=True, rename="camel"):
    """What the timer sends; `payload` is always text, also when it holds JSON."""

    __event_payload__: ClassVar[str] = "payload"
    __event_marks__: ClassVar[tuple[str, ...]] = (
        "triggerTime",
        "triggerName",
    )

    trigger_time: datetime
    trigger_name: str
    payload: str = ""
