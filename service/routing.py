"""Several handlers for the several triggers of one function: `Router`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, overload

from .calls.routes import ADD_HANDLER, DEFAULT, TypedHandler
from .context.call import Context
from .errors import StartError

RoutedT = TypeVar("RoutedT")
GivenT = TypeVar("GivenT")
HandlerT = TypeVar("HandlerT", bound=Callable[..., Any])


class Router:
    """The handler of a function with several triggers: each function that it decorates gets the
    events of one type, decoded and checked.

        on = Router()


        @on(OssEvent)
        async def uploaded(event: OssEvent, context): ...


        @on(TimerEvent)
        def report(event: TimerEvent, context): ...


        handler = on

    Each runs as its kind, an async function on the loop, a plain one in a thread. An event that no
    type takes goes to the function below `@on.default`, decoded as its annotation says, and is
    InvalidEvent if there is none.
    """

    def __init__(self) -> None:
        self.__event_routes__: list[TypedHandler] = []

    @overload
    def __call__(
        self, kind: type[RoutedT], /
    ) -> Callable[[Callable[[RoutedT, Context], GivenT]], Callable[[RoutedT, Context], GivenT]]: ...

    @overload
    def __call__(self, *kinds: Any) -> Callable[[HandlerT], HandlerT]: ...

    def __call__(self, *kinds: Any) -> Any:
        """Return a decorator for the handler of these types: those of `service.events`, your own,
        a union of them. It returns the handler as it is.

        Raises StartError without a type. Whatever else is wrong is said at the start.
        """
        if not kinds or any(_is_function(kind) for kind in kinds):
            raise StartError(f"a Router's handler needs the type of its event: {ADD_HANDLER}")
        if any(isinstance(kind, Context) for kind in kinds):
            raise TypeError(
                "a Router is called by the service alone: decorate its handlers instead"
            )

        def register(handler: HandlerT) -> HandlerT:
            for kind in kinds:
                self._add(kind, handler)
            return handler

        return register

    def default(self, handler: HandlerT) -> HandlerT:
        """Have this handler called for what no other takes; it is returned as it is."""
        self._add(DEFAULT, handler)
        return handler

    def _add(self, kind: Any, handler: Any) -> None:
        if not self.__event_routes__:
            # Its module is where hooks are looked for if the Router is given as an object.
            self.__module__ = getattr(handler, "__module__", None) or self.__module__
        self.__event_routes__.append(TypedHandler(kind, handler))


def _is_function(kind: Any) -> bool:
    return inspect.isroutine(kind) or isinstance(kind, Router)
