"""Which tasks of a call work for other calls, too: judged by what they hold and wait for, when the
call ends and leaves them running.

Two signs tell such a task. Another call waits for a future that the task can reach: it has the
future in a list, a queue or an object of the function's own, or others await the task itself. Or
the task waits for what anybody may bring: at a queue, an event or a condition that the function's
module keeps.
"""

from __future__ import annotations

import asyncio
import collections
import gc
import inspect
import sys
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from types import CellType, FrameType, FunctionType, MethodType
from typing import Any

from ..context.call import RUNNING, TaskContext
from . import tracebacks
from .tasks import context_of

MAX_LOOKED_AT = 2000
"""Objects that are looked at for one task, at the end of its call."""

KEPT_DEPTH = 3
"""Steps from a module's variables to what it keeps."""

PLACES = (asyncio.Queue, asyncio.Event, asyncio.Condition)
"""Where tasks wait for what others bring."""

SIZED = (list, tuple, dict, set, frozenset, collections.deque)
CONTAINERS = (*SIZED, asyncio.Future, CellType, *PLACES)


def serving_others(
    tasks: Iterable[asyncio.Task[Any]], every: Iterable[asyncio.Task[Any]]
) -> dict[asyncio.Task[Any], int]:
    """Return those of a call's tasks that work for other calls, each with how many of these wait
    for it now. `every` are all tasks of the loop. Called within the call.
    """
    waited_for = _waited_for(every)
    found = {}
    for task in tasks:
        frames = list(tracebacks.suspended_frames(task.get_coro()))
        count = _waiting_calls(task, frames, waited_for)
        if count or _waits_for_anybody(frames):
            found[task] = count
    return found


def _waited_for(every: Iterable[asyncio.Task[Any]]) -> dict[int, object]:
    """Return the futures that other calls wait for, by identity, each with its call's context."""
    here = RUNNING.get(None)
    found: dict[int, object] = {}
    for task in every:
        call = context_of(task)
        if call is None or call is here or isinstance(call, TaskContext):
            continue
        for future in _leaves(task):
            found[id(future)] = call
    return found


def _leaves(task: asyncio.Task[Any]) -> Iterator[asyncio.Future[Any]]:
    """Yield the future that a task waits for."""
    awaited: Any = task.get_coro()
    while awaited is not None:
        for waits_for in ("cr_await", "gi_yieldfrom", "ag_await"):
            if hasattr(awaited, waits_for):
                awaited = getattr(awaited, waits_for)
                break
        else:
            yield from (r for r in gc.get_referents(awaited) if isinstance(r, asyncio.Future))
            return


def _waiting_calls(
    task: asyncio.Task[Any], frames: Collection[FrameType], waited_for: dict[int, object]
) -> int:
    """Return how many calls wait for futures that a task can reach."""
    if not waited_for:
        return 0
    own = {id(future) for future in _leaves(task)}
    calls: set[int] = set()
    seen: set[int] = set()
    left: collections.deque[object] = collections.deque([task, *_held_by(frames)])
    while left and len(seen) < MAX_LOOKED_AT:
        each = left.popleft()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if id(each) in waited_for:
            calls.add(id(waited_for[id(each)]))
        within = list(_within(each))
        if not own & set(map(id, within)) or each is task:  # else it waits there as they do
            left += within
    return len(calls)


def _held_by(frames: Iterable[FrameType]) -> Iterator[object]:
    """Yield what the function's code holds in its variables, and in those of its module that it
    names.
    """
    for frame in frames:
        yield from tuple(frame.f_locals.values())
        if tracebacks.is_users_file(frame.f_code.co_filename):
            yield from (frame.f_globals.get(name) for name in frame.f_code.co_names)


def _within(value: object) -> Iterator[object]:
    """Yield what is in a container, in an object of a class of the function's own, and in what a
    callback has closed over.
    """
    if isinstance(value, SIZED) and len(value) > MAX_LOOKED_AT:
        return
    if isinstance(value, MethodType):
        yield value.__self__
    elif isinstance(value, FunctionType):
        yield from value.__closure__ or ()
    elif isinstance(value, CONTAINERS) or _is_of_users_class(value):
        yield from gc.get_referents(value)


def _is_of_users_class(value: object) -> bool:
    if inspect.isclass(value) or inspect.ismodule(value):
        return False
    file = getattr(sys.modules.get(type(value).__module__), "__file__", None)
    return file is not None and tracebacks.is_users_file(file)


def _waits_for_anybody(frames: Collection[FrameType]) -> bool:
    """Return whether a task waits at a place that the function's module keeps."""
    *_, last = frames or (None,)
    place = last.f_locals.get("self") if last is not None else None
    if not isinstance(place, PLACES):
        return False
    users = [frame for frame in frames if tracebacks.is_users_file(frame.f_code.co_filename)]
    return any(_keeps(frame.f_globals, place) for frame in users[-1:])


def _keeps(module: dict[str, Any], place: object) -> bool:
    """Return whether a module's variables lead to something, in a few steps."""
    level: list[object] = list(module.values())
    seen: set[int] = set()
    for _ in range(KEPT_DEPTH):
        if any(each is place for each in level):
            return True
        new = [each for each in level if id(each) not in seen and not callable(each)]
        seen.update(map(id, new))
        level = list(islice((within for each in new for within in _within(each)), MAX_LOOKED_AT))
    return any(each is place for each in level)
