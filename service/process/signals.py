"""SIGTERM, SIGINT and SIGHUP: the first asks for a stop, the second ends the process at once. What
the function sets for these and for other signals: who hears of them, and where.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from types import CodeType, FrameType
from typing import Any

from ..errors import StopAsked
from ..protocol import SERVICE_LOGGER

STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""The signals that ask for a stop; SIGHUP, unless it was ignored at the start, as by `nohup`."""

KEPT_SIGNALS = (signal.SIGTERM, signal.SIGINT)
"""Those of them that no function can take: the platform and people stop the service by them."""

TIMERS = (signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF)
"""Signals that are meant to interrupt what the code that sets them does."""

HANDED_OVER, HANDED_OVER_LOOKS = 1.0, 10
"""Seconds for the main thread to set a signal for another one: a loop that is blocked cannot. They
are waited for in so many parts: a freeze counts for one.
"""

SAME_SIGNAL = 0.5
"""Seconds in which a second signal is taken for the first one's echo: a container's init or
`timeout` may send it to the process and to its group.
"""

AGAIN, AGAIN_AT_MOST = 0.01, 1.0
"""Seconds after which a stop that Python dropped is raised again, twice as many each time."""

_log = logging.getLogger(SERVICE_LOGGER)

Told = Callable[[signal.Signals], None]


def nothing_to_do(_number: signal.Signals) -> None:
    """Stand in for what is called at a signal."""


class Stopped(StopAsked):
    """A stop was asked for: what has begun is left, by way of its `finally`."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number.name)
        self.number = number


class StopSignals:
    """The stop signals of this process, heeded in Python's own handlers: those run even if a
    handler blocks the event loop, which then hears of no signal.

    While nobody is told of them, as during the import of the user's module, the first one raises
    Stopped in the main thread, until the process leaves. User code may catch it, and Python drops
    it where no exception can pass, as in `__del__` or in the callback of a weak reference. Neither
    loses the stop: `check` raises it where it was caught, and what was dropped is soon raised
    again.
    """

    def __init__(self) -> None:
        self.pythons = signal.signal
        """`signal.signal` as Python has it."""
        self.heeded: tuple[signal.Signals, ...] = ()
        """The signals that ask this process for a stop."""
        self.to_main: Callable[[Callable[[], None]], object] | None = None
        """Has something done in the main thread, soon."""
        self._before: dict[signal.Signals, Any] = {}
        self._theirs: dict[signal.Signals, Any] = {}  # handlers of the function's
        self._first: tuple[signal.Signals, float] | None = None
        self._told: Told | None = None
        self._last_words: Told = nothing_to_do
        self._again: threading.Event | None = None  # a dropped stop is raised again until it is set
        self._asked = 0.0  # when a dropped stop was asked for again
        self._hook: CodeType | None = None

    def heed(self) -> None:
        """Heed the signals from now on. Called from the main thread, once."""
        for number in STOPS:
            before = signal.getsignal(number)
            if number in KEPT_SIGNALS or before != signal.SIG_IGN:
                self._before[number] = self.pythons(number, self._on_signal)
        self.heeded = tuple(self._before)
        atexit.register(self._ignore)

    def taking_dropped(self, others: Callable[[Any], object]) -> Callable[[Any], object]:
        """Return a `sys.unraisablehook` that raises a dropped stop again, and leaves the rest to
        `others`.
        """

        def hook(dropped: Any) -> None:
            if dropped.exc_type is Stopped:
                self._raise_soon()
            else:
                others(dropped)

        self._hook = hook.__code__
        return hook

    # --- what the function sets

    def keep(self, number: int, handler: Any) -> Any:
        """Set what a signal calls, as `signal.signal` does, for the function.

        What it sets for the stop signals is noted and not called: what a drain has to do in its
        place is `pre_stop`'s. Other signals are set in the main thread, from whatever thread it is
        asked for.
        """
        if number in KEPT_SIGNALS and number in self._before:
            return self.note(signal.Signals(number), handler)
        if threading.current_thread() is threading.main_thread() or self.to_main is None:
            return self.pythons(number, handler)
        if number in TIMERS and callable(handler):
            _log.warning(
                "%s interrupts the main thread, and plain handlers run in others: it does not end"
                " what they do. Give the client that they wait for a time-out, ask"
                " context.remaining(), or set concurrency to 1",
                signal.Signals(number).name,
            )
        return self._in_main(self.to_main, number, handler)

    def note(self, name: signal.Signals, handler: Any) -> Any:
        """Note a handler that the function sets for a stop signal, say so, and return the one that
        it has set before.
        """
        before = self._theirs.get(name, self._before[name])
        self._theirs[name] = handler
        if callable(handler) and handler not in (before, signal.default_int_handler):
            _log.warning(
                "the function's own handler of %s is not called: the service finishes the calls"
                " in flight, then runs pre_stop: put there what has to be done",
                name.name,
            )
        return before

    def forget(self, number: int) -> bool:
        """Let go of a noted handler; return whether there was one."""
        return self._theirs.pop(signal.Signals(number), None) is not None

    def _in_main(
        self, to_main: Callable[[Callable[[], None]], object], number: int, handler: Any
    ) -> Any:
        done: Future[Any] = Future()

        def set_there() -> None:
            if done.set_running_or_notify_cancel():
                try:
                    done.set_result(self.pythons(number, handler))
                except Exception as failure:
                    done.set_exception(failure)

        with suppress(RuntimeError):  # it is closed
            to_main(set_there)
            for _ in range(HANDED_OVER_LOOKS):
                with suppress(TimeoutError):
                    return done.result(HANDED_OVER / HANDED_OVER_LOOKS)
        if done.cancel():
            raise ValueError("signals are set by the main thread, which is not free")
        return done.result()

    # --- what arrives

    @contextmanager
    def told(self, told: Told, last_words: Told = nothing_to_do) -> Iterator[None]:
        """Within this, the first signal calls `told`, and the second `last_words` before the
        process ends. Both are called between any two steps of the main thread's code. After it the
        process leaves.

        Raises Stopped if one came before.
        """
        self._told, self._last_words = told, last_words
        try:
            self.check()
            yield
        finally:
            self.leave()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within this, a first stop waits: what is made here would stay half made. Raises Stopped
        at its end, if one came by then.
        """
        if self._told is not None or threading.current_thread() is not threading.main_thread():
            yield  # a first stop is told, or is raised elsewhere
            return
        self._told = nothing_to_do
        try:
            yield
        finally:
            self._told = None
        self.check()

    def leave(self) -> None:
        """Let a first stop change nothing from now on: the process ends as it is, and an exception
        would only interrupt that.
        """
        self._told = self._last_words = nothing_to_do
        self._take_again()

    def _ignore(self) -> None:
        """Let no echo of the first stop end the process otherwise than it does: Python's handlers
        are gone while the interpreter comes down, and a signal would do what it does by default.
        """
        for number in self._before:
            if signal.getsignal(number) == self._on_signal:
                self.pythons(number, signal.SIG_IGN)

    def leave_to_child(self) -> None:
        """Let a process that a handler forks end by the signals: `Process.terminate` sends one."""
        for number, before in self._before.items():
            if signal.getsignal(number) == self._on_signal:
                self.pythons(number, before)
                signal.set_wakeup_fd(-1)  # it is the loop's, which is in the other process

    def check(self) -> None:
        """Raise Stopped if a stop has been asked for."""
        if self._first is not None:
            self._take_again()
            raise Stopped(self._first[0])

    def _on_signal(self, arrived: int, frame: FrameType | None) -> None:
        number, now = signal.Signals(arrived), time.monotonic()
        if self._first is None:
            self._first = number, now
            if self._told is None:
                raise Stopped(number)
            self._told(number)
        elif self._again is not None and self._told is None:
            if not self._is_in_hook(frame):
                self._take_again()
                raise Stopped(self._first[0])
        elif now - max(self._first[1], self._asked) >= SAME_SIGNAL:
            self._last_words(number)
            os._exit(128 + number)

    def _is_in_hook(self, frame: FrameType | None) -> bool:
        """Return whether the hook for dropped exceptions runs: from there none can pass either."""
        while frame is not None and frame.f_code is not self._hook:
            frame = frame.f_back
        return frame is not None

    def _raise_soon(self) -> None:
        self._take_again()
        self._again = threading.Event()
        threading.Thread(target=self._ask, args=(self._again,), name=ASKER, daemon=True).start()

    def _ask(self, taken: threading.Event) -> None:
        """Ask for a dropped stop until it is taken, in a thread. What is sent just then is an echo:
        it is not meant as a second stop.
        """
        main, waits = threading.main_thread().ident, AGAIN
        assert main is not None
        while not taken.wait(waits):
            self._asked = time.monotonic()
            signal.pthread_kill(main, signal.SIGTERM)
            waits = min(2 * waits, AGAIN_AT_MOST)

    def _take_again(self) -> None:
        """Raise a dropped stop no more: it is raised herewith, or the process leaves."""
        again, self._again = self._again, None
        if again is not None:
            again.set()


ASKER = "stop"
"""The name of the thread that asks for a dropped stop again."""


SIGNALS = StopSignals()
"""This process's own."""
