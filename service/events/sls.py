"""The Simple Log Service trigger: new logs are there to be pulled."""

from __future__ import annotations

from typing import Any, ClassVar

from .lenient import Lenient, OrDefault


class SlsSource(Lenient, frozen=True, rename="camel"):
    """Where the logs are: from `begin_cursor` up to `end_cursor` of one shard."""

    project_name: str
    logstore_name: str
    shard_id: int
    begin_cursor: str
    end_cursor: str
    endpoint: OrDefault[str] = ""


class SlsEvent(Lenient, frozen=True, rename="camel"):
    """What the log trigger sends; the logs themselves are not in it."""

    __event_marks__: ClassVar[tuple[str, ...]] = ("source.logstoreName",)

    source: SlsSource
    parameter: OrDefault[dict[str, Any]] = {}
    job_name: OrDefault[str] = ""
    task_id: OrDefault[str] = ""
    cursor_time: OrDefault[int] = 0
