"""One event's way: a claim, the handler, and what is kept for those that ask again."""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, Literal

from ..calls.encode import encode
from ..errors import (
    KeptFailure,
    OnceStoreFailed,
    PayloadDiffers,
    ResultNotKept,
    ServiceError,
    text_of,
)
from ..protocol import SERVICE_LOGGER
from .detached import detached, finish
from .entries import ENTRY_FORM, KeptEntry, as_bytes, from_bytes, new_claim
from .heartbeat import Heartbeat
from .outcomes import count_once
from .rules import OnceRules
from .thread_work import ThreadWork

RunHandler = Callable[[], Awaitable[Any]]

FIRST_PAUSE: Final = 0.02
LONGEST_PAUSE: Final = 1.0
"""Seconds between two looks at what another process runs: half as long again each time."""

MOST_TRIES: Final = 5
"""How often a result is offered to a store that loses the claim of it each time."""

LONGEST_MESSAGE: Final = 10_000
"""Characters of a failure's message that are kept."""

_log = logging.getLogger(SERVICE_LOGGER)


class OnceAttempt:
    """One call that asks for the answer to its key: of the calls of this process that ask for the
    same at one time, the one that asks the store.
    """

    def __init__(self, rules: OnceRules, key: str, digest: str, by: str) -> None:
        self.answered: KeptEntry | None = None
        """The answer, for the calls that wait for it here."""
        self._rules = rules
        self._key = key
        self._digest = digest
        self._by = by
        self._claim = as_bytes(new_claim(by, digest))
        self._waited = False
        self._beat = Heartbeat(rules, key, self._claim)

    async def answer(self, work: RunHandler) -> bytes:
        """Return the result of `work`, or that of the call which has claimed the key before."""
        rules = self._rules
        try:
            kept = await self._claimed()
        except OnceStoreFailed as reason:
            count_once(rules.name, "store_error")
            detached(self._release_in_doubt())
            if rules.on_store_error == "fail":
                raise
            _log.warning("@once: %s; the handler runs all the same: on_store_error", reason)
            body = await _result_of(work)
            self.answered = self._entry("done", body=body)
            return body
        if kept is not None:
            self.answered = kept
            return answer_of(rules, kept, self._digest, "waited" if self._waited else "replayed")
        return await self._run(work)

    async def _claimed(self) -> KeptEntry | None:
        """Return what is kept under the key; None once the key is ours. While another call runs
        that has it, wait. Raises PayloadDiffers, OnceStoreFailed.
        """
        rules, pause = self._rules, FIRST_PAUSE
        while True:
            try:
                met = await rules.ask(rules.store.claim(self._key, self._claim, rules.lease))
            except asyncio.CancelledError:
                detached(self._release_in_doubt())
                raise
            if met is None:
                return None
            entry = from_bytes(self._key, met.value)
            if met.is_over:
                self._waited = False
                count_once(rules.name, "taken_over")
                _log.warning(
                    "@once: taken over from request %s, whose lease of %g s was over",
                    *(entry.by or "-", rules.lease),
                )
                return None
            check_same(rules, entry, self._digest)
            if entry.state != "running":
                return entry
            self._waited = True
            await asyncio.sleep(pause * random.uniform(0.75, 1.25))
            pause = min(pause * 1.5, LONGEST_PAUSE)

    async def _run(self, work: RunHandler) -> bytes:
        """Run the handler; its claim is ours. A plain one that has begun is run to its end, and
        what it comes to is kept, even if its call is over before.
        """
        if not isinstance(work, ThreadWork):
            return await self._run_to_end(work)
        try:
            return await finish(self._run_to_end(work))
        except asyncio.CancelledError:
            work.withdraw()
            raise

    async def _run_to_end(self, work: RunHandler) -> bytes:
        process = os.getpid()
        count_once(self._rules.name, "ran")
        self._beat.start()
        try:
            body = await _result_of(work)
        except BaseException as failure:
            if os.getpid() == process:  # else it is a copy that the handler has forked
                if isinstance(work, ThreadWork) and work.is_running:
                    await self._beat.stop()  # the process ends: nobody may run beside its thread
                else:
                    await finish(self._keep_failure(failure))
            raise
        return await self._keep(body) if os.getpid() == process else body

    async def _keep(self, body: bytes) -> bytes:
        """Keep a result and return it; the one that is kept already, if our lease was over and
        another call has taken the key.
        """
        rules = self._rules
        self.answered = kept = self._entry("done", body=body)
        if len(body) > rules.max_result:
            kept = self._entry("too_large", size=len(body))
            _log.warning(
                "@once: the result of %d bytes is over max_result (%d): it is not kept, and this"
                " event gets ResultNotKept if it comes again",
                *(len(body), rules.max_result),
            )
        for _ in range(MOST_TRIES):
            if await finish(self._settle(kept)):
                return body
            count_once(rules.name, "superseded")
            _log.error(
                "@once: the lease of %g s was over before the handler was done, for the process"
                " stood still or the store was gone; what another call has kept stands",
                rules.lease,
            )
            try:
                other = await self._claimed()
            except (OnceStoreFailed, PayloadDiffers) as reason:
                _log.error("@once: the result is not kept: %s", reason)
                return body
            if other is not None:
                self.answered = other
                return answer_of(rules, other, self._digest, "waited")
        _log.error("@once: the result is not kept: %r loses its claim each time", rules.store)
        return body

    async def _keep_failure(self, failure: BaseException) -> None:
        """Keep a failure if that was asked for; else let the next call run. `Retry` and `Drop`, by
        which a record says what is to become of it, are never kept.
        """
        is_verdict = not getattr(failure, "kept_by_once", True)
        if isinstance(failure, self._rules.keep_failures) and not is_verdict:
            code, status = type(failure).__name__, ServiceError.status
            if isinstance(failure, ServiceError):
                code, status = failure.code, failure.status
            message = text_of(failure)[:LONGEST_MESSAGE]
            self.answered = entry = self._entry("failed", code=code, status=status, message=message)
            await self._settle(entry)
        else:
            await self._beat.stop()
            await self._release()

    async def _settle(self, entry: KeptEntry) -> bool:
        """Have the store keep an answer; return False if the claim is ours no more."""
        rules = self._rules
        await self._beat.stop()
        value = as_bytes(entry)
        for tries_left in (1, 0):
            try:
                return await rules.ask(
                    rules.store.settle(self._key, self._claim, value, rules.expires)
                )
            except OnceStoreFailed as reason:
                if not tries_left:
                    count_once(rules.name, "store_error")
                    _log.error(
                        "@once: the handler has run, and its answer is not kept: %s; once the lease"
                        " of %g s is over, the same event would be handled again",
                        *(reason, rules.lease),
                    )
        return True

    async def _release(self) -> None:
        try:
            await self._rules.ask(self._rules.store.release(self._key, self._claim))
        except OnceStoreFailed as reason:
            _log.warning("@once: a claim is not released, and ends with its lease: %s", reason)

    async def _release_in_doubt(self) -> None:
        """Release a claim of which nobody knows whether it has come to pass."""
        with suppress(OnceStoreFailed):
            await self._rules.ask(self._rules.store.release(self._key, self._claim))

    def _entry(self, state: Literal["done", "failed", "too_large"], **fields: Any) -> KeptEntry:
        return KeptEntry(ENTRY_FORM, state, self._by, self._digest, **fields)


async def _result_of(work: RunHandler) -> bytes:
    """Return the bytes of what a handler returns. Raises what it raises, and an exception that it
    returns: that is how a function beneath `@each` asks for another try.
    """
    result = await work()
    if isinstance(result, BaseException) or _is_kind_of_failure(result):
        raise result
    return encode(result)


def _is_kind_of_failure(result: object) -> bool:
    return isinstance(result, type) and issubclass(result, Exception)


def check_same(rules: OnceRules, entry: KeptEntry, digest: str) -> None:
    """Raise PayloadDiffers if what is kept is of another event."""
    if digest and entry.digest and digest != entry.digest:
        count_once(rules.name, "differs")
        raise PayloadDiffers(
            f"another event with this key was sent before, by request {entry.by or '-'}: send a new"
            " event with a new key, or have @once compare less of it (`payload`)"
        )


def answer_of(
    rules: OnceRules, entry: KeptEntry, digest: str, how: Literal["waited", "replayed"]
) -> bytes:
    """Return a result that another call has got. Raises its failure; PayloadDiffers if it is not
    the same event's, ResultNotKept.
    """
    check_same(rules, entry, digest)
    count_once(rules.name, how)
    if entry.state == "failed":
        raise KeptFailure(entry.message, entry.code, entry.status)
    if entry.state == "too_large":
        raise ResultNotKept(
            f"the event was handled by request {entry.by or '-'}, and its result of {entry.size}"
            " bytes was not kept: raise max_result, or return less"
        )
    return entry.body
