"""A handler or a hook as it was found, and how it is called: nothing that it raises passes."""

from __future__ import annotations

import inspect
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal

from service.calls import Call
from service.errors import HandlerFailed, ServiceError, UnserializableResult
from service.threads import Outcome, ThreadPool

Kind = Literal["async", "sync", "stream"]


@dataclass(frozen=True, slots=True)
class Function:
    """User code as it was found: what to call, how, and what it wants to get."""

    name: str
    call: Callable[..., Any]
    kind: Kind
    decode: Callable[[bytes], Any] | None = None
    """Body to event; None when the handler takes the EventStream itself."""


@dataclass(frozen=True, slots=True)
class Handlers:
    """The handler, and the hooks that its module has."""

    handler: Function
    initializer: Function | None = None
    pre_stop: Function | None = None
    pre_freeze: Function | None = None


async def run(function: Function, pool: ThreadPool, call: Call, *arguments: Any) -> Any:
    """Call user code and return what it returns.

    Raises HandlerFailed for whatever it raises, SystemExit included, except for the service's own
    errors (a bad item of `json_lines`, a body that stopped arriving), which pass as they are.
    """
    call.stage = f"running {function.name}"
    if function.kind == "sync":
        outcome = await _in_thread(function, pool, call, *arguments)
    elif function.kind == "stream":
        outcome = await _awaited(_collect, function.call, *arguments)
    else:
        outcome = await _awaited(function.call, *arguments)
    if outcome.failure is None:
        return outcome.result
    if isinstance(outcome.failure, ServiceError):
        raise outcome.failure
    raise HandlerFailed(outcome.failure) from outcome.failure


async def _in_thread(function: Function, pool: ThreadPool, call: Call, *arguments: Any) -> Outcome:
    def work() -> Any:
        call.thread = threading.get_ident()
        return function.call(*arguments)

    try:
        outcome = await pool.run(work)
    finally:
        call.thread = None
    if inspect.iscoroutine(outcome.result):  # a plain function around an async one
        return await _awaited(_returned, outcome.result)
    return outcome


async def _returned(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return await coroutine


async def _awaited(work: Callable[..., Any], *arguments: Any) -> Outcome:
    try:
        return Outcome(await work(*arguments), None)
    except (
        BaseException
    ) as failure:  # a cancellation at the deadline too: nobody waits for it any more
        return Outcome(None, failure)


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
