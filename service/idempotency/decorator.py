"""`once`: a handler that runs once for each key."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial, wraps
from typing import Any, Literal
from weakref import WeakKeyDictionary

from ..calls.callables import full_name, judge_kind, read_signature
from .claims import OnceAttempt, RunHandler, answer_of
from .entries import KeptEntry
from .keys import SelectValue, digest_of, key_text, selector
from .rules import OnceRules
from .stores import OnceStore
from .thread_work import ThreadWork

Decorated = Callable[..., Coroutine[Any, Any, bytes]]
METHODS = ("claim", "renew", "settle", "release")
LONGEST_NAME = 200
"""Characters of `name`."""


def once(
    *,
    key: str | SelectValue,
    store: OnceStore,
    expires: float = 24 * 3600.0,
    lease: float = 30.0,
    payload: str | SelectValue | None = "$",
    keep_failures: bool | tuple[type[Exception], ...] = False,
    on_store_error: Literal["fail", "run"] = "fail",
    max_result: int = 1024 * 1024,
    store_timeout: float = 5.0,
    name: str = "",
) -> Callable[[Callable[..., Any]], Decorated]:
    """Handle an event once, however often it is sent: `@once(key="$.order_id", store=...)` on a
    handler, or on a function of a record and a context.

    The first of the calls with a key runs; the others get its result, in the same bytes, from the
    call that runs or from the store, for `expires` seconds. A failure is kept if it is of one of
    the classes `keep_failures` (True: of any); else the next call runs. A claim ends `lease`
    seconds after its process was killed. `payload` is what is to be the same in all events with a
    key, None for nothing. `on_store_error` says whether a call fails or runs if the store cannot be
    used. A result over `max_result` bytes is not kept. `name` stands in the store in the place of
    the names of function and handler.

    What it returns is an async function that returns bytes. Raises ValueError for a value that is
    not allowed, StartError for what is no handler.
    """
    select = selector("key", key)
    compared = None if payload is None else _compared(payload)
    kept = (Exception,) if keep_failures is True else keep_failures or ()
    rules = OnceRules(name, store, expires, lease, kept, on_store_error, max_result, store_timeout)
    _check(rules)

    def decorate(function: Callable[..., Any]) -> Decorated:
        named = replace(rules, name=name or full_name(function)[-LONGEST_NAME:])
        return _decorated(function, OnceCalls(named, select, compared, is_named=bool(name)))

    return decorate


def _compared(payload: str | SelectValue) -> SelectValue:
    """Return what takes the part out of an event that is compared: all of it, JSON or not."""
    return (lambda event: event) if payload == "$" else selector("payload", payload)


def _check(rules: OnceRules) -> None:
    store, name = rules.store, rules.name
    missing = [each for each in METHODS if not callable(getattr(store, each, None))]
    if inspect.isclass(store) or missing:
        raise ValueError(
            f"store is what keeps results, MemoryStore() for example, with {', '.join(METHODS)}:"
            f" {store!r}"
        )
    if len(name) > LONGEST_NAME or not name.isprintable() or not name.isascii():
        raise ValueError(f"name has up to {LONGEST_NAME} ASCII characters: {name[:80]!r}")
    for what in ("expires", "lease", "store_timeout"):
        value = getattr(rules, what)
        if not 0 < value < float("inf"):
            raise ValueError(f"{what} is a number of seconds above 0, not {value!r}")
    if rules.on_store_error not in ("fail", "run"):
        raise ValueError(f"on_store_error is 'fail' or 'run', not {rules.on_store_error!r}")


def _decorated(function: Callable[..., Any], calls: OnceCalls) -> Decorated:
    kind = judge_kind("@once", function)
    if kind == "stream":
        raise TypeError("@once: return the result whole, and write no async generator")

    @wraps(function)
    async def handle_once(*arguments: Any, **named: Any) -> bytes:
        work: RunHandler = partial(function, *arguments, **named)
        if kind == "sync":
            work = ThreadWork(function, arguments, named)
        event, context = _event_of(function, arguments, named)
        return await calls.run(event, context, work)

    handle_once.__signature__ = read_signature(function)  # type: ignore[attr-defined]
    return handle_once


def _event_of(
    function: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]
) -> tuple[Any, Any]:
    """Return the event and the context: the last two that a function is called with, behind `self`
    for example; a single one is the event.
    """
    if named:
        arguments = tuple(read_signature(function).bind(*arguments, **named).arguments.values())
    if len(arguments) < 2:
        return arguments[0] if arguments else None, None
    return arguments[-2], arguments[-1]


class OnceCalls:
    """The calls of one decorated function that run in this process."""

    def __init__(
        self, rules: OnceRules, select: SelectValue, compared: SelectValue | None, *, is_named: bool
    ) -> None:
        self._rules = rules
        self._select = select
        self._compared = compared
        self._is_named = is_named
        self._here: WeakKeyDictionary[
            asyncio.AbstractEventLoop, dict[str, asyncio.Future[KeptEntry | None]]
        ] = WeakKeyDictionary()
        """What the calls of an event loop wait for, by key."""

    async def run(self, event: Any, context: Any, work: RunHandler) -> bytes:
        """Return the answer to an event: that of `work`, or that of another call with its key."""
        key = f"once:{self._name(context)}:{key_text(self._select(event))}"
        digest = "" if self._compared is None else digest_of(self._compared(event))
        here = self._here.setdefault(asyncio.get_running_loop(), {})
        while (first := here.get(key)) is not None:
            await asyncio.wait((first,))
            if (answered := first.result()) is not None:
                return answer_of(self._rules, answered, digest, "waited")
        by = getattr(context, "request_id", "")
        attempt = OnceAttempt(self._rules, key, digest, by if isinstance(by, str) else "")
        here[key] = first = asyncio.get_running_loop().create_future()
        try:
            return await attempt.answer(work)
        finally:
            del here[key]
            first.set_result(attempt.answered)

    def _name(self, context: Any) -> str:
        if self._is_named:
            return self._rules.name
        function = getattr(getattr(context, "function", None), "name", "")
        return f"{function}:{self._rules.name}" if isinstance(function, str) else self._rules.name
