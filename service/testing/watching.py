"""Looks, at each step of each call, whether what the call has put into a module is still there."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from types import FrameType, ModuleType
from typing import Any

from ..calls import tracebacks
from .marks import CallMarks
from .module_state import lines_that_write, near, slots_of

LOOKS_WAIT = 2.0
"""Seconds that a plain handler's thread waits, behind its first write to a module, for another one
to write there or to end: what holds a lock meanwhile costs this once.
"""

QUIET_WAITS = 2
"""So many waits make up these seconds: a machine that stands still lengthens one of them."""

Slot = tuple[str, str]
Trace = Callable[[FrameType, str, Any], Any]


class StateWatch:
    """The module-level state while calls run, and what a call has found there that is another's."""

    def __init__(
        self, modules: list[ModuleType], marks: CallMarks, shared: set[str], n: int
    ) -> None:
        self._modules = modules
        self._marks = marks
        self._shared = shared
        self._files = {str(getattr(module, "__file__", "")) for module in modules}
        self._lock = threading.RLock()
        self._own: dict[int, set[Slot]] = {}
        self._writers: dict[str, deque[int]] = {}
        self._found: dict[str, tuple[int, str]] = {}
        self._calls: dict[str, set[int]] = {}
        self._parked, self._running = 0, n
        self._crossing: threading.Event | None = threading.Event()

    def look(self, call: int, place: str) -> bool:
        """Look at all that the modules hold, on behalf of a call that is at `place`; return whether
        it has put something of its own there that was not there before.
        """
        with self._lock:
            own, wrote = self._own.setdefault(call, set()), False
            for name, step, value in slots_of(self._modules):
                if self.is_shared(name):
                    continue
                slot, foreign = (name, step), self._marks.of_others(value, call)
                if foreign is None:
                    if slot not in own and self._marks.has_own(value, call):
                        own.add(slot)
                        wrote = True
                        self._writers.setdefault(name, deque(maxlen=3)).append(call)
                elif slot in own and not self._marks.has_own(value, call):
                    self._note(call, name, f"{step}{foreign.path}", foreign.leaf, place)
            return wrote

    def is_shared(self, name: str) -> bool:
        """Return whether calls share something on purpose: by its whole name, or without the
        module's.
        """
        return name in self._shared or name.partition(".")[2] in self._shared

    def shared_values(self) -> list[object]:
        """Return what the modules hold that calls share on purpose."""
        return [value for name, _, value in slots_of(self._modules) if self.is_shared(name)]

    def _note(self, call: int, name: str, step: str, value: object, place: str) -> None:
        self._calls.setdefault(name, set()).add(call)
        told = f"call {call} had put its own there, and found {_short(value)} in {name}{step}"
        self._found.setdefault(name, (call, f"{told} at {place}"))

    def findings(self) -> list[str]:
        """Return what was found: a text for each name of a module."""
        return [self._told(name, first) for name, (_, first) in sorted(self._found.items())]

    def _told(self, name: str, first: str) -> str:
        calls, writers = len(self._calls[name]), self._writers.get(name, ())
        lines = lines_that_write(self._modules, name)
        written = f"; written at {', '.join(lines)}" if lines else ""
        last = ", ".join(map(str, writers))
        return f"{name}: {first}{written}; last writers: calls {last}; seen by {calls} calls"

    # --- the steps of an async handler

    def stepping(self, call: int, work: Awaitable[Any], place: str) -> SteppedCall:
        """Return the same work, looked at whenever it waits and goes on."""
        return SteppedCall(work, partial(self.look, call), place)

    # --- the lines of a plain one

    def tracing(self, call: int) -> Trace:
        """Return a trace function, for `sys.settrace`, that looks at each line of the function's
        own code.
        """

        def line(frame: FrameType, event: str, _: Any) -> Any:
            place = f"{near(frame.f_code.co_filename)}:{frame.f_lineno}"
            if event in ("line", "return") and self.look(call, place):
                self._park()
                self.look(call, place)
            return line

        def begin(frame: FrameType, _event: str, _: Any) -> Any:
            return line if frame.f_code.co_filename in self._files else None

        return begin

    def _park(self) -> None:
        """Wait until each other call has written, too, or has ended."""
        crossing = self._crossing
        if crossing is None:
            return
        with self._lock:
            self._parked += 1
            if self._parked >= self._running:
                crossing.set()
        if not self._others_come(crossing):
            crossing.set()
            self._crossing = None  # one waits for another: each goes at its own pace from here on
        with self._lock:
            self._parked -= 1
            if not self._parked and self._crossing is crossing:
                self._crossing = threading.Event()

    def _others_come(self, crossing: threading.Event) -> bool:
        """Wait until all are there, as long as others come; return whether they are."""
        quiet = 0
        while quiet < QUIET_WAITS:
            before = self._parked, self._running
            if crossing.wait(LOOKS_WAIT / QUIET_WAITS):
                return True
            quiet = quiet + 1 if (self._parked, self._running) == before else 0
        return False

    def ended(self) -> None:
        """Wait for one call less."""
        with self._lock:
            self._running -= 1
            if self._crossing is not None and self._parked and self._parked >= self._running:
                self._crossing.set()

    def traced(self, call: int, work: Callable[[], Any]) -> Any:
        """Return what a plain handler returns, looked at line by line."""
        before = sys.gettrace()
        sys.settrace(self.tracing(call))
        try:
            return work()
        finally:
            sys.settrace(before)


class SteppedCall:
    """Work that is looked at whenever it waits and goes on."""

    def __init__(self, work: Awaitable[Any], look: Callable[[str], object], place: str) -> None:
        self._work = work
        self._look = look
        self._place = place

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._work.__await__()
        send = getattr(steps, "send", lambda _: next(steps))
        step = partial(send, None)
        try:
            while True:
                try:
                    waited_for = step()
                except StopIteration as done:
                    return done.value
                self._look(self._where())
                try:
                    value = yield waited_for
                except BaseException as failure:
                    step = partial(steps.throw, failure)
                else:
                    step = partial(send, value)
                self._look(self._where())
        finally:
            self._look(self._place)

    def _where(self) -> str:
        place = tracebacks.awaited_by(self._work)
        return f"{near(place.file)}:{place.line}" if place else self._place


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 80 else f"{text[:77]}..."
