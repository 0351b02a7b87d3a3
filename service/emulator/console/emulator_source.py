"""An emulator, as the console shows it and works on it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from ...console.batches import BatchSender, SentBatch, batch_of
from ...console.entry import CallEntry
from ...console.refusal import ConsoleRefusal
from ...console.requests import text_field
from ...console.source import ConsoleOperation, PageRow
from ...protocol import CREDENTIALS, INVOKE
from ..account import Account
from ..instances.contract import Requests
from ..local import FunctionCompute
from ..queue.timers import event as timer_event
from .copying import CallCopier
from .fault_switches import FaultSwitches
from .recorder import Recorder
from .sending import check_batch, send_one
from .shown import function_row, instance_row

MASKED = "***"
"""Stands for a credential."""


class EmulatorSource:
    """What there is to see of `played`, which `recorder` watches; `spec` and `code` are the names
    of its file and of the folder in place of each function's code, as they were typed.
    """

    def __init__(
        self, played: FunctionCompute, recorder: Recorder, spec: str, code: str | None
    ) -> None:
        self.history = recorder.history
        self.figures = recorder.figures
        self._played = played
        self._recorder = recorder
        self._spec = spec
        self._code = code
        self._started = time.time()
        self._sender = BatchSender(partial(send_one, played))
        self._switches = FaultSwitches(played, recorder)
        self.operations: Mapping[str, ConsoleOperation] = {
            "send": self._send,
            "again": self._again,
            "timers": self._fire,
            "faults": self._switches.switch,
        }

    async def stop(self) -> None:
        """Send no more, and give back what faults have taken."""
        await self._sender.stop()
        self._switches.close()

    # --- what is shown

    def about(self) -> PageRow:
        """Return what does not change."""
        return {
            "source": "emulator",
            "spec": self._spec,
            "url": self._played.url,
            "started": self._started,
            "offers": ["instances", "send", "faults", "timers", "tasks"],
            "warnings": list(self._played.spec.warnings),
        }

    def functions(self) -> Sequence[PageRow]:
        """Return a row for each function."""
        running = self.figures.in_flight
        return [
            function_row(each, self._played, running[each.name])
            for each in self._played.spec.functions.values()
        ]

    def instances(self) -> Sequence[PageRow]:
        """Return a row for each instance, and note what was frozen or thawed."""
        rows = []
        filled = self._switches.row()["filled"]
        for each in self._recorder.there():
            self._recorder.marks.look_at(each)
            if each.id in filled:  # a frozen instance's memory is not looked at otherwise
                each.sample()
            rows.append(instance_row(each))
        return rows

    def counts(self) -> Mapping[str, tuple[int, int]]:
        """Return how many instances each function has, and how many are frozen."""
        counts = dict.fromkeys(self._played.spec.functions, (0, 0))
        for each in self._recorder.there():
            there, frozen = counts.get(each.function, (0, 0))
            counts[each.function] = (there + 1, frozen + each.frozen)
        return counts

    def tasks(self) -> Sequence[PageRow]:
        """Return a row for each asynchronous task."""
        return self._recorder.tasks.rows()

    def faults(self) -> PageRow:
        """Return the faults that are switched on."""
        return self._switches.row()

    def marks(self) -> Sequence[PageRow]:
        """Return what happened to instances."""
        return self._recorder.marks.rows()

    def detail(self, entry: CallEntry) -> PageRow:
        """Return the headers that the instance was sent, without their credentials."""
        function = self._played.spec.functions.get(entry.function)
        if function is None:
            return {}
        requests = Requests(function, Account())
        head = requests.head(INVOKE, entry.request_id, entry.kept[0], entry.retry).decode()
        headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        return {"headers": headers | {name: MASKED for name in CREDENTIALS if name in headers}}

    def copied(self, entry: CallEntry, form: str) -> str:
        """Return a call as something to paste. Raises ConsoleRefusal."""
        return CallCopier(self._played.url, self._spec, self._code).copied(entry, form)

    # --- what is done

    async def _send(self, fields: Mapping[str, Any]) -> PageRow:
        batch = check_batch(batch_of(fields), self._played)
        return {"ids": self._sender.send(batch), "count": batch.count}

    async def _again(self, fields: Mapping[str, Any]) -> PageRow:
        entry: CallEntry = fields["call"]
        batch = SentBatch(entry.function, entry.event or b"", entry.kind != "sync")
        return {"ids": self._sender.send(check_batch(batch, self._played)), "count": 1}

    async def _fire(self, fields: Mapping[str, Any]) -> PageRow:
        name, trigger = text_field(fields, "function"), text_field(fields, "trigger")
        if not self._played.url:
            raise ConsoleRefusal(409, "the emulator is still being started")
        function = self._played.spec.functions.get(name)
        for timer in () if function is None else function.timers:
            if timer.name == trigger:
                task = await self._played.fire(name, timer_event(timer, datetime.now(UTC)))
                return {"ids": [task.request_id]}
        raise ConsoleRefusal(404, f"{name[:100]!r} has no timer {trigger[:100]!r}")
