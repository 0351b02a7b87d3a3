"""SIGTERM and SIGINT: the first asks for a stop, the second ends the process at once."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..protocol import SERVICE_LOGGER

STOPS = (signal.SIGTERM, signal.SIGINT)

SAME_SIGNAL = 0.5
"""Seconds in which a second signal is taken for the first one's echo: a container's init or
`timeout` may send it to the process and to its group.
"""

AGAIN = 0.01
"""Seconds after which a stop that Python dropped is raised again."""

_log = logging.getLogger(SERVICE_LOGGER)

Told = Callable[[signal.Signals], None]


def nothing(_number: signal.Signals) -> None:
    """Have no last words."""


class Stopped(BaseException):
    """A stop was asked for: what has begun is left, by way of its `finally`."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number.name)
        self.number = number


class StopSignals:
    """The two signals of this process, heeded in Python's own handlers: those run even where a
    handler blocks the event loop, which then hears of no signal.

    While nobody is told of them, as during the import of the user's module, the first one raises
    Stopped in the main thread. User code may catch it, and Python drops it where no exception can
    pass, as in `__del__` or in the callback of a weak reference. Neither loses the stop: `check`
    raises it where it was caught, and what was dropped is soon raised again.
    """

    def __init__(self) -> None:
        self._signal = signal.signal
        self._before: dict[signal.Signals, Any] = {}
        self._theirs: dict[signal.Signals, Any] = {}  # handlers of the function's
        self._first: tuple[signal.Signals, float] | None = None
        self._told: Told | None = None
        self._last_words: Told = nothing
        self._again: threading.Timer | None = None

    def heed(self) -> None:
        """Heed the signals from now on. Called from the main thread, once."""
        self._install()
        os.register_at_fork(after_in_child=self._leave_to_child)
        others = sys.unraisablehook

        def hook(dropped: Any) -> None:
            if dropped.exc_type is Stopped:
                self._raise_soon()
            else:
                others(dropped)

        sys.unraisablehook = hook

    def guard(self) -> None:
        """Keep user code from taking the signals: what it sets for them is not called. Done before
        the function is imported; what a drain has to do in its place is `pre_stop`'s.
        """

        def keep(number: int, handler: Any) -> Any:
            ours = number in STOPS and threading.current_thread() is threading.main_thread()
            if not ours:
                return self._signal(number, handler)
            name = signal.Signals(number)
            before = self._theirs.get(name, self._before[name])
            self._theirs[name] = handler
            if callable(handler) and handler not in (before, signal.default_int_handler):
                _log.warning(
                    "the function's own handler of %s is not called: the service finishes the calls"
                    " in flight, then runs pre_stop: put there what has to be done",
                    name.name,
                )
            return before

        signal.signal = keep  # type: ignore[assignment]

    @contextmanager
    def told(self, told: Told, last_words: Told = nothing) -> Iterator[None]:
        """Within this, the first signal calls `told`, and the second `last_words` before the
        process ends. Both are called between any two steps of the main thread's code.

        Raises Stopped where one came before.
        """
        self._told, self._last_words = told, last_words
        try:
            self.check()
            yield
        finally:
            self._told, self._last_words = None, nothing

    def _install(self) -> None:
        for number in STOPS:
            self._before[number] = signal.signal(number, self._on_signal)

    def _leave_to_child(self) -> None:
        """Let a process that a handler forks end by the signals: `Process.terminate` sends one."""
        signal.signal = self._signal
        for number, before in self._before.items():
            if signal.getsignal(number) == self._on_signal:
                signal.signal(number, before)

    def check(self) -> None:
        """Raise Stopped if a stop has been asked for."""
        if self._first is not None:
            self._take_again()
            raise Stopped(self._first[0])

    def _on_signal(self, arrived: int, _frame: object) -> None:
        number, now = signal.Signals(arrived), time.monotonic()
        if self._first is None:
            self._first = number, now
            if self._told is None:
                raise Stopped(number)
            self._told(number)
        elif self._take_again():
            raise Stopped(self._first[0])
        elif now - self._first[1] >= SAME_SIGNAL:
            self._last_words(number)
            os._exit(128 + number)

    def _raise_soon(self) -> None:
        main = threading.main_thread().ident
        assert main is not None
        self._again = threading.Timer(AGAIN, signal.pthread_kill, (main, signal.SIGTERM))
        self._again.daemon = True
        self._again.start()

    def _take_again(self) -> bool:
        """Say whether a dropped stop is to be raised again, which is done herewith."""
        again, self._again = self._again, None
        if again is not None:
            again.cancel()
        return again is not None


SIGNALS = StopSignals()
"""This process's own."""
