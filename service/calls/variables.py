"""What the function sets in context variables before the calls: each call begins with it.

A call runs in a context of its own, and what it sets there no other call sees. The module's import
and the initializer come before all calls; their contexts are left when they end, so what they have
set is carried over.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from functools import partial, wraps
from inspect import iscoroutine
from typing import Any

from msgspec.structs import replace

from ..context.call import OF_ONE_CALL
from .function import HOOKS, Handlers


class Inherited:
    """The context variables that calls and hooks begin with."""

    def __init__(self) -> None:
        """Begin with those that are set here, as the import has left them."""
        self.values: dict[ContextVar[Any], Callable[[], Any]] = {}
        self.take(Context())

    def enter(self) -> None:
        """Let the call that begins here have them."""
        for variable, value in self.values.items():
            variable.set(value())

    def by_hooks(self, handlers: Handlers) -> Handlers:
        """Return the handlers with hooks that begin with them, and an initializer that adds to
        them.
        """
        hooks = {name: getattr(handlers, name) for name in HOOKS}
        return replace(
            handlers,
            **{
                name: replace(hook, call=self._around(hook.call, adds=name == "initializer"))
                for name, hook in hooks.items()
                if hook is not None
            },
        )

    def _around(self, call: Callable[..., Any], *, adds: bool) -> Callable[..., Any]:
        @wraps(call)
        def begin(*arguments: Any) -> Any:
            self.enter()
            before = copy_context()
            result = call(*arguments)
            if not adds:
                return result
            if iscoroutine(result):
                return self._finish(result, before)
            self.take(before)
            return result

        return begin

    async def _finish(self, work: Coroutine[Any, Any, Any], before: Context) -> Any:
        result = await work
        self.take(before)
        return result

    def take(self, before: Context) -> None:
        """Have calls begin with what is set here and was not, or was another thing, before."""
        for variable, value in copy_context().items():
            if variable in OF_ONE_CALL:
                continue
            if _is_shared(value):
                self.values[variable] = value.copy().copy  # as it is now
            elif before.get(variable, _UNSET) is not value:
                self.values[variable] = partial(_same, value)


_UNSET = object()


def _is_shared(value: object) -> bool:
    """Return whether calls change the value in place: decimal's `getcontext().prec = 50` does."""
    return "decimal" in sys.modules and isinstance(value, sys.modules["decimal"].Context)


def _same(value: Any) -> Any:
    return value
