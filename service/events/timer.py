"""The timer trigger."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from .lenient import Lenient


class TimerEvent(Lenient, frozen=True, rename="camel"):
    """What the timer sends; `payload` is always text, also when it holds JSON."""

    __event_marks__: ClassVar[tuple[str, ...]] = (
        "triggerTime",
        "triggerName",
    )

    trigger_time: datetime
    trigger_name: str
    payload: str = ""
