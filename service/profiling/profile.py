"""A profile of the handler's calls, by pyinstrument: what is looked at, when, and its file."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from contextvars import Context
from inspect import iscoroutine
from pathlib import Path
from typing import Any

from msgspec.structs import replace

# Its Profiler keeps each sample until the call is over, and has nothing of a call that hangs.
from pyinstrument.stack_sampler import (
    AsyncState,
    StackSampler,
    build_call_stack,
    get_stack_sampler,
)

from ..calls.function import Function, Handlers
from .flame import WAITING
from .samples import Samples, flame_graph

TellEnd = Callable[[str, str], None]
"""Is told what has become of the profile: the level of the line, and the line."""


class CallProfile:
    """A profile of the calls of a handler from the first one on: until `finish`, or for `seconds`.

    Nothing that goes wrong with it is a call's failure. Nothing of a call's values is in it: names
    of functions, classes and files.
    """

    def __init__(
        self, folder: Path, file: Path, every: float, tell: TellEnd, seconds: float | None = None
    ) -> None:
        self._folder = folder
        self._file = file
        self.every = every
        self._tell = tell
        self._seconds = seconds
        self._handler = ""
        self._samples = Samples()
        self._begin = threading.Lock()  # is kept by the first call
        self._end = threading.Lock()
        self._running = set[_Seen]()
        self._is_over = False
        self._is_told = False

    def around(self, handlers: Handlers) -> Handlers:
        """Return the handlers with the handler's calls looked at."""
        handler = handlers.handler
        self._handler = handler.name
        return replace(handlers, handler=self._around(handler))

    def _around(self, handler: Function) -> Function:
        if handler.routes:
            return replace(handler, routes=tuple(map(self._around, handler.routes)))
        kinds = {"sync": self._in_thread, "async": self._awaited, "stream": self._streamed}
        return replace(handler, call=kinds[handler.kind](handler.call))

    def finish(self) -> None:
        """Look no more; write the file, if that is not done, and tell where it is. Returns once
        that is done.
        """
        self._is_over = True
        for seen in tuple(self._running):
            self.end_call(seen)
        with self._end:
            if not self._is_told:
                self._is_told = True
                self._tell(*self._written())

    # --- a call

    def _in_thread(self, call: Callable[..., Any]) -> Callable[..., Any]:
        awaited = self._awaited(lambda coroutine: coroutine)

        def profiled(*arguments: Any) -> Any:
            with self._looked_at(is_async=False):
                result = call(*arguments)
            # A plain function around an async one: the rest is done on the event loop.
            return awaited(result) if iscoroutine(result) else result

        return profiled

    def _awaited(self, call: Callable[..., Any]) -> Callable[..., Coroutine[Any, Any, Any]]:
        async def profiled(*arguments: Any) -> Any:
            with self._looked_at(is_async=True):
                return await call(*arguments)

        return profiled

    def _streamed(self, call: Callable[..., AsyncIterator[Any]]) -> Callable[..., Any]:
        async def profiled(*arguments: Any) -> AsyncIterator[Any]:
            with self._looked_at(is_async=True):
                async for part in call(*arguments):
                    yield part

        return profiled

    def _looked_at(self, *, is_async: bool) -> _LookedAt:
        return _LookedAt(self, is_async=is_async)

    def begin_call(self) -> _Seen | None:
        """Return what is to be told of what this thread does, None if the profile is over."""
        if self._is_over:
            return None
        self._note_call()
        seen = _Seen(self._samples, build_call_stack(sys._getframe(), "initial", None))
        self._running.add(seen)
        return seen

    def end_call(self, seen: _Seen) -> None:
        """Look at a call no more."""
        seen.end()
        self._running.discard(seen)

    def _note_call(self) -> None:
        self._samples.begin_call()
        if self._seconds is not None and self._begin.acquire(blocking=False):
            timer = threading.Timer(self._seconds, self.finish)
            timer.daemon = True
            with suppress(RuntimeError):  # no thread is left: it is written at the stop
                Context().run(timer.start)  # it is not this call's

    # --- the file

    def _written(self) -> tuple[str, str]:
        """Write the file; return what there is to tell."""
        calls = self._samples.calls
        if not calls:
            return "INFO", "no call came: there is no profile"
        drawn = flame_graph(self._samples, self._handler, self._folder)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(self._file, flags, 0o600), "w", encoding="utf-8") as file:
                file.write(drawn)
        except OSError as reason:
            why = reason.strerror or type(reason).__name__
            return "WARNING", f"the profile cannot be written to {self._file}: {why}"
        many = "1 call" if calls == 1 else f"{calls} calls"
        return "INFO", f"profile of {many}: {self._file}, for a browser"


class _LookedAt:
    """Within this, the thread is looked at; if `is_async`, for what this context does."""

    def __init__(self, profile: CallProfile, *, is_async: bool) -> None:
        self._profile = profile
        self._is_async = is_async
        self._seen: _Seen | None = None

    def __enter__(self) -> None:
        seen = self._profile.begin_call()
        if seen is None:
            return
        sampler = get_stack_sampler()
        sampler.has_warned_about_timing_overhead = True  # on stderr, which is the function's
        try:
            sampler.subscribe(
                seen, desired_interval=self._profile.every, use_async_context=self._is_async
            )
            self._seen = seen
        except RuntimeError:  # the function has a profiler of its own here
            self._profile.end_call(seen)

    def __exit__(self, *_failure: object) -> None:
        if self._seen is not None:
            with suppress(StackSampler.SubscriberNotFound):  # ended by another thread
                get_stack_sampler().unsubscribe(self._seen)
            self._profile.end_call(self._seen)


class _Seen:
    """What is seen of one call. Called with each look of pyinstrument's; a wait, which most calls
    are in at each look, is noted once it is over.
    """

    def __init__(self, samples: Samples, base: list[str]) -> None:
        self._samples = samples
        self._base = base
        self._wait: AsyncState | None = None
        self._waited = 0.0
        self._is_over = False

    def __call__(self, stack: list[str], seconds: float, state: AsyncState | None) -> None:
        if state is self._wait is not None:
            self._waited += seconds
        elif not self._is_over:
            self._note_wait()
            if state is None or state.state == "in_context":
                self._note(stack, seconds)
            else:
                self._wait, self._waited = state, seconds
            self._samples.count()

    def end(self) -> None:
        """Note what is seen by now, and no more."""
        self._is_over = True
        self._note_wait()

    def _note_wait(self) -> None:
        wait, self._wait = self._wait, None
        if wait is not None:
            self._note([*wait.info, WAITING], self._waited)

    def _note(self, stack: list[str], seconds: float) -> None:
        if part := handlers_part(stack, self._base):
            self._samples.add(part, seconds)


_FILE = f"\0{CallProfile.finish.__code__.co_filename}\0"
"""What the text of this file's frames has after the function's name."""

_WRAPPER = f"profiled{_FILE}"
"""How the frame begins that calls the handler."""


def handlers_part(stack: list[str], base: list[str]) -> list[str]:
    """Return the frames of a stack from the handler on, none if that does not run: those above
    ours; or in a task of the handler's own, those that it does not share with `base`, the stack
    that the call began with. Of a wait in C code there is nothing to see but the loop, as it goes
    on.
    """
    for place, frame in enumerate(stack):
        if frame.startswith(_WRAPPER):
            rest = stack[place + 1 :]
            return [] if rest and _FILE in rest[0] else rest
    place = 0
    while place < min(len(stack), len(base)) and is_same(stack[place], base[place]):
        place += 1
    return stack[place:] or [WAITING]


def is_same(one: str, other: str) -> bool:
    """Return whether two frames are of the same code; lines differ."""
    return one.partition("\1")[0] == other.partition("\1")[0]
