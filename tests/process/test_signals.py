"""What a stop signal does, and what becomes of the handlers that a function sets: without a signal
that is sent.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, NoReturn

import pytest

from service.process import loop as loops
from service.process import signals
from service.process.signals import ASKER, SAME_SIGNAL, Stopped, StopSignals

TERM, INT, HUP, USR1 = signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1


class Clock:
    """A monotonic time that a test moves on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


class Ended(BaseException):
    """The process would have ended."""


class Process:
    """A process whose signals are heeded, and in which they arrive when a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, ignored: tuple[int, ...] = ()) -> None:
        self.handlers: dict[int, Any] = {
            number: signal.SIG_IGN if number in ignored else signal.SIG_DFL
            for number in (TERM, INT, HUP, USR1)
        }
        self.clock = Clock(monkeypatch)
        monkeypatch.setattr(signal, "getsignal", self.handlers.__getitem__)
        monkeypatch.setattr(os, "_exit", self._exit)
        self.signals = StopSignals()
        monkeypatch.setattr(self.signals, "pythons", self._set)
        self.signals.heed()

    def _set(self, number: int, handler: Any) -> Any:
        before, self.handlers[number] = self.handlers[number], handler
        return before

    def _exit(self, code: int) -> NoReturn:
        raise Ended(code)

    def arrives(self, number: int) -> None:
        """Do what Python does with a signal."""
        self.handlers[number](number, sys._getframe(1))


def not_called(number: signal.Signals) -> None:
    """Nobody is told of a signal."""
    pytest.fail(number.name)


Started = Callable[..., Process]


def ended_askers() -> None:
    """Wait until nobody asks for a stop any more: it would be a signal for the tests' process."""
    for thread in threading.enumerate():
        if thread.name == ASKER:
            thread.join(30)
            assert not thread.is_alive()


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[Started]:
    """Starts a process."""
    yield lambda **how: Process(monkeypatch, **how)
    ended_askers()


@pytest.mark.parametrize("number", [TERM, INT, HUP])
def test_a_stop_interrupts_what_has_begun(started: Started, number: signal.Signals) -> None:
    """While nobody is told of stops, one is an exception, and stays asked for."""
    process = started()
    with pytest.raises(Stopped) as caught:
        process.arrives(number)
    assert caught.value.number == number
    with pytest.raises(Stopped):
        process.signals.check()
    with pytest.raises(Stopped), process.signals.told(not_called):
        pytest.fail("it does not begin what is told")


def test_a_hangup_that_is_ignored_stays_so(started: Started) -> None:
    """`nohup` has asked for that."""
    process = started(ignored=(HUP,))
    assert process.signals.heeded == (TERM, INT)
    assert process.handlers[HUP] == signal.SIG_IGN


def test_who_is_told_hears_of_the_first_and_the_second_ends(started: Started) -> None:
    """An echo of the first, as of an init that sends to a process and its group, is no second."""
    process, heard = started(), list[signal.Signals]()
    with process.signals.told(heard.append, lambda number: heard.append(number)):
        process.arrives(TERM)
        process.clock.now = SAME_SIGNAL / 2
        process.arrives(TERM)
        assert heard == [TERM]
        process.clock.now = SAME_SIGNAL
        with pytest.raises(Ended) as caught:
            process.arrives(INT)
    assert heard == [TERM, INT]
    assert caught.value.args == (128 + INT,)


@pytest.mark.parametrize("by", ["told", "leave"])
def test_a_first_stop_changes_nothing_once_the_process_leaves(started: Started, by: str) -> None:
    """What was told is over, or what has failed is said: an exception would only interrupt that. A
    second one still ends a process that does not leave.
    """
    process = started()
    if by == "told":
        with process.signals.told(not_called):
            pass
    else:
        process.signals.leave()
    process.arrives(TERM)
    process.clock.now = SAME_SIGNAL
    with pytest.raises(Ended):
        process.arrives(TERM)


def test_a_stop_that_python_dropped_is_raised_again(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a weak reference's callback no exception can pass: Python tells its hook of it."""
    process, others, sent = started(), list[Any](), threading.Event()
    monkeypatch.setattr(signal, "pthread_kill", lambda *_: sent.set())
    hook = process.signals.taking_dropped(others.append)
    with pytest.raises(Stopped) as caught:
        process.arrives(TERM)

    class Dropped:
        exc_type: type[BaseException] = Stopped
        exc_value: BaseException = caught.value

    hook(Dropped)
    assert sent.wait(30)
    with pytest.raises(Stopped):
        process.arrives(TERM)
    Dropped.exc_type = ValueError
    hook(Dropped)
    assert others == [Dropped]


def test_a_stop_that_comes_again_before_the_hook_is_left_is_not_lost(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine it comes while the thread that asks for it starts: no exception can pass
    there either. It is asked for until it is raised.
    """
    process = started()
    sent = threading.Semaphore(0)
    monkeypatch.setattr(signal, "pthread_kill", lambda *_: sent.release())
    start = threading.Thread.start

    def slow(thread: threading.Thread) -> None:
        start(thread)
        assert sent.acquire(timeout=30)
        process.arrives(TERM)

    with pytest.raises(Stopped) as caught:
        process.arrives(TERM)
    monkeypatch.setattr(threading.Thread, "start", slow)
    hook = process.signals.taking_dropped(pytest.fail)
    hook(type("Dropped", (), {"exc_type": Stopped, "exc_value": caught.value}))
    assert sent.acquire(timeout=30)
    with pytest.raises(Stopped):
        process.arrives(TERM)


def test_what_was_asked_for_as_the_stop_was_taken_is_no_second_one(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that asks may have found out too late. Later a second one ends the process."""
    process, asks, taken = started(), threading.Event(), threading.Event()

    def late(*_: object) -> None:
        asks.set()
        assert taken.wait(30)

    monkeypatch.setattr(signal, "pthread_kill", late)
    with pytest.raises(Stopped) as caught:
        process.arrives(TERM)
    process.clock.now = 3 * SAME_SIGNAL
    hook = process.signals.taking_dropped(pytest.fail)
    hook(type("Dropped", (), {"exc_type": Stopped, "exc_value": caught.value}))
    assert asks.wait(30)
    with pytest.raises(Stopped):
        process.signals.check()
    taken.set()
    process.arrives(TERM)
    process.clock.now += SAME_SIGNAL
    with pytest.raises(Ended):
        process.arrives(TERM)


def test_a_dropped_stop_is_not_raised_while_the_process_leaves(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would have been raised soon."""
    process = started()
    monkeypatch.setattr(signals, "AGAIN", 3600.0)
    with pytest.raises(Stopped) as caught:
        process.arrives(TERM)
    hook = process.signals.taking_dropped(pytest.fail)
    hook(type("Dropped", (), {"exc_type": Stopped, "exc_value": caught.value}))
    process.signals.leave()
    process.arrives(TERM)
    for thread in threading.enumerate():
        if thread.name == ASKER:
            thread.join(30)
            assert not thread.is_alive()


def test_a_stop_waits_for_what_would_stay_half_made(started: Started) -> None:
    """It is raised once that is made; where it is told, or changes nothing, it waits for nobody."""
    process, heard = started(), list[signal.Signals]()

    def make() -> None:
        with process.signals.held():
            process.arrives(TERM)
            heard.append(TERM)

    for _ in range(2):
        with pytest.raises(Stopped):
            make()
    assert heard == [TERM, TERM]
    other = started()
    with other.signals.told(heard.append), other.signals.held():
        other.arrives(HUP)
    assert heard == [TERM, TERM, HUP]
    with other.signals.held():
        pass


def test_a_dropped_stop_waits_there_too(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked for again while that is made."""
    process, sent = started(), threading.Event()
    monkeypatch.setattr(signal, "pthread_kill", lambda *_: sent.set())
    with pytest.raises(Stopped) as caught:
        process.arrives(TERM)
    hook = process.signals.taking_dropped(pytest.fail)
    hook(type("Dropped", (), {"exc_type": Stopped, "exc_value": caught.value}))
    made: list[bool] = []

    def make() -> None:
        with process.signals.held():
            made.append(sent.wait(30))
            process.arrives(TERM)
            made.append(True)

    with pytest.raises(Stopped):
        make()
    assert made == [True, True]


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_a_stop_while_a_loop_is_made_leaves_no_half_of_it(
    started: Started, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Python's own would say so as it is thrown away."""
    process = started()
    monkeypatch.setattr(loops, "SIGNALS", process.signals)
    made: list[asyncio.AbstractEventLoop] = []

    class Made(loops.loop_class(kind)):  # type: ignore[misc] # which one is chosen here
        def __init__(self) -> None:
            process.arrives(TERM)
            super().__init__()
            made.append(self)

    monkeypatch.setattr(loops, "loop_class", lambda _: Made)
    with pytest.raises(Stopped):
        loops.new_loop(kind)
    assert [loop.is_closed() for loop in made] == [True]


def test_a_stop_before_a_loop_is_made_is_raised_as_it_is(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no loop to be closed."""
    process = started()

    class Late(StopSignals):
        def held(self) -> Any:
            process.arrives(TERM)

    monkeypatch.setattr(loops, "SIGNALS", Late())
    with pytest.raises(Stopped):
        loops.new_loop("asyncio")


def test_a_signal_finds_a_closed_loop_at_rest() -> None:
    """What it would stop is over."""
    loop = asyncio.new_event_loop()
    loop.close()
    loops.call_soon_unless_closed(loop, pytest.fail, "it is called")


# --- what the function sets


def theirs(_number: int, _frame: object) -> None:
    """A handler of the function's."""
    pytest.fail("it is not called")


@pytest.mark.parametrize("number", [TERM, INT])
def test_a_functions_handler_of_a_stop_is_noted_and_not_called(
    started: Started, number: signal.Signals, caplog: pytest.LogCaptureFixture
) -> None:
    """It gets back what it has set, as from Python, and is warned once."""
    process = started()
    with caplog.at_level(logging.WARNING):
        assert process.signals.keep(number, theirs) == signal.SIG_DFL
        assert process.signals.keep(number, theirs) == theirs
    assert caplog.messages == [
        f"the function's own handler of {number.name} is not called: the service finishes the calls"
        " in flight, then runs pre_stop: put there what has to be done"
    ]
    with pytest.raises(Stopped):
        process.arrives(number)
    assert process.signals.forget(number)
    assert not process.signals.forget(number)


@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.SIG_DFL])
def test_a_stop_that_a_function_ignores_is_noted_without_a_word(
    started: Started, handler: signal.Handlers, caplog: pytest.LogCaptureFixture
) -> None:
    """There is nothing that it would wait for."""
    process = started()
    process.signals.keep(TERM, handler)
    assert caplog.messages == []
    with pytest.raises(Stopped):
        process.arrives(TERM)


def in_thread(work: Callable[[], Any]) -> Any:
    """What work in another thread returns or raises."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(work())
        except ValueError as failure:
            outcome.append(failure)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    return outcome[0]


def test_another_signal_is_set_by_the_main_thread(started: Started) -> None:
    """From a plain handler's thread Python itself refuses."""
    process, seen = started(), list[threading.Thread]()

    def to_main(step: Callable[[], None]) -> None:
        seen.append(threading.current_thread())
        step()

    process.signals.to_main = to_main
    assert in_thread(lambda: process.signals.keep(USR1, theirs)) == signal.SIG_DFL
    assert process.handlers[USR1] == theirs
    assert len(seen) == 1
    assert process.signals.keep(USR1, signal.SIG_IGN) == theirs
    assert len(seen) == 1  # the main thread does it itself


def test_a_main_thread_that_is_not_free_is_no_end_of_the_call(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The function gets Python's own kind of error, in bounded time."""
    monkeypatch.setattr(signals, "HANDED_OVER", 0.0)
    process, steps = started(), list[Callable[[], None]]()
    process.signals.to_main = steps.append
    failure = in_thread(lambda: process.signals.keep(USR1, theirs))
    assert isinstance(failure, ValueError)
    assert "main thread" in str(failure)
    for step in steps:
        step()
    assert process.handlers.get(USR1) != theirs, "what has failed is not done later"


def test_a_freeze_while_the_main_thread_is_asked_fails_no_call(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wait that is over at the thaw says nothing of the main thread, which goes on then, too."""
    process, steps = started(), list[Callable[[], None]]()
    process.signals.to_main = steps.append

    class Frozen(Future[Any]):
        def result(self, timeout: float | None = None) -> Any:
            if not steps:
                return super().result(timeout)
            steps.pop()()
            raise TimeoutError

    monkeypatch.setattr(signals, "Future", Frozen)
    assert in_thread(lambda: process.signals.keep(USR1, theirs)) == signal.SIG_DFL
    assert process.handlers[USR1] == theirs


def test_a_forked_process_ends_by_the_signals(started: Started) -> None:
    """It has Python's own handlers again, but for those that it has set itself."""
    process = started()
    process.handlers[INT] = theirs
    process.signals.leave_to_child()
    assert process.handlers == dict.fromkeys((TERM, HUP, USR1), signal.SIG_DFL) | {INT: theirs}
