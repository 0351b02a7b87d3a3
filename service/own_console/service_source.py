"""One running service, as the console shows it and works on it."""

from __future__ import annotations

import os
import resource
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..console.batches import BatchSender, SentBatch, batch_of
from ..console.entry import CallEntry
from ..console.history import CallHistory
from ..console.refusal import ConsoleRefusal
from ..console.second_figures import SecondFigures
from ..console.source import ConsoleOperation, PageRow
from ..context.call import Context
from ..instance.assembly import Service
from ..protocol import INVOKE, common_headers

INSTANCE = "p-1"
"""The name of the one instance that there is: this process."""

_COPIED = 8 * 1024
"""Bytes of an event that is written in a command."""


class ServiceSource:
    """What there is to see of a service that runs in this process; `wake` is called when something
    has changed, `url` is where the service answers.
    """

    def __init__(self, service: Service) -> None:
        self.wake: Callable[[], None] = _nobody
        self.history = CallHistory(lambda: self.wake())
        self.figures = SecondFigures()
        self.url = ""
        self._service = service
        self._name = service.handlers.handler.name
        self._started = time.time()
        self._counts = {"calls": 0, "errors": 0, "throttled": 0, "cold": 0}
        self._sender = BatchSender(self._send_one)
        self.operations: Mapping[str, ConsoleOperation] = {
            "send": self._send,
            "again": self._again,
        }

    async def stop(self) -> None:
        """Send no more."""
        self.wake = _nobody
        await self._sender.stop()

    # --- what happens

    def begin(self, context: Context) -> CallEntry:
        """Note that a call begins."""
        self.figures.begin(self._name)
        entry = self.history.begin(context.request_id, self._name, "sync", b"")
        entry.instance = INSTANCE
        return entry

    def end(self, entry: CallEntry, result: bytes) -> None:
        """Note that a call has ended: its fields say how."""
        counts, total = self._counts, entry.times.total if entry.times else 0.0
        counts["calls"] += 1
        counts["errors"] += entry.status != "ok"
        counts["throttled"] += entry.status == "refused"
        counts["cold"] += entry.cold
        self.figures.end(self._name, total, entry.status)
        self.history.end(entry, result)

    # --- what is shown

    def about(self) -> PageRow:
        """Return what does not change."""
        return {
            "source": "service",
            "spec": "",
            "url": self.url,
            "started": self._started,
            "offers": ["instances", "send"],
            "warnings": [],
        }

    def functions(self) -> Sequence[PageRow]:
        """Return a row for the handler."""
        settings = self._service.settings
        return [
            {
                "name": self._name,
                "command": shlex.join(["python", "-m", "service"]),
                "concurrency": settings.concurrency,
                "timeout": settings.timeout,
                "memory": 0,
                "provisioned": 0,
                "triggers": [],
                "in_flight": self.figures.in_flight[self._name],
                "queued": self._service.admission.queued,
                **self._counts,
            }
        ]

    def instances(self) -> Sequence[PageRow]:
        """Return a row for this process."""
        in_flight = self.figures.in_flight[self._name]
        return [
            {
                "id": f"{INSTANCE}-{os.getpid()}",
                "name": INSTANCE,
                "function": self._name,
                "state": self._state(in_flight),
                "in_flight": in_flight,
                "concurrency": self._service.settings.concurrency,
                "memory_mb": _resident(),
                "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 0),
                "created": self._started,
                "provisioned": True,
                "served": self._counts["calls"],
            }
        ]

    def _state(self, in_flight: int) -> str:
        lifecycle = self._service.lifecycle
        if lifecycle.refusing:
            return "stopping"
        if not lifecycle.ready:
            return "initializing"
        return "busy" if in_flight else "ready"

    def counts(self) -> Mapping[str, tuple[int, int]]:
        """Return that there is one instance, which is not frozen if anybody asks."""
        return {self._name: (1, 0)}

    def tasks(self) -> Sequence[PageRow]:
        """Return none: the platform keeps them."""
        return []

    def faults(self) -> PageRow:
        """Return none."""
        return {}

    def marks(self) -> Sequence[PageRow]:
        """Return none."""
        return []

    def detail(self, _entry: CallEntry) -> PageRow:
        """Return nothing more."""
        return {}

    def copied(self, entry: CallEntry, form: str) -> str:
        """Return a call as a command. Raises ConsoleRefusal."""
        if form != "curl":
            raise ConsoleRefusal(501, "a service has no SDK's calls: copy it as curl")
        if entry.event is None:
            raise ConsoleRefusal(410, "the event is not kept any more")
        try:
            text = entry.event.decode()
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text or len(text) > _COPIED or text.startswith("@"):
            told = f"# The event is the file {entry.id}.event: download it in the console.\n"
            return f"{told}curl -sS --data-binary @{entry.id}.event {self.url}{INVOKE.path}\n"
        return f"curl -sS --data-binary {shlex.quote(text)} {self.url}{INVOKE.path}\n"

    # --- what is done

    async def _send(self, fields: Mapping[str, Any]) -> PageRow:
        batch = batch_of(fields)
        if batch.asynchronous:
            raise ConsoleRefusal(
                501, "a service has no asynchronous calls: the platform keeps them"
            )
        return {"ids": self._sender.send(batch), "count": batch.count}

    async def _again(self, fields: Mapping[str, Any]) -> PageRow:
        entry: CallEntry = fields["call"]
        batch = SentBatch(entry.function, entry.event or b"", False)
        return {"ids": self._sender.send(batch), "count": 1}

    async def _send_one(self, batch: SentBatch, request_id: str) -> None:
        """Send one event over the socket, as the platform does."""
        from aiohttp import ClientError, ClientSession, ClientTimeout

        settings = self._service.settings
        headers = common_headers(request_id, handler=self._name, timeout=settings.timeout)
        with suppress(ClientError):  # which the list of calls shows
            async with (
                ClientSession(timeout=ClientTimeout(total=None)) as session,
                session.post(self.url + INVOKE.path, data=batch.event, headers=headers) as answer,
            ):
                await answer.read()


def _resident() -> float:
    """Return the memory of this process in MB, 0 if nothing tells it."""
    with suppress(OSError, ValueError, IndexError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return round(pages * resource.getpagesize() / 1024**2, 1)
    return 0.0


def _nobody() -> None:
    """Wake nobody."""
