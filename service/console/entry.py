"""One call as the console keeps it, and the row that lists show of it."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

CallKind = Literal["sync", "async", "timer"]
CallStatus = Literal["running", "ok", "error", "refused"]


class CallTimes(NamedTuple):
    """Where a call's time went, in seconds: it waited for its turn, for the start of an instance,
    for its initializer, and for its handler.
    """

    queue: float
    start: float
    initializer: float
    handler: float

    @property
    def total(self) -> float:
        """All of it."""
        return sum(self)


class CallEntry:
    """One call, or one try of an asynchronous one. What it is told of it changes while it runs.

    `id` is its own in the history: the request id, and for a further try of the same request `~2`
    and so on behind it. `event` and `result` become None once there is no room for them. It began
    at `arrived` in Unix seconds and `began` on the monotonic clock, having `waited` in a queue.
    """

    __slots__ = (
        *("id", "number", "request_id", "function", "kind", "retry", "arrived", "began", "event"),
        *("status", "instance", "error", "code", "times", "cold", "result", "task", "lines"),
        *("lines_size", "lines_dropped", "reports", "told", "kept", "waited"),
    )

    def __init__(
        self, request_id: str, function: str, kind: CallKind, event: bytes, retry: int
    ) -> None:
        self.id = self.request_id = request_id
        self.function = function
        self.kind: CallKind = kind
        self.event: bytes | None = event
        self.retry = retry
        self.number = 0
        self.arrived = self.began = self.waited = 0.0
        self.status: CallStatus = "running"
        self.instance = self.error = self.task = ""
        self.code = 0
        self.times: CallTimes | None = None
        self.cold = False
        self.result: bytes | None = b""
        self.lines: list[tuple[float, str]] = []
        self.lines_size = self.lines_dropped = 0
        self.reports: list[tuple[str, str]] = []
        self.told = False
        """Whether a page was told of it."""
        self.kept = (len(event), 0)
        """Bytes of the event, and of the result, kept or not."""

    @property
    def size(self) -> int:
        """The bytes of its texts that are kept."""
        return len(self.event or b"") + len(self.result or b"") + self.lines_size

    def row(self) -> dict[str, Any]:
        """Return what a list shows; times in milliseconds, `arrived` in Unix seconds."""
        shown: dict[str, Any] = {
            "id": self.id,
            "request_id": self.request_id,
            "function": self.function,
            "type": self.kind,
            "status": self.status,
            "arrived": self.arrived,
            "cold": self.cold,
            "retry": self.retry,
            "bytes_in": self.kept[0],
            "warnings": sorted({kind for kind, _ in self.reports}),
        }
        if self.status != "running":
            shown["bytes_out"] = self.kept[1]
        for name in ("instance", "error", "code", "task"):
            if value := getattr(self, name):
                shown[name] = value
        if self.times is not None:
            parts = {**self.times._asdict(), "total": self.times.total}
            shown["ms"] = {name: round(part * 1000, 2) for name, part in parts.items()}
        return shown
