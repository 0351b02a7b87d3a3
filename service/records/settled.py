"""Each record's one outcome: it is counted, told of if it has failed, and handed over."""

from __future__ import annotations

import logging

from ..calls import tracebacks
from ..calls.threads import ThreadPool
from ..errors import forget, text_of
from ..protocol import SERVICE_LOGGER
from .attempts import call_user_code
from .item import RecordItem
from .outcomes import BatchReport, Drop, RecordLeft, RecordOutcome, RecordTimeout
from .rule import EachRule

TOLD = 20
"""Failures of a batch that the log tells one by one."""

_log = logging.getLogger(SERVICE_LOGGER)


class SettledRecords:
    """Gives each record of a batch its outcome, and notes it in the report."""

    def __init__(
        self, rule: EachRule, pool: ThreadPool | None, report: BatchReport, deadline: float | None
    ) -> None:
        """`deadline` is the sink's."""
        self._rule = rule
        self._pool = pool
        self._report = report
        self._deadline = deadline
        self._told = 0
        self.open: dict[int, RecordItem] = {}
        """Records that have come and have no outcome yet."""

    async def settle(self, item: RecordItem) -> None:
        """Give a record the outcome that its last try has come to."""
        if item.error is None:
            self._note(item, "ok")
        elif isinstance(item.error, Drop):
            self._note(item, "dropped")
        else:
            await self.fail(item, item.error)

    async def fail(self, item: RecordItem, error: BaseException) -> None:
        """Hand a record over that has failed or was left."""
        item.is_failing = True
        self._tell(item, error)
        self._note_failure(item, error, await self._hand_over(item, error))
        forget(error)

    def settle_rest(self, why: str) -> None:
        """Give an outcome to the records that have none, so that none is lost. `why` is what has
        become of the sink, if there is one.
        """
        why = why if self._rule.on_failure is not None else ""
        for item in list(self.open.values()):
            self._note_failure(item, item.error or RecordTimeout("it was not done"), why)

    def _note(self, item: RecordItem, outcome: RecordOutcome) -> bool:
        """Note an outcome; return whether the record had none."""
        if self.open.pop(item.index, None) is None:
            return False
        self._report.note(outcome)
        return True

    def _note_failure(self, item: RecordItem, error: BaseException, why: str | None) -> None:
        if self._note(item, "left" if isinstance(error, RecordLeft) else "failed"):
            fields = item.fields()
            if item.tries > 1:
                fields["tries"] = item.tries
            self._report.add_failure(item.place, fields, error, why)

    async def _hand_over(self, item: RecordItem, error: BaseException) -> str | None:
        """Give a record to the sink. Return why it has not taken it, None if it has."""
        sink = self._rule.on_failure
        if sink is None:
            return ""
        item.give_context(self._deadline)
        item.write_lines()
        pool = self._pool if self._rule.sink_is_plain else None
        failure = (await call_user_code(sink, pool, item.seen(), error, item.context)).failure
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
