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
from ..context.call import RUNNING, Context, context_of_part
from ..errors import ServiceError, forget, text_of
from ..protocol import SERVICE_LOGGER
from .attempts import call_user_code, is_worth, verdict
from .batch import RecordReader
from .figures import count
from .item import RecordItem, RecordSource, StreamedRecords
from .order import RecordOrder
from .outcomes import BatchReport, Drop, RecordLeft, RecordOutcome, RecordTimeout
from .rule import EachRule
from .times import BatchTimes, times_of

TOLD = 20
"""Failures of a batch that the log tells one by one."""

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
        self._open: dict[int, RecordItem] = {}  # those that are begun and not settled
        self._tasks: set[asyncio.Task[None]] = set()
        self._told = 0
        self._is_cut = False
        self._broken: BaseException | None = None
        self._times: BatchTimes = times_of(context, rule.margin)

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
                self._settle_rest(" (and on_failure cancelled its own task)")
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
        self._open[item.index] = item
        try:
            if not item.is_decoded:
                item.take(self._reader.read(item.part))
            item.key = self._rule.key(item.record)
        except BaseException as failure:
            item.error = failure
        item.context = self._context_of(item, self._times.records_deadline)

    def _context_of(self, item: RecordItem, deadline: float | None) -> Any:
        if not isinstance(self._context, Context):  # a test's own
            return self._context
        bound = {f"record_{name}": value for name, value in item.fields().items()}
        context = context_of_part(self._context, deadline, bound)
        context.record_index = item.index
        return context

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
        _run_as(item)
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
            await self._settle(item)

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

    async def _settle(self, item: RecordItem) -> None:
        if item.error is None:
            self._note(item, "ok")
        elif isinstance(item.error, Drop):
            self._note(item, "dropped")
        else:
            await self._fail(item, item.error)

    def _note(self, item: RecordItem, outcome: RecordOutcome) -> bool:
        """Give a record its outcome; return whether it had none."""
        if self._open.pop(item.index, None) is None:
            return False
        self._report.note(outcome)
        return True

    # --- failures

    async def _fail(self, item: RecordItem, error: BaseException) -> None:
        """Hand a record over that has failed or was left."""
        item.is_failing = True
        self._tell(item, error)
        self._note_failure(item, error, await self._hand_over(item, error))
        forget(error)

    def _note_failure(self, item: RecordItem, error: BaseException, why: str | None) -> None:
        if self._note(item, "left" if isinstance(error, RecordLeft) else "failed"):
            fields = item.fields()
            if item.tries > 1:
                fields["tries"] = item.tries
            self._report.add_failure(item.place, fields, error, why)

    async def _hand_over(self, item: RecordItem, error: BaseException) -> str | None:
        """Give a record to the sink. Return why it has not taken it, None if it has."""
        if self._rule.on_failure is None:
            return ""
        record = item.seen()
        item.context = context = self._context_of(item, self._times.deadline)
        _run_as(item)
        pool = self._pool if self._rule.sink_is_plain else None
        failure = (
            await call_user_code(self._rule.on_failure, pool, record, error, context)
        ).failure
        if failure is None:
            return None
        _log.error("on_failure failed: %s", tracebacks.story(failure), exc_info=failure)
        return f" (and on_failure raised {type(failure).__name__}: {text_of(failure)[:100]})"

    def _tell(self, item: RecordItem, error: BaseException) -> None:
        if isinstance(error, RecordLeft):
            return  # of all of them a line tells
        self._told += 1
        if self._told < TOLD:
            told = tracebacks.story(error) + (f", at {item.where}" if item.where else "")
            _log.error("%s: the record failed: %s", item.place, told, exc_info=error)
        elif self._told == TOLD:
            _log.error("more records failed, which are not told one by one")

    # --- the end

    async def _end_in_time(self) -> None:
        """Leave what is not done when the time for records is over, and report it."""
        limit = f"{self._times.records_limit:.3g} seconds"
        late = []
        for item in list(self._open.values()):
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
            self._open[item.index] = item
        work = {item.task for item in self._open.values() if item.task and item.is_failing}
        for _ in range(min(self._rule.concurrency, len(queue))):
            work.add(asyncio.get_running_loop().create_task(self._fail_next(queue)))
        for task in work - self._tasks:
            self._note_task(task)
        if work:
            await asyncio.wait(work, timeout=self._times.until_sink_end())
        for task in self._tasks:
            task.cancel()
        self._settle_rest(" (and on_failure was not done in time)")

    def _settle_rest(self, why: str) -> None:
        """Give an outcome to the records that have none, so that none is lost."""
        for item in list(self._open.values()):
            self._note_failure(item, item.error or RecordTimeout("it was not done"), why)

    async def _fail_next(self, queue: deque[RecordItem]) -> None:
        while queue:
            item = queue.popleft()
            if item.context is None:
                self._prepare_left(item)
            _run_as(item)
            assert item.error is not None
            await self._fail(item, item.error)

    def _prepare_left(self, item: RecordItem) -> None:
        error = item.error
        item.error = None
        if self._rule.on_failure is not None:
            self._prepare(item)  # the sink gets it as the handler would
        else:
            item.context = self._context_of(item, self._times.deadline)
        item.error = error

    def _cut(self) -> None:
        """End the batch at once: its call is over."""
        self._is_cut = True
        for task in self._tasks:
            task.cancel()
        _log.warning(
            "the call was cut: %s; %d more records were begun",
            self._report.summary(),
            len(self._open),
        )


def _undo_cancellation() -> None:
    """Go on, though a handler has cancelled the task that it runs in."""
    task = asyncio.current_task()
    while task is not None and task.uncancel():
        pass


def _run_as(item: RecordItem) -> None:
    """Let the lines that are written from here on be the record's."""
    if isinstance(item.context, Context):
        RUNNING.set(item.context)
