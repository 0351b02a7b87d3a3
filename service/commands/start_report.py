"""`python -m service --start-report`: what a cold start does, until the first answer."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextvars import Context as NoCall
from pathlib import Path

from aiohttp import web

from ..calls.lifecycle import Hook
from ..calls.observers import Observer
from ..context.call import Context
from ..context.record import CallRecord
from ..first import import_times
from ..first.import_times import ImportTimes
from ..instance.assembly import SERVICE
from ..logs.log import Logs
from .start_lines import ARRIVES, FIRST_LINE, process_began, report_lines


class StartReport:
    """What a start has come to, and when. Made before the function is loaded; of several workers
    each has a copy, and the one that answers first reports.
    """

    def __init__(self, cwd: Path) -> None:
        self._cwd = cwd
        self._times = import_times.NOTED_TIMES or ImportTimes()
        self._began = process_began()  # of several workers: their parent
        self._marks: dict[str, float] = {FIRST_LINE: self._times.began}
        self._report, ticket = os.pipe()
        os.write(ticket, b"\0")  # who has it reports
        os.close(ticket)
        self.mark("the service is imported, settings are read")

    def mark(self, what: str) -> None:
        """Note that the start has come to something."""
        self._marks[what] = time.monotonic()

    def watch(self, app: web.Application, announce: Callable[[str], None]) -> Callable[[str], None]:
        """Note what is left of the start, and report once the first call has its answer, or at the
        stop if none came. Returns what announces that the port answers.
        """
        service = app[SERVICE]
        self.mark(f"the function is imported: {service.handlers.handler.name}")
        if service.handlers.initializer:
            service.lifecycle.initialize = self._noting(service.lifecycle.initialize)
        service.observers.ended += (self._observer(service.logs),)
        app.cleanup_ctx.append(self._until_stop(service.logs))

        def announced(url: str) -> None:
            self.mark("the port answers")
            announce(url)
            service.logs.line("INFO", "the start report follows the first answer, or the stop")

        return announced

    def _noting(self, initialize: Hook) -> Hook:
        async def noted() -> None:
            try:
                await initialize()
            finally:
                self.mark("the initializer is done")

        return noted

    def _observer(self, logs: Logs) -> Observer:
        def answered(_context: Context, record: CallRecord) -> None:
            if ARRIVES in self._marks:
                return
            self._marks[ARRIVES] = record.arrived
            failed = f", which is an error: {record.error_type}" if record.error_type else ""
            self._marks[f"its answer is made{failed}"] = record.ended
            # Once the answer has left.
            loop = asyncio.get_running_loop()
            loop.call_soon(self._write, logs, context=NoCall())

        return answered

    def _until_stop(self, logs: Logs) -> Callable[[web.Application], AsyncIterator[None]]:
        async def until_stop(_app: web.Application) -> AsyncIterator[None]:
            yield
            self._write(logs)

        return until_stop

    def _write(self, logs: Logs) -> None:
        """Write the report, if no other worker has."""
        self._times.end()
        if self._report < 0:
            return
        is_ours = os.read(self._report, 1)
        os.close(self._report)
        self._report = -1
        if is_ours:
            for line in report_lines(self._began, self._marks, self._times.imports, self._cwd):
                logs.marker(line)
