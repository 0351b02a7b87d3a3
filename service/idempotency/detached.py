"""Work that is finished though the call that has begun it is over: what a store is told last."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from ..context.call import RUNNING

Done = TypeVar("Done")
_Loops = WeakKeyDictionary[asyncio.AbstractEventLoop, set[asyncio.Task[Any]]]

_running: _Loops = WeakKeyDictionary()


def detached(work: Coroutine[Any, Any, Done]) -> asyncio.Task[Done]:
    """Return a task that no call waits for or cancels; its lines carry the id of the one that runs
    here.
    """
    loop = asyncio.get_running_loop()
    variables = contextvars.Context()
    if (context := RUNNING.get(None)) is not None:
        variables.run(RUNNING.set, context)
    task = variables.run(loop.create_task, work)
    tasks = _running.setdefault(loop, set())
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    task.add_done_callback(_ask)
    return task


def _ask(task: asyncio.Task[Any]) -> None:
    """Ask for the failure of what nobody may wait for any more, which asyncio would log."""
    if not task.cancelled():
        task.exception()


async def finish(work: Coroutine[Any, Any, Done]) -> Done:
    """Return what `work` returns. If whoever waits here is cancelled, the work goes on."""
    task = detached(work)
    await asyncio.wait((task,))
    return task.result()


async def all_finished(seconds: float) -> None:
    """Wait until such work of this loop is done, for so many seconds at most."""
    if tasks := _running.get(asyncio.get_running_loop()):
        await asyncio.wait(set(tasks), timeout=seconds)
