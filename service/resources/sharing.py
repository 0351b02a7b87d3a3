"""`shared`: a function whose result all calls share."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from types import MethodType
from typing import (
    Any,
    Generic,
    ParamSpec,
    Protocol,
    Required,
    TypedDict,
    TypeVar,
    Unpack,
    overload,
)
from weakref import WeakKeyDictionary

from ..calls.callables import awaits, full_name, read_signature
from ..calls.lifecycle import lifecycle_here
from ..calls.loops import entries_of
from ..context.call import RUNNING
from .fetches import fetched_in_thread
from .kept import KeptValues, ShareCounts, loop_is_here
from .rules import SharingRules, check_rules, key_of
from .share_figures import tell

P = ParamSpec("P")
T = TypeVar("T")


class SharedFunction(Generic[P, T]):
    """A function whose result all calls of this process share: `await` it, or call `result` in a
    plain handler. `shared` makes one.
    """

    def __init__(self, function: Callable[..., Any], rules: SharingRules) -> None:
        check_rules(rules, function)
        functools.update_wrapper(self, function)
        self.counts = ShareCounts()
        self._function = function
        self._rules = rules
        self._is_async = awaits(function)
        self._signature = _signature_of(function)
        self._kept: WeakKeyDictionary[asyncio.AbstractEventLoop, KeptValues] = WeakKeyDictionary()
        tell(rules.name, self.counts)

    async def __call__(self, *arguments: P.args, **named: P.kwargs) -> T:
        """Return the result for these arguments: a kept one, or that of the one fetch which runs
        for all who ask.

        Raises what the function raised, to all who wait for it; the next call tries again.
        """
        key = key_of(self._rules, self._signature, arguments, named)
        result: T = await self._here().get(key, lambda: self._run(arguments, named))
        return result

    def result(self, *arguments: P.args, **named: P.kwargs) -> T:
        """Return the same to a plain handler, whose thread waits for it until the call's deadline.

        Raises TimeoutError at the deadline, RuntimeError in async code, which awaits the function.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise RuntimeError(f"await {self._rules.name}() here: result() is for plain handlers")
        life = lifecycle_here()
        if life is None or life.loop is None:  # no service: a test calls the handler
            return _value_of(asyncio.run(_outcome(self, *arguments, **named)))
        waits = _outcome(self, *arguments, **named)
        future = asyncio.run_coroutine_threadsafe(waits, life.loop)
        context = RUNNING.get(None)
        try:
            outcome = future.result(None if context is None else context.remaining())
        except TimeoutError:
            raise TimeoutError(f"the call's deadline came before {self._rules.name}()") from None
        finally:
            future.cancel()
        return _value_of(outcome)

    def invalidate(self, *arguments: P.args, **named: P.kwargs) -> None:
        """Keep the result for these arguments no more; without arguments, none at all. Other
        workers keep theirs. Called from any thread.
        """
        whole = not arguments and not named
        key = None if whole else key_of(self._rules, self._signature, arguments, named)
        for loop, kept in entries_of(self._kept):
            forget = kept.forget_all if whole else functools.partial(kept.forget, key)
            if loop_is_here(loop):
                forget()
            else:
                with suppress(RuntimeError):  # it is closed
                    loop.call_soon_threadsafe(forget)

    def __get__(self, owner: object, kind: type | None = None) -> Any:
        """Be a method, where a class has one: `self` is an argument like others."""
        return self if owner is None else MethodType(self, owner)

    def __repr__(self) -> str:
        return f"<shared {self._rules.name}>"

    def _here(self) -> KeptValues:
        loop = asyncio.get_running_loop()
        kept = self._kept.get(loop)
        if kept is None:
            kept = self._kept.setdefault(loop, KeptValues(self._rules, self.counts))
        return kept

    async def _run(self, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if self._is_async:
            return await self._function(*arguments, **named)
        work = functools.partial(self._function, *arguments, **named)
        result = await fetched_in_thread(work, self._rules.name)
        # A plain function around an async one: what it has begun goes on here.
        return await result if inspect.iscoroutine(result) else result


class SharingOptions(TypedDict, total=False):
    """The options of `shared`, for type checkers."""

    ttl: Required[float]
    stale: float
    key: Callable[..., Hashable] | None
    timeout: float
    max_entries: int
    name: str


@overload
def shared(
    function: Callable[P, Awaitable[T]], /, **options: Unpack[SharingOptions]
) -> SharedFunction[P, T]: ...
@overload
def shared(
    function: Callable[P, T], /, **options: Unpack[SharingOptions]
) -> SharedFunction[P, T]: ...
@overload
def shared(function: None = None, /, **options: Unpack[SharingOptions]) -> ShareDecorator: ...
def shared(
    function: Callable[..., Any] | None = None,
    /,
    *,
    ttl: float,
    stale: float = 0.0,
    key: Callable[..., Hashable] | None = None,
    timeout: float = 60.0,
    max_entries: int = 1000,
    name: str = "",
) -> Any:
    """Let all calls share a function's result: `@shared(ttl=300)`. An async one runs on the event
    loop, a plain one in a thread; either is awaited.

    Any number of concurrent callers cause one fetch. Its result is kept `ttl` seconds. For `stale`
    seconds more it is still given to callers, while one fetch gets a new one, or fails. Results are
    kept by the arguments, or by what `key` returns for them; at most `max_entries`, the least
    recently used go first. A fetch that takes over `timeout` seconds has failed. Times are counted
    from when the fetch began, and go on while the instance is frozen.

    Each worker has its own results. `name` is what lines and `/metrics` call it, by default
    `module.function`.

    Raises TypeError for what cannot be shared, ValueError for a number that cannot be.
    """

    def share(wrapped: Callable[..., Any]) -> SharedFunction[..., Any]:
        rules = SharingRules(name or full_name(wrapped), ttl, stale, timeout, max_entries, key)
        return SharedFunction(wrapped, rules)

    return share if function is None else share(function)


class ShareDecorator(Protocol):
    """What `shared(ttl=...)` returns."""

    @overload
    def __call__(self, function: Callable[P, Awaitable[T]], /) -> SharedFunction[P, T]: ...
    @overload
    def __call__(self, function: Callable[P, T], /) -> SharedFunction[P, T]: ...


def _signature_of(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return read_signature(function)
    except (TypeError, ValueError):
        return None


async def _outcome(
    function: Callable[P, Awaitable[T]], *arguments: P.args, **named: P.kwargs
) -> tuple[T, None] | tuple[None, BaseException]:
    """Return what comes of calling it: a task that raised SystemExit would stop the loop."""
    try:
        return await function(*arguments, **named), None
    except asyncio.CancelledError:
        raise
    except BaseException as failure:
        return None, failure


def _value_of(outcome: tuple[T, None] | tuple[None, BaseException]) -> T:
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]
