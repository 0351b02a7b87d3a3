"""How a hook of the user's is run: within its time, in a context of its own, and logged."""

from __future__ import annotations

import time
from collections.abc import Coroutine
from typing import Any

from .. import protocol
from ..calls.deadline import Call, Calls
from ..calls.function import Function, run
from ..calls.left_behind import track_hook
from ..calls.lifecycle import Hook
from ..calls.threads import ThreadPool
from ..context.call import RUNNING, Context, Platform
from ..errors import ServiceError
from ..http.middleware import report


def hook(
    function: Function | None,
    calls: Calls,
    platform: Platform,
    seconds: float,
    handlers_threads: ThreadPool,
) -> Hook:
    """Return what runs a hook of the user's, within `seconds`; its failure is logged here, once,
    and raised.

    Outside of a request the hook gets a context of its own, with a generated request id.
    """

    async def call_hook() -> None:
        if function is None:
            return
        if RUNNING.get(None) is None:
            RUNNING.set(Context({}, protocol.new_request_id(), None, platform))
        call = Call(time.monotonic() + seconds)
        # Not in a handler's: calls that never come back may have all of these. At concurrency 1 a
        # plain handler's thread is the one that has imported the function.
        shares = handlers_threads.is_lent and not calls.lost
        threads = handlers_threads if shares else ThreadPool(1, "hook")
        try:
            await calls.run(call, tracked(run(function, threads, call, RUNNING.get())))
        except ServiceError as failure:
            if shares and call.over:
                threads.replace_lent()
            report(failure)
            raise
        finally:
            if not shares:
                threads.close()

    return call_hook


async def tracked(work: Coroutine[Any, Any, Any]) -> None:
    """Do a hook's work in a task of its own, and know the tasks that it starts."""
    track_hook()
    await work
