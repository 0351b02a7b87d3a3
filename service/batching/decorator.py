"""`batched`: makes a function of many events one of each."""

from __future__ import annotations

import asyncio
import collections.abc
import inspect
import math
import typing
from collections.abc import Awaitable, Callable, Sequence
from functools import update_wrapper
from types import SimpleNamespace
from typing import Any, Generic, TypeVar, get_args, get_origin, overload
from weakref import WeakKeyDictionary

from ..calls.callables import judge_kind, read_signature
from ..calls.loops import entries_of
from ..context.call import RUNNING, Context
from ..errors import StartError
from .batch import BatchPlan
from .gathering import Gathering

EventT = TypeVar("EventT")
ResultT = TypeVar("ResultT")

Results = Sequence[ResultT | BaseException]
BatchFunction = (
    Callable[[list[EventT], list[Context]], Awaitable[Results[ResultT]]]
    | Callable[[list[EventT]], Awaitable[Results[ResultT]]]
    | Callable[[list[EventT], list[Context]], Results[ResultT]]
    | Callable[[list[EventT]], Results[ResultT]]
)
"""What can be batched: it takes lists, and returns or awaits a list with a result for each event;
an exception in a place fails that call alone.
"""

LISTS = (list, collections.abc.Sequence)
MOST_CALLS, LONGEST_WAIT, MOST_BATCHES = 10_000, 60.0, 200
FORM = "write `def predict(events: list[T], contexts: list[Context])`, or without contexts"


@overload
def batched(function: BatchFunction[EventT, ResultT], /) -> Batched[EventT, ResultT]: ...


@overload
def batched(
    *,
    max_size: int = ...,
    max_wait: float = ...,
    concurrency: int = ...,
    timeout: float | None = ...,
) -> Callable[[BatchFunction[EventT, ResultT]], Batched[EventT, ResultT]]: ...


def batched(
    function: Any = None,
    /,
    *,
    max_size: int = 32,
    max_wait: float = 0.005,
    concurrency: int = 1,
    timeout: float | None = None,
) -> Any:
    """Return a function of one event, whose concurrent calls are handed to `function` together.

    It gets up to `max_size` events, in the order of their arrival, and the contexts of their calls
    if it takes two parameters, and returns a list with a result for each; an exception in a place
    fails that call alone. A plain `def` runs in a thread. A call is waited for up to `max_wait`
    seconds, less if calls come seldom, and not at all if no other is in flight. `concurrency`
    batches run at once. A batch that takes `timeout` seconds fails; without it the deadlines of
    its calls alone count.

    The function that is returned is a handler, and can be awaited anywhere: `await predict(row)`.
    Raises TypeError for what cannot be batched, ValueError for a limit that cannot be.
    """
    _check_limits(max_size, max_wait, concurrency, timeout)

    def decorate(found: Any) -> Any:
        name = getattr(found, "__qualname__", type(found).__qualname__)
        name = f"{getattr(found, '__module__', '')}.{name}".removeprefix("__main__.")
        kind, takes_contexts = _judged(found, name)
        return Batched(
            BatchPlan(
                *(found, name, kind, takes_contexts),
                *(max_size, max_wait, concurrency, timeout),
            )
        )

    return decorate if function is None else decorate(function)


class Batched(Generic[EventT, ResultT]):
    """A function of one event, whose concurrent calls run together."""

    def __init__(self, plan: BatchPlan) -> None:
        update_wrapper(self, plan.function)
        self._plan = plan
        self._gatherings: WeakKeyDictionary[asyncio.AbstractEventLoop, Gathering] = (
            WeakKeyDictionary()
        )

    async def __call__(self, event: EventT, context: Context | None = None) -> ResultT:
        """Return the result that the batch has for this event, or raise what it has in its place.

        Raises what the function raises; BatchFailed if it returns no list with a result for each
        event; FunctionTimeout if it does not return in time.
        """
        context = context or RUNNING.get(None)
        if context is None and self._plan.takes_contexts:
            raise LookupError(
                f"no call runs here, so {self._plan.name} can be given no context: let it take the"
                " events alone"
            )
        gathering = self._gathering()
        call = gathering.add(event, context)
        try:
            outcome = await call.future
        except asyncio.CancelledError:
            gathering.leave(call)
            raise
        if outcome.failure is not None:
            try:
                raise outcome.failure
            finally:
                del outcome, call  # no cycle through the traceback
        result: ResultT = outcome.result
        return result

    def _gathering(self) -> Gathering:
        loop = asyncio.get_running_loop()
        found = self._gatherings.get(loop)
        if found is None:
            for other, _ in entries_of(self._gatherings):
                if other.is_closed():
                    self._close(other)
            found = self._gatherings[loop] = Gathering(self._plan)
        return found

    def _close(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let go of the calls of a loop that is closed, unless another thread does."""
        left = self._gatherings.pop(loop, None)
        if left is not None:
            left.close()

    def __getattr__(self, name: str) -> Any:
        if name != "__signature__":
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        # Asked for when the function is loaded: its annotation may name what comes further down.
        kinds = inspect.Parameter
        event = kinds("event", kinds.POSITIONAL_OR_KEYWORD, annotation=_item(self._plan.function))
        return inspect.Signature(
            [event, kinds("context", kinds.POSITIONAL_OR_KEYWORD, default=None)]
        )


def _check_limits(max_size: int, max_wait: float, concurrency: int, timeout: float | None) -> None:
    for name, value, most in (
        ("max_size", max_size, MOST_CALLS),
        ("concurrency", concurrency, MOST_BATCHES),
    ):
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise ValueError(f"{name} is a whole number from 1 to {most}: {value!r}")
    if not 0 <= max_wait <= LONGEST_WAIT:
        raise ValueError(f"max_wait is in seconds, from 0 to {LONGEST_WAIT:g}: {max_wait!r}")
    if timeout is not None and not 0 < timeout < math.inf:
        raise ValueError(f"timeout is in seconds, more than 0, or None: {timeout!r}")


def _judged(found: Any, name: str) -> tuple[Any, bool]:
    """Return how a function is called, and whether it takes contexts. Raises TypeError for what
    cannot be batched.
    """
    try:
        kind = judge_kind(f"@batched {name}", found)
    except StartError as reason:
        raise TypeError(str(reason)) from None
    if kind == "stream":
        raise TypeError(f"{name} is an async generator: return a list with a result for each event")
    signature = read_signature(found)
    names = list(signature.parameters)
    if names[:1] == ["self"]:
        raise TypeError(
            f"{name} is a method: batch it where it is bound, self.predict = batched(self.predict)"
        )
    for count in (2, 1):
        try:
            signature.bind(*[None] * count)
        except TypeError:
            continue
        return kind, count == 2
    raise TypeError(f"{name} takes {signature}: {FORM}")


def _item(function: Any) -> Any:
    """Return what a function's first parameter is a list of; nothing if it does not say."""
    parameter = next(iter(read_signature(function).parameters.values()))
    if parameter.annotation is inspect.Parameter.empty:
        return inspect.Parameter.empty
    alone = SimpleNamespace(__annotations__={"events": parameter.annotation})
    names = getattr(inspect.unwrap(function), "__globals__", {})
    try:
        annotation = typing.get_type_hints(alone, names, include_extras=True)["events"]
    except Exception:  # whoever loads the function tells what cannot be resolved, and where
        return parameter.annotation
    if annotation in LISTS:
        return inspect.Parameter.empty
    if get_origin(annotation) not in LISTS:
        raise TypeError(f"the events of {function.__qualname__} are {annotation}: {FORM}")
    return get_args(annotation)[0]
