"""What a function has written around something, entered and left in one way: a generator, async or
not, or a context manager, async or not.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Generator
from typing import Any, Protocol

from ..calls import tracebacks


class Manager(Protocol):
    """What is entered, and left."""

    async def __aenter__(self) -> Any: ...

    async def __aexit__(self, kind: Any, failure: Any, places: Any) -> Any: ...


def manager_of(made: Any, name: str) -> Manager:
    """Return what enters and leaves what the function called `name` has made.

    Raises TypeError that says how to write it.
    """
    if hasattr(made, "__aenter__") and hasattr(made, "__aexit__"):
        manager: Manager = made
        return manager
    if isinstance(made, AsyncGenerator):
        return AsyncGenerated(made, name)
    if isinstance(made, Generator):
        return Generated(made, name)
    if hasattr(made, "__enter__") and hasattr(made, "__exit__"):
        return Plain(made)
    if inspect.iscoroutine(made):
        made.close()
    raise TypeError(
        f"{name} returned {type(made).__name__}, which is not a context manager: write"
        f" `async def` with one `yield`"
    )


def place_in(made: Any) -> str:
    """Return where a generator, or a context manager made of one, waits: " at FILE:LINE in
    FUNCTION" for a message, or "".
    """
    place = tracebacks.awaited_by(getattr(made, "gen", made))
    return f" at {place}" if place else ""


class YieldedOften(RuntimeError):
    """A generator yields once more than it should, or not at all."""


class AsyncGenerated:
    """An async generator with one `yield`."""

    def __init__(self, generator: AsyncGenerator[Any, Any], name: str) -> None:
        self.gen = generator
        self._name = name

    async def __aenter__(self) -> Any:
        try:
            return await anext(self.gen)
        except StopAsyncIteration:
            raise _never_yields(self._name) from None

    async def __aexit__(self, kind: Any, failure: BaseException | None, places: Any) -> bool:
        try:
            if failure is None:
                await anext(self.gen)
            else:
                await self.gen.athrow(failure)
        except StopAsyncIteration:
            return False
        except BaseException as reason:
            if reason is failure:
                return False
            raise
        place = place_in(self.gen)
        await self.gen.aclose()
        raise _yields_twice(self._name, place)


class Generated:
    """A generator with one `yield`."""

    def __init__(self, generator: Generator[Any, Any, Any], name: str) -> None:
        self.gen = generator
        self._name = name

    async def __aenter__(self) -> Any:
        try:
            return next(self.gen)
        except StopIteration:
            raise _never_yields(self._name) from None

    async def __aexit__(self, kind: Any, failure: BaseException | None, places: Any) -> bool:
        try:
            if failure is None:
                next(self.gen)
            else:
                self.gen.throw(failure)
        except StopIteration:
            return False
        except BaseException as reason:
            if reason is failure:
                return False
            raise
        self.gen.close()
        raise _yields_twice(self._name, "")


class Plain:
    """A context manager that does not wait."""

    def __init__(self, manager: Any) -> None:
        self._manager = manager

    async def __aenter__(self) -> Any:
        return self._manager.__enter__()

    async def __aexit__(self, *failure: object) -> Any:
        return self._manager.__exit__(*failure)


def _never_yields(name: str) -> YieldedOften:
    return YieldedOften(f"{name} never yields: it has ended before its one `yield`")


def _yields_twice(name: str, place: str) -> YieldedOften:
    return YieldedOften(f"{name} yields twice{place}: it has one `yield`, and ends behind it")
