"""Tests that end in the midst of calls: nothing of these is left."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from service.context.call import Context
from service.testing.invoking import CallHandler
from tests.testing.modules import AtOnce, user

State = tuple[object, ...]


def state() -> State:
    """What is changed of this process while calls run."""
    return (
        sys.stdout,
        sys.getswitchinterval(),
        sys.gettrace(),
        threading.Thread.start,
        logging.root.handlers[:],
    )


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """Each thread that a test has started ends."""
    before = threading.enumerate()
    yield
    for thread in {*threading.enumerate()} - {*before}:
        thread.join()


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "plain"])
def test_ctrl_c_within_one_call_ends_the_test(
    fc_invoke: CallHandler, interrupts: signal.Signals, is_async: bool
) -> None:
    """It is no failure of the handler's, whose code it came to."""

    async def wait(event: object, context: Context) -> None:
        signal.raise_signal(interrupts)

    def block(event: object, context: Context) -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, interrupts)

    before = state()
    with pytest.raises(KeyboardInterrupt):
        fc_invoke(wait if is_async else block)
    assert state() == before


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "plain"])
def test_ctrl_c_within_many_calls_ends_all(
    fc_at_once: AtOnce, interrupts: signal.Signals, is_async: bool
) -> None:
    """Also those that wait in threads for the others."""

    async def wait(event: dict[str, str], context: Context) -> None:
        if event["user"] == "user-3":
            signal.raise_signal(interrupts)
        await asyncio.Event().wait()

    def block(event: dict[str, str], context: Context) -> None:
        if event["user"] == "user-3":
            signal.pthread_kill(threading.main_thread().ident or 0, interrupts)

    before = state()
    with pytest.raises(KeyboardInterrupt):
        fc_at_once(wait if is_async else block, user, n=5)
    assert state() == before


async def test_many_calls_that_are_cancelled_leave_nothing(fc_at_once: AtOnce) -> None:
    """Each handler is cancelled, and the loop has no task of theirs."""
    ended, begun = [], asyncio.Event()

    async def handler(event: dict[str, str], context: Context) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(event["user"])

    before, tasks = state(), asyncio.all_tasks()
    calls: asyncio.Future[Any] = asyncio.ensure_future(fc_at_once(handler, user, n=5))
    await begun.wait()
    calls.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calls
    assert sorted(ended) == [f"user-{number}" for number in range(5)]
    assert (state(), asyncio.all_tasks()) == (before, tasks)


async def test_what_pytest_raises_in_a_handler_is_the_tests(fc_invoke: CallHandler) -> None:
    """`pytest.fail` in a stand-in, for example, or a time-out of pytest's."""

    async def handler(event: object, context: Context) -> None:
        pytest.fail("the stand-in was asked for an order that there is not")

    with pytest.raises(pytest.fail.Exception, match="the stand-in was asked"):
        await fc_invoke(handler)


def test_a_fixture_that_is_used_twice_has_two_results(
    fc_invoke: CallHandler, fc_at_once: AtOnce
) -> None:
    """One call, many, and one again, of handlers with the same name."""

    def named(answer: str) -> Callable[..., str]:
        def handler(event: object, context: Context) -> str:
            return answer

        return handler

    assert fc_invoke(named("first")) == "first"
    assert fc_at_once(named("second"), n=2) == ["second"] * 2
    assert fc_at_once(named("third"), n=2) == ["third"] * 2
    assert fc_invoke(named("fourth")) == "fourth"
