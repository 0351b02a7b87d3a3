"""The handler of calls that run together: gates around it, and a look at what it has in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from msgspec.structs import replace

from ..calls.function import Function
from ..context.call import Context, current_context
from .gates import MeetingGate
from .marks import CallMarks
from .watching import StateWatch


@dataclass
class CrossCheck:
    """What is noted of the calls that run together. `place` is the handler's line."""

    ids: Sequence[str]
    marks: CallMarks
    watch: StateWatch
    entry: MeetingGate
    exit: MeetingGate
    place: str
    seen: dict[int, Context] = field(default_factory=dict)
    """The contexts of the calls that have come to the handler."""

    def __post_init__(self) -> None:
        self._numbers = {request_id: number for number, request_id in enumerate(self.ids)}

    def begin(self) -> int:
        """Note the call that has come to its handler, and return its number."""
        context = current_context()
        number = self._numbers[context.request_id]
        self.seen[number] = context
        return number

    def lose(self, number: int) -> None:
        """Let the others not wait for a call that is over, if it never came to its handler."""
        if number not in self.seen:
            self.entry.lose()
            self.exit.lose()
            self.watch.ended()

    def failed(self, failure: BaseException) -> None:
        """Let nobody wait any longer for calls that were interrupted: the test ends."""
        if not isinstance(failure, Exception | asyncio.CancelledError):
            self.entry.open()
            self.exit.open()


def watched(function: Function, check: CrossCheck) -> Function:
    """Return a function whose calls begin together, end together, and are looked at between."""
    if function.routes:
        routes = tuple(watched(route, check) for route in function.routes)
        return replace(function, routes=routes)
    wrappers = {"async": _watched_async, "sync": _watched_sync, "stream": _watched_stream}
    return replace(function, call=wrappers[function.kind](function.call, check))


def _watched_async(call: Callable[..., Any], check: CrossCheck) -> Callable[..., Any]:
    @wraps(call)
    async def begin(*arguments: Any) -> Any:
        number = check.begin()
        try:
            await check.entry.meet()
            return await check.watch.stepping(number, call(*arguments), check.place)
        except BaseException as failure:
            check.failed(failure)
            raise
        finally:
            check.watch.ended()
            await check.exit.meet()

    return begin


def _watched_sync(call: Callable[..., Any], check: CrossCheck) -> Callable[..., Any]:
    @wraps(call)
    def begin(*arguments: Any) -> Any:
        number = check.begin()
        try:
            check.entry.meet_in_thread()
            return check.watch.traced(number, lambda: call(*arguments))
        except BaseException as failure:
            check.failed(failure)
            raise
        finally:
            check.watch.look(number, check.place)
            check.watch.ended()
            check.exit.meet_in_thread()

    return begin


def _watched_stream(call: Callable[..., Any], check: CrossCheck) -> Callable[..., Any]:
    @wraps(call)
    async def begin(*arguments: Any) -> Any:
        number = check.begin()
        try:
            await check.entry.meet()
            async for part in call(*arguments):
                check.watch.look(number, check.place)
                yield part
                check.watch.look(number, check.place)
        except BaseException as failure:
            check.failed(failure)
            raise
        finally:
            check.watch.ended()
            await check.exit.meet()

    return begin
