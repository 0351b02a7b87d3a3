"""The Simple Log Service trigger: new logs are there to be pulled."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from .lenient import Lenient
from .moments import from_epoch


class SlsSource(Lenient, frozen=True, rename="camel"):
    """Where the logs are: from `begin_cursor` up to `end_cursor` of one shard."""

    project_name: str
    logstore_name: str
    shard_id: int
    begin_cursor: str
    end_cursor: str
    endpoint: str = ""


class SlsEvent(Lenient, frozen=True, rename="camel"):
    """What the log trigger sends; the logs themselves are not in it."""

    __event_marks__: ClassVar[tuple[str, ...]] = ("source.logstoreName",)

    source: SlsSource
    parameter: dict[str, Any] = {}
    job_name: str = ""
    task_id: str = ""
    cursor_time: int = 0

    @property
    def time(self) -> datetime | None:
        """The time of the cursor: `cursor_time`, which is in seconds."""
        return from_epoch(self.cursor_time, 1)
