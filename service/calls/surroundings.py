"""What the function has around its calls, judged once: `lifespan`, `around` and `middlewares`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

import msgspec

from ..errors import StartError
from .callables import check_takes, parameters_of, place_of
from .function import Function
from .imports import Wanted

LIFESPAN_FORM = "write `async def lifespan(context)` with one `yield`, at which calls are served"
AROUND_FORM = "write `async def around(call)` with one `yield`, at which the call runs"
MIDDLEWARE_FORM = "write `@web.middleware` of aiohttp above `async def name(request, handler)`"

APPLICATIONS = {"app", "application"}
"""What the first parameter of a web framework's lifespan is called."""


class Surrounding(msgspec.Struct, frozen=True):
    """How something of that name in the handler's module is known, and what it must be."""

    check: Callable[[Wanted, Any, ModuleType], Any]
    """Returns what is served with. Raises StartError."""
    is_candidate: Callable[[Any], bool]
    """Returns whether it may be one, if no setting names it."""
    is_meant: Callable[[Any], bool]
    """Returns whether it is certainly meant to be one: then it must be right."""


def check_lifespan(wanted: Wanted, found: Any, home: ModuleType) -> Function:
    """Return a lifespan: an async generator function, or what makes async context managers.

    Raises StartError that says how to write it.
    """
    if inspect.isclass(found):
        if not hasattr(found, "__aenter__"):
            raise StartError(
                f"{wanted} is a class without `__aenter__` and `__aexit__`; {LIFESPAN_FORM}"
            )
        return Function(wanted.name, found, "sync")
    function = _checked_generator(wanted, found, home, LIFESPAN_FORM)
    if inspect.isgeneratorfunction(inspect.unwrap(found)):
        raise StartError(
            f"{wanted}: {place_of(found, home)} is a generator without `async`; {LIFESPAN_FORM}"
        )
    check_takes(wanted, found, "(context)", home)
    return function


def check_around(wanted: Wanted, found: Any, home: ModuleType) -> Function:
    """Return what is around calls: a generator function, async or not, or what makes context
    managers. Raises StartError that says how to write it.
    """
    if inspect.isclass(found):
        if not (hasattr(found, "__aenter__") or hasattr(found, "__enter__")):
            raise StartError(f"{wanted} is a class and no context manager; {AROUND_FORM}")
        return Function(wanted.name, found, "sync")
    function = _checked_generator(wanted, found, home, AROUND_FORM)
    check_takes(wanted, found, "(call)", home)
    return function


def _checked_generator(wanted: Wanted, found: Any, home: ModuleType, form: str) -> Function:
    if not callable(found):
        raise StartError(f"{wanted} is {type(found).__name__}, not a function; {form}")
    code = inspect.unwrap(found)
    if inspect.iscoroutinefunction(code) or (inspect.isfunction(code) and not _yields(code)):
        raise StartError(f"{wanted}: {place_of(found, home)} never yields; {form}")
    return Function(wanted.name, found, "stream" if inspect.isasyncgenfunction(found) else "sync")


def check_middlewares(wanted: Wanted, found: Any, home: ModuleType) -> tuple[Any, ...]:
    """Return middlewares of aiohttp's. Raises StartError for what is none, and says which."""
    if not isinstance(found, list | tuple):
        raise StartError(f"{wanted} is {type(found).__name__}, not a list of middlewares")
    for number, each in enumerate(found, 1):
        if not (callable(each) and _is_marked(each)):
            name = getattr(each, "__name__", None) or type(each).__name__
            raise StartError(f"{wanted}: number {number}, {name}, is none; {MIDDLEWARE_FORM}")
    return tuple(found)


def _is_marked(found: object) -> bool:
    # What `web.middleware` leaves on a function, and `web.Application` looks for.
    return getattr(found, "__middleware_version__", None) == 1


def _are_marked(found: object) -> bool:
    each = found if isinstance(found, list | tuple) else [found]
    return any(_is_marked(one) or parameters_of(one) == ("request", "handler") for one in each)


def _are_functions(found: object) -> bool:
    if isinstance(found, list | tuple):
        return bool(found) and all(map(callable, found))
    return _are_marked(found)


def _yields(code: Any) -> bool:
    return inspect.isasyncgenfunction(code) or inspect.isgeneratorfunction(code)


def _takes(name: str) -> Callable[[Any], bool]:
    return lambda found: parameters_of(found)[:1] == (name,)


def _may_be_lifespan(found: Any) -> bool:
    return callable(found) and not APPLICATIONS & set(parameters_of(found)[:1])


def _may_be_around(found: Any) -> bool:
    return callable(found) and (_yields(inspect.unwrap(found)) or _takes("call")(found))


SURROUNDINGS = {
    "lifespan": Surrounding(check_lifespan, _may_be_lifespan, _takes("context")),
    "around": Surrounding(check_around, _may_be_around, _takes("call")),
    "middlewares": Surrounding(check_middlewares, _are_functions, _are_marked),
}
"""Each by its setting, which is also its name in the handler's module."""
