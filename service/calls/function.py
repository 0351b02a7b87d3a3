"""A handler or a hook as it was found, and how it is called: nothing that it raises passes."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import msgspec

from ..errors import HandlerFailed, ServiceError, UnserializableResult
from ..protocol import HOOK_NAMES
from .callables import HandlerKind
from .deadline import CANCELLED, Call
from .threads import ThreadOutcome, ThreadPool, end_fork


class Function(msgspec.Struct, frozen=True):
    """User code as it was found: what to call, how, and what it wants to get."""

    name: str
    call: Callable[..., Any]
    kind: HandlerKind
    decode: Callable[[bytes], Any] | None = None
    """Body to event; None when the handler takes the EventStream itself. That of a kind "routed"
    says which one of `routes` the event is for (`calls/routes.py`).
    """
    routes: tuple[Function, ...] = ()
    stage: str = ""
    """What a call does that runs it, for messages."""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "stage", f"running {self.name}")


class Handlers(msgspec.Struct, frozen=True):
    """The handler, and the hooks that its module has."""

    handler: Function
    initializer: Function | None = None
    pre_stop: Function | None = None
    pre_freeze: Function | None = None
    likely_initializer: str = ""
    """A function that looks like an initializer, if none was named or found."""
    lifespan: Function | None = None
    around: Function | None = None
    middlewares: tuple[Any, ...] = ()


HOOKS = tuple(HOOK_NAMES)
"""The hooks' names: of their settings, too."""

PARTS = (*HOOKS, "lifespan", "around", "middlewares")
"""All that is looked for in the handler's module, and may be named by a setting."""


async def run(function: Function, pool: ThreadPool, call: Call, *arguments: Any) -> Any:
    """Call user code and return what it returns.

    Raises HandlerFailed for whatever it raises, SystemExit included, except for the service's own
    errors (a bad item of `json_lines`, a body that stopped arriving), which pass as they are.
    """
    call.stage = function.stage
    begin = function.call
    if function.kind == "sync":
        outcome = await _in_thread(function, pool, call, *arguments)
        if isinstance(outcome.failure, ServiceError):
            raise outcome.failure
        if outcome.failure is not None:
            raise HandlerFailed(outcome.failure) from outcome.failure
        if not inspect.iscoroutine(outcome.result):
            return outcome.result
        # A plain function around an async one: what it has begun goes on here.
        begin, arguments = _returned, (outcome.result,)
    elif function.kind == "stream":
        begin, arguments = _collect, (begin, *arguments)
    elif function.kind == "routed":
        (place, event), *rest = arguments
        return await run(function.routes[place], pool, call, event, *rest)
    try:
        result = await begin(*arguments)
    except ServiceError:
        raise
    except BaseException as failure:
        if pool.is_copy:
            end_fork(failure)
        if isinstance(failure, asyncio.CancelledError) and not failure.args:
            failure.args = (CANCELLED,)
        # A cancellation at the deadline too: nobody waits for it any more.
        raise HandlerFailed(failure) from failure
    if pool.is_copy:
        end_fork()
    return result


async def _in_thread(
    function: Function, pool: ThreadPool, call: Call, *arguments: Any
) -> ThreadOutcome:
    def work() -> Any:
        call.thread = threading.get_ident()
        return function.call(*arguments)

    def measured() -> Any:
        began = time.thread_time()
        try:
            return work()
        finally:
            call.cpu = time.thread_time() - began

    try:
        return await pool.run(measured if pool.measures_cpu else work)
    finally:
        call.thread = None


async def _returned(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return await coroutine


async def _collect(generator: Callable[..., AsyncIterator[Any]], *arguments: Any) -> bytes:
    whole = bytearray()
    async for part in generator(*arguments):
        if isinstance(part, str):
            whole += part.encode()
        elif isinstance(part, bytes | bytearray | memoryview):
            whole += part
        else:
            raise UnserializableResult(
                f"the handler yielded {type(part).__name__}; an async generator yields bytes or str"
            )
    return bytes(whole)
