"""Tries of a record."""

from __future__ import annotations

import asyncio
import builtins
import functools
import os
import sys
from typing import Any

import pytest
import stamina

from service.calls.threads import ThreadOutcome
from service.errors import InvalidEvent
from service.records.attempts import call_user_code, is_worth, tries_of, verdict
from service.records.outcomes import Drop, Retry
from tests.harness import FORKS


@pytest.mark.parametrize("retry", [True, 1.5, "3", object(), stamina.RetryingCaller()])
def test_what_says_no_number_of_tries_is_refused(retry: Any) -> None:
    """The error says what to write; a caller of stamina's that is not async is none either."""
    with pytest.raises(TypeError, match=r"say how many tries|AsyncRetryingCaller"):
        tries_of(retry)


@pytest.mark.parametrize("retry", [0, -1])
def test_a_record_has_one_try_at_least(retry: int) -> None:
    """None and 1 say so, too."""
    with pytest.raises(ValueError, match="one try at least"):
        tries_of(retry)


def test_stamina_is_asked_for_only_if_something_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One line names the extra if it is missing."""
    real = builtins.__import__

    def missing(name: str, *arguments: Any, **named: Any) -> Any:
        if name == "stamina":
            raise ImportError("no stamina")
        return real(name, *arguments, **named)

    monkeypatch.delitem(sys.modules, "stamina")
    monkeypatch.setattr(builtins, "__import__", missing)
    assert tries_of(None) is tries_of(1)
    with pytest.raises(ImportError, match=r"install fc-event-service\[batches\]"):
        tries_of(2)


@pytest.mark.parametrize(
    ("failure", "worth"),
    [
        (ValueError("x"), True),
        (Retry(), True),
        (Retry(after=2), 2),
        (Retry(after=0), 0),
        (Retry(after=10), False),
        (InvalidEvent("x"), False),
    ],
)
def test_a_failure_is_worth_another_try_unless_the_record_is_bad(
    failure: Exception, worth: bool | float
) -> None:
    """Or there is no time left for the wait that is asked for."""
    assert is_worth(failure, remaining=5) is worth or is_worth(failure, remaining=5) == worth


def test_a_verdict_is_what_a_handler_says() -> None:
    """Classes and instances of Retry and Drop, failures; any other result is content."""
    failure = ValueError("x")
    assert verdict(ThreadOutcome(None, failure)) is failure
    assert isinstance(verdict(ThreadOutcome(Retry, None)), Retry)
    assert isinstance(verdict(ThreadOutcome(Drop("x"), None)), Drop)
    for content in (None, 0, "retry", ValueError, object()):
        assert verdict(ThreadOutcome(content, None)) is None


async def test_code_of_any_kind_is_called() -> None:
    """Partials, objects that can be called, functions that return coroutines."""

    class Handler:
        async def __call__(self, record: int, _context: Any) -> int:
            return record + 1

    async def handle(extra: int, record: int, _context: Any) -> int:
        return record + extra

    assert (await call_user_code(Handler(), None, 1, None)).result == 2
    assert (await call_user_code(functools.partial(handle, 5), None, 1, None)).result == 6
    outcome = await call_user_code(lambda: 1 / 0, None)
    assert isinstance(outcome.failure, ZeroDivisionError)


@FORKS
async def test_a_process_that_a_record_forks_ends_with_it() -> None:
    """It does not go on with the other records."""
    reader, writer = os.pipe()

    async def forks() -> int:
        child = os.fork()
        if not child:
            os.write(writer, b"child")
        return child

    outcome = await call_user_code(forks, None)
    os.write(writer, b".")
    _, status = await asyncio.to_thread(os.waitpid, outcome.result, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    told = os.read(reader, 100)
    while len(told) < 6:
        told += os.read(reader, 100)
    assert sorted(told) == sorted(b"child.")
    os.close(reader)
    os.close(writer)
