"""Takes note of what happens in an emulator, for its console. Nothing of it waits, and a call costs
a few entries in mappings.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import orjson

from ...console.entry import CallEntry, CallKind, CallTimes
from ...console.history import CallHistory
from ...console.reports import note_line
from ...console.second_figures import SecondFigures
from ...protocol import new_request_id
from ..calls import Invocation, Invoker, Outcome, PlatformError
from ..instances.instance import Instance
from ..log import CallLine, Log
from ..queue.store import Store
from ..texts import readable
from ..watching import Watching
from .marks import InstanceMarks
from .tasks import KnownTasks, NotedStore

_ANNOUNCED = 10_000
"""Calls whose kind is known before they begin."""

KEPT_INSTANCES = 50
"""Instances that have ended and are known: the answer of a call may come after the end."""


class Recorder(Watching):
    """What an emulator is watched by: it fills the history, the figures, the marks and the tasks.

    `wake` is called when something has changed.
    """

    def __init__(self) -> None:
        self.wake: Callable[[], None] = _nobody
        self.history = CallHistory(self._wake)
        self.figures = SecondFigures()
        self.marks = InstanceMarks()
        self.tasks = KnownTasks(self._wake)
        self.instances: dict[str, Instance] = {}
        """Those that are there, and some that were, by their ids: the oldest first."""
        self._ended: deque[str] = deque()
        self._timers: dict[str, None] = {}

    def there(self) -> list[Instance]:
        """Return the instances that are there now, those of functions that have changed, too."""
        return [each for each in self.instances.values() if each.state != "stopped"]

    # --- where it is told

    def invokers(
        self, kind: Literal["sync", "async"], invokers: Mapping[str, Invoker]
    ) -> Mapping[str, Invoker]:
        """Return invokers that note each call."""
        return NotedInvokers(invokers, self, kind)

    def open_store(self, path: Path) -> Store:
        """Return a store that notes each change of a task."""
        return NotedStore(path, self.tasks)

    def timer_request_id(self) -> str:
        """Return a request id of which it is known that a timer's call has it."""
        request_id = new_request_id()
        self._timers[request_id] = None
        if len(self._timers) > _ANNOUNCED:
            del self._timers[next(iter(self._timers))]
        return request_id

    def changed(self, instance: Instance) -> None:
        """Note an instance that is new or ends."""
        self.instances[instance.id] = instance
        if instance.state == "stopped":
            self._ended.append(instance.id)
            if len(self._ended) > KEPT_INSTANCES:
                self.instances.pop(self._ended.popleft(), None)
        self.marks.look_at(instance)
        self._wake()

    def lines(self, lines: Sequence[CallLine], instance: str) -> None:
        """Note those lines of an instance that are a call's."""
        for text, request_id in lines:
            if request_id:
                note_line(self.history, request_id, instance, text)

    # --- calls

    def begin(self, call: Invocation, kind: Literal["sync", "async"]) -> CallEntry:
        """Note that a call begins."""
        told: CallKind = kind
        if kind == "async" and call.request_id in self._timers:
            told = "timer"
        self.figures.begin(call.function)
        entry = self.history.begin(
            call.request_id, call.function, told, call.event, call.retry_count
        )
        if kind == "async":
            entry.task, entry.waited = self.tasks.begun(call.request_id, entry.arrived)
        return entry

    def answered(self, entry: CallEntry, outcome: Outcome) -> None:
        """Note what an instance has answered."""
        entry.status = "error" if outcome.error_type else "ok"
        entry.error, entry.code, entry.cold = outcome.error_type, 200, outcome.cold
        instance = self.instances.get(outcome.instance_id)
        if instance is not None:
            entry.instance = instance.name
        self._end(entry, outcome.body, outcome.duration, instance)

    def refused(self, entry: CallEntry, refusal: PlatformError) -> None:
        """Note what the platform has said in the place of an instance."""
        entry.status = "refused" if refusal.status == 429 else "error"
        entry.error, entry.code = refusal.code, refusal.status
        body = {"Code": refusal.code, "Message": readable(str(refusal))}
        self._end_in(entry, orjson.dumps(body))

    def left(self, entry: CallEntry) -> None:
        """Note that nobody waits for a call any more: it goes on in its instance."""
        entry.status, entry.error = "error", "the caller has left"
        self._end_in(entry, b"")

    def _end_in(self, entry: CallEntry, result: bytes) -> None:
        """Note the end of a call that has no answer. If it wrote lines, it was in an instance, and
        in its handler since it could be called.
        """
        place = (entry.function, entry.instance)
        for instance in reversed(self.instances.values()):
            if place == (instance.function, instance.name) and instance.times.ready:
                handler = time.monotonic() - max(instance.times.ready, entry.began)
                self._end(entry, result, handler, instance)
                return
        self._end(entry, result, 0.0, None)

    def _end(
        self, entry: CallEntry, result: bytes, handler: float, instance: Instance | None
    ) -> None:
        total = time.monotonic() - entry.began
        self.figures.end(entry.function, total, entry.status)
        entry.times = split(entry.began, total, handler, instance, entry.waited)
        self.history.end(entry, result)

    def _wake(self) -> None:
        self.wake()


def split(
    began: float, total: float, handler: float, instance: Instance | None, waited: float
) -> CallTimes:
    """Return where the time of a call went, in seconds: it began at `began` of the monotonic clock
    and took `total`, its handler the last part of that. Before, it may have waited in a queue.
    """
    before = max(total - handler, 0.0)
    start = initializer = 0.0
    if instance is not None and (times := instance.times).ready > began:
        opened = min(times.opened or times.ready, times.ready)
        start = min(max(opened - max(times.made, began), 0.0), before)
        initializer = min(max(times.ready - max(opened, began), 0.0), before - start)
    return CallTimes(waited + before - start - initializer, start, initializer, handler)


class NotedInvoker:
    """Instances whose calls are noted."""

    def __init__(
        self, invoker: Invoker, recorder: Recorder, kind: Literal["sync", "async"]
    ) -> None:
        self._invoker = invoker
        self._recorder = recorder
        self._kind: Literal["sync", "async"] = kind

    @property
    def room(self) -> int:
        """Calls that would be taken now."""
        return self._invoker.room

    async def invoke(self, call: Invocation) -> Outcome:
        """Pass the call on. Raises PlatformError."""
        recorder = self._recorder
        entry = recorder.begin(call, self._kind)
        try:
            outcome = await self._invoker.invoke(call)
        except PlatformError as refusal:
            recorder.refused(entry, refusal)
            raise
        except BaseException:
            recorder.left(entry)
            raise
        recorder.answered(entry, outcome)
        return outcome


class NotedInvokers(Mapping[str, NotedInvoker]):
    """The invokers of all functions that there are, whose calls are noted."""

    def __init__(
        self, invokers: Mapping[str, Invoker], recorder: Recorder, kind: Literal["sync", "async"]
    ) -> None:
        self._invokers = invokers
        self._recorder = recorder
        self._kind: Literal["sync", "async"] = kind

    def __getitem__(self, name: str) -> NotedInvoker:
        return NotedInvoker(self._invokers[name], self._recorder, self._kind)

    def __iter__(self) -> Iterator[str]:
        return iter(self._invokers)

    def __len__(self) -> int:
        return len(self._invokers)


class RecordedLog(Log):
    """The log, of which the lines of calls are noted as well."""

    def __init__(
        self, write: Callable[[bytes], None], recorder: Recorder, *, as_json: bool = False
    ) -> None:
        super().__init__(write, as_json=as_json)
        self._recorder = recorder

    def lines(self, lines: Sequence[CallLine], *, function: str = "", instance: str = "") -> None:
        """Write lines, and note those that are a call's."""
        super().lines(lines, function=function, instance=instance)
        self._recorder.lines(lines, instance)


def _nobody() -> None:
    """Wake nobody."""
