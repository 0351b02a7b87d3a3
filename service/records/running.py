"""One batch while it is handled: its records, its time, and its failures."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Iterable
from contextlib import aclosing
from typing import Any

from ..calls import tracebacks
from ..calls.deadline import CANCELLED
from ..calls.threads import ThreadPool
from ..errors import ServiceError, forget
from ..protocol import SERVICE_LOGGER
from .attempts import call_user_code, is_worth, verdict
from .batch import RecordReader
from .figures import count
from .item import RecordItem, RecordSource, StreamedRecords
from .order import RecordOrder
from .outcomes import BatchReport, Drop, RecordLeft, RecordTimeout
from .rule import EachRule
from .settled import SettledRecords
from .times import BatchTimes, times_of

READ_AHEAD = 2
"""How many times as many records of a stream as run at once have been read and are not done."""

_log = logging.getLogger(SERVICE_LOGGER)


class BatchRun:
    """Handles the records of one batch: each comes to exactly one outcome."""

    def __init__(
        self,
        rule: EachRule,
        reader: RecordReader,
        source: RecordSource,
        context: Any,
        pool: ThreadPool | None,
    ) -> None:
        window = math.inf
        if isinstance(source, StreamedRecords):
            window = READ_AHEAD * rule.concurrency
        self._order = RecordOrder(self._start, rule.concurrency, window)
        self._rule = rule
        self._reader = reader
        self._source = source
        self._context = context
        self._pool = pool
        self._report = BatchReport()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_cut = False
        self._broken: BaseException | None = None
        self._times: BatchTimes = times_of(context, rule.margin)
        self._settled = SettledRecords(rule, pool, self._report, self._times.deadline)

    async def run(self) -> dict[str, Any]:
        """Return what the call returns. Raises RecordsFailed, and what reading a stream raises."""
        try:
            await self._handle_all()
        except BaseException:
            self._cut()
            raise
        finally:
            count(self._report)
        if self._broken is not None:
            _log.warning("the stream broke off; of its records: %s", self._report.summary())
            raise self._broken
        result = self._report.result()
        if "failures" in result:
            _log.warning("records were handed over: %s", self._report.summary())
        return result

    async def _handle_all(self) -> None:
        try:
            async with asyncio.timeout_at(self._times.records_end) as limit:
                await self._begin_all()
                await self._order.idle()
                self._settled.settle_rest(" (and on_failure cancelled its own task)")
        except TimeoutError:
            if not limit.expired():
                raise
            await self._end_in_time()

    async def _begin_all(self) -> None:
        try:
            async with aclosing(self._source.items()) as items:
                async for item in items:
                    self._prepare(item)
                    await self._order.add(item)
        except ServiceError as reason:  # the rest of a stream does not come: what runs goes on
            self._broken = reason

    # --- one record

    def _prepare(self, item: RecordItem) -> None:
        """Decode a record and find its key; what fails is told when it is begun."""
        self._settled.open[item.index] = item
        try:
            if not item.is_decoded:
                item.take(self._reader.read(item.part))
            item.key = self._rule.key(item.record)
        except BaseException as failure:
            item.error = failure
        item.call = self._context
        item.give_context(self._times.records_deadline)

    def _start(self, item: RecordItem) -> None:
        item.task = asyncio.get_running_loop().create_task(self._handle(item))
        self._note_task(item.task)
        item.task.add_done_callback(lambda _: self._order.done(item))

    def _note_task(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._forget_task)

    def _forget_task(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            self._broken = self._broken or failure  # a fault of ours

    async def _handle(self, item: RecordItem) -> None:
        item.write_lines()
        try:
            if item.error is None:
                item.error = await self._tried(item)
        except asyncio.CancelledError as failure:
            if item.is_abandoned or self._is_cut:
                raise
            failure.args = failure.args or (CANCELLED,)
            item.error = failure
            _undo_cancellation()
        if not item.is_abandoned:
            await self._settled.settle(item)

    async def _tried(self, item: RecordItem) -> BaseException | None:
        async def attempt() -> BaseException | None:
            item.tries += 1
            if item.tries > 1:
                self._report.retries += 1
                forget(item.error)
            pool = self._pool if self._rule.is_plain else None
            said = await call_user_code(self._rule.handle, pool, item.record, item.context)
            item.error = failure = verdict(said)
            if isinstance(failure, Exception) and not isinstance(failure, Drop):
                raise failure
            return failure

        try:
            return await self._rule.tries(self._is_worth, attempt)
        except Exception as failure:
            return failure

    def _is_worth(self, failure: Exception) -> bool | float:
        return is_worth(failure, self._times.remaining())

    # --- the end

    async def _end_in_time(self) -> None:
        """Leave what is not done when the time for records is over, and report it."""
        limit = f"{self._times.records_limit:.3g} seconds"
        late = []
        for item in list(self._settled.open.values()):
            if item.task is not None and not item.is_failing:
                item.is_abandoned = True
                item.where = tracebacks.awaited_by(item.task.get_coro())
                item.task.cancel()
                item.error = item.error or RecordTimeout(f"it was not done within {limit}")
                late.append(item)
        left = [*sorted(self._order.stop(), key=lambda item: item.index), *self._source.rest()]
        for item in left:
            item.error = RecordLeft(f"it was not begun within {limit}")
        _log.warning("the time is over: %d records are late, %d not begun", len(late), len(left))
        self._report.unread = self._source.is_unread and self._broken is None
        await self._fail_all([*late, *left])

    async def _fail_all(self, items: Iterable[RecordItem]) -> None:
        """Hand over what was left, as many at once as records run."""
        queue = deque(items)
        for item in queue:
            self._settled.open[item.index] = item
        work = {item.task for item in self._settled.open.values() if item.task and item.is_failing}
        for _ in range(min(self._rule.concurrency, len(queue))):
            work.add(asyncio.get_running_loop().create_task(self._fail_next(queue)))
        for task in work - self._tasks:
            self._note_task(task)
        if work:
            await asyncio.wait(work, timeout=self._times.until_sink_end())
        for task in self._tasks:
            task.cancel()
        self._settled.settle_rest(" (and on_failure was not done in time)")

    async def _fail_next(self, queue: deque[RecordItem]) -> None:
        while queue:
            item = queue.popleft()
            if item.context is None:
                self._prepare_left(item)
            item.write_lines()
            assert item.error is not None
            await self._settled.fail(item, item.error)

    def _prepare_left(self, item: RecordItem) -> None:
        error = item.error
        item.error = None
        if self._rule.on_failure is not None:
            self._prepare(item)  # the sink gets it as the handler would
        else:
            item.call = self._context
            item.give_context(self._times.deadline)
        item.error = error

    def _cut(self) -> None:
        """End the batch at once: its call is over."""
        self._is_cut = True
        for task in self._tasks:
            task.cancel()
        _log.warning(
            "the call was cut: %s; %d more records were begun",
            self._report.summary(),
            len(self._settled.open),
        )


def _undo_cancellation() -> None:
    """Go on, though a handler has cancelled the task that it runs in."""
    task = asyncio.current_task()
    while task is not None and task.uncancel():
        pass
