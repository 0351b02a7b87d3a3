"""Several handlers of one function, each for a type of event: which one an event is for."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any, Final, NamedTuple

from ..errors import InvalidEvent, StartError
from .annotations import name_of, union_members
from .callables import check_takes, event_annotation, is_router, judge_kind, place_of
from .decode import decoder
from .function import Function
from .shapes import Decode, candidates_of, fitting
from .stream import takes_stream

DEFAULT: Final = object()
"""Stands in the place of a type: the handler gets what no other takes."""

OTHER_SHAPE: Final = "it has another shape"
ADD_HANDLER: Final = "write @on(OssEvent), for example, above a function, or @on.default"


class TypedHandler(NamedTuple):
    """One handler, and the type that was named for it, or DEFAULT."""

    kind: Any
    handler: Any


class RoutedEvent(NamedTuple):
    """An event, and the place of the one of `Function.routes` that it is for."""

    place: int
    event: Any


def routed(wanted: object, router: Any, home: ModuleType | None = None) -> Function:
    """Return the function that runs a router's handlers, each as its kind. Raises StartError for
    handlers that cannot be served, for two of one type and for none.
    """
    routes: Sequence[TypedHandler] = router.__event_routes__
    if not routes:
        raise StartError(f"{wanted}: the Router has no handlers: {ADD_HANDLER}")
    _refuse_twice(wanted, routes, home)
    functions = tuple(_function(wanted, route, home) for route in routes)
    return Function(
        str(getattr(wanted, "name", wanted)),
        router,
        "routed",
        _reader(routes, functions),
        functions,
    )


def _refuse_twice(wanted: object, routes: Sequence[TypedHandler], home: ModuleType | None) -> None:
    seen: list[tuple[Any, Any]] = []
    for kind, handler in routes:
        for each in union_members(kind) or (kind,):
            first = next((other for known, other in seen if known is each or known == each), None)
            if first is not None:
                raise StartError(
                    f"{wanted}: {_name(each)} has two handlers, {place_of(first, home)} and"
                    f" {place_of(handler, home)}: remove one, or let one call the other"
                )
            seen.append((each, handler))


def _function(wanted: object, route: TypedHandler, home: ModuleType | None) -> Function:
    kind, handler = route
    named = f"{wanted}: the handler of {_name(kind)}"
    if is_router(handler):
        raise StartError(f"{named} is a Router itself: let one Router have all handlers")
    how = judge_kind(named, handler, home)
    check_takes(named, handler, "(event, context)", home)
    annotation = event_annotation(named, handler, home) if kind is DEFAULT else kind
    if takes_stream(annotation):
        raise StartError(
            f"{named}: {place_of(handler, home)}: a Router reads the event before it knows whose it"
            " is: take it as bytes instead of an EventStream"
        )
    try:
        decode = decoder(annotation)
    except TypeError as reason:
        raise StartError(f"{named}: {place_of(handler, home)}: {reason}") from reason
    module = getattr(handler, "__module__", None) or type(handler).__module__
    name = getattr(handler, "__qualname__", type(handler).__qualname__)
    return Function(f"{module}.{name}", handler, how, decode)


def _reader(routes: Sequence[TypedHandler], functions: Sequence[Function]) -> Decode:
    """Return what finds the handler of a body and decodes it. Raises InvalidEvent, which names what
    was tried, if there is none.
    """
    readers = [_at(place, function.decode or bytes) for place, function in enumerate(functions)]
    members = [
        (each, read)
        for route, read in zip(routes, readers, strict=True)
        if route.kind is not DEFAULT
        for each in union_members(route.kind) or (route.kind,)
    ]
    candidates = candidates_of(members)
    default = next(
        (r for (kind, _), r in zip(routes, readers, strict=True) if kind is DEFAULT), None
    )

    def decode(body: bytes) -> RoutedEvent:
        reasons = dict.fromkeys((each.name for each in candidates), OTHER_SHAPE)
        for candidate in fitting(body, candidates):
            try:
                found: RoutedEvent = candidate.decode(body)
                return found
            except InvalidEvent as error:
                reasons[candidate.name] = str(error)
        if default is not None:
            try:
                fallback: RoutedEvent = default(body)
                return fallback
            except InvalidEvent as error:
                reasons[_name(DEFAULT)] = str(error)
        raise InvalidEvent("; ".join(f"{name}: {reason}" for name, reason in reasons.items()))

    return decode


def _at(place: int, read: Decode) -> Decode:
    return lambda body: RoutedEvent(place, read(body))


def _name(kind: Any) -> str:
    return "the default" if kind is DEFAULT else name_of(kind)
