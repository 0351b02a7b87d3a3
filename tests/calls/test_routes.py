"""The handler of several types of events is checked once, and each event finds its own."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service import EventStream, Router
from service.calls.function import Function
from service.calls.routes import RoutedEvent, routed
from service.errors import InvalidEvent, StartError
from service.events import CloudEvent, KafkaEvents, OssEvent, TimerEvent
from service.events.sample import names, sample


class Order(msgspec.Struct):
    number: int


async def uploaded(event: OssEvent, context: Any) -> str:
    return event.events[0].oss.object.key


def report(event: TimerEvent, context: Any) -> str:
    return event.payload


async def parts(event: KafkaEvents, context: Any) -> AsyncIterator[str]:
    yield str(len(event))


def other(event: bytes, context: Any) -> int:
    return len(event)


def three() -> Router:
    on = Router()
    on(OssEvent)(uploaded)
    on(TimerEvent)(report)
    on(KafkaEvents)(parts)
    return on


def decoded(function: Function, body: bytes) -> RoutedEvent:
    assert function.decode is not None
    found: RoutedEvent = function.decode(body)
    return found


def told(on: Any) -> str:
    """The one line that says why a Router cannot be served."""
    with pytest.raises(StartError) as caught:
        routed("handler 'index.handler'", on)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_each_handler_keeps_its_kind() -> None:
    """Each is run as what it is, under its own name."""
    function = routed("handler 'index.handler'", three())
    assert (function.kind, [each.kind for each in function.routes]) == (
        "routed",
        ["async", "sync", "stream"],
    )
    assert [each.name.rpartition(".")[2] for each in function.routes] == [
        "uploaded",
        "report",
        "parts",
    ]


@pytest.mark.parametrize(
    ("name", "place", "kind"),
    [("oss.put", 0, OssEvent), ("timer", 1, TimerEvent), ("kafka.strings", 2, KafkaEvents)],
)
def test_an_event_finds_the_handler_of_its_type(name: str, place: int, kind: type) -> None:
    """It is decoded as the type that was named."""
    found = decoded(routed("handler", three()), sample(name))
    assert (found.place, type(found.event)) == (place, kind)


def test_an_event_that_fits_none_names_what_was_tried() -> None:
    """Each type is named with what speaks against it."""
    function = routed("handler", three())
    with pytest.raises(InvalidEvent) as caught:
        decoded(function, b'{"events":[{"eventName":"x","oss":3}]}')
    assert str(caught.value) == (
        "OssEvent: $.events[0].oss: Expected `object`, got `int`; TimerEvent: it has another shape;"
        " KafkaEvents: it has another shape"
    )
    with pytest.raises(InvalidEvent, match="OssEvent: it has another shape; Timer"):
        decoded(function, b"hello")


def test_what_no_type_takes_is_the_defaults() -> None:
    """It is decoded as the default's annotation says; what does not fit that is told, too."""
    on = three()
    on.default(other)
    assert decoded(routed("handler", on), b"hello") == RoutedEvent(3, b"hello")
    typed = three()

    @typed.default
    def ordered(event: Order, context: Any) -> int:
        return event.number

    function = routed("handler", typed)
    assert decoded(function, b'{"number": 7}') == RoutedEvent(3, Order(7))
    with pytest.raises(InvalidEvent, match=r"another shape; the default: \$\.number: Expected"):
        decoded(function, b'{"number": "x"}')


def test_one_handler_has_several_types() -> None:
    """Types are named one by one or as a union, and types of one's own beside those of triggers."""
    on = Router()
    on(OssEvent, CloudEvent[Order])(uploaded)
    on(TimerEvent | Order)(report)
    function = routed("handler", on)
    own = b'{"id":"1","source":"s","type":"t","data":{"number":7}}'
    places = [decoded(function, each).place for each in (sample("oss.put"), own, b'{"number":1}')]
    assert places == [0, 1, 2]
    assert [each.call for each in function.routes] == [uploaded, uploaded, report]


def test_a_router_without_handlers() -> None:
    """It says how one is written."""
    assert told(Router()) == (
        "handler 'index.handler': the Router has no handlers: write @on(OssEvent), for example,"
        " above a function, or @on.default"
    )


@pytest.mark.parametrize("twice", [TimerEvent, TimerEvent | Order, None])
def test_two_handlers_of_one_type(twice: Any) -> None:
    """Both are named with file and line."""
    on = three()
    on.default(other)
    decorator: Callable[[Any], Any] = on.default if twice is None else on(twice)
    decorator(report)
    name = "the default" if twice is None else "TimerEvent"
    assert re.search(
        rf"{name} has two handlers, \S+test_routes.py line \d+ and \S+test_routes.py line \d+:"
        " remove one",
        told(on),
    )


NO_TYPES: dict[str, tuple[Any, str]] = {
    "a-number": (3, "an event cannot become 3: "),
    "a-name": ("OssEvent", "an event cannot become OssEvent: "),
    "an-object": (object(), "an event cannot become <object object"),
    "a-stream": (EventStream, "a Router reads the event before it knows whose it is"),
}


@pytest.mark.parametrize(("kind", "message"), NO_TYPES.values(), ids=NO_TYPES)
def test_what_is_no_type_is_refused(kind: Any, message: str) -> None:
    """It is told at the start, with the handler's file and line."""
    on = three()
    decorator: Callable[[Any], Any] = on(kind)
    decorator(other)
    assert message in told(on)
    assert "test_routes.py line" in told(on)


def test_a_handler_that_cannot_be_one() -> None:
    """What may not be a handler alone may not be one of several."""
    on = Router()
    on(TimerEvent)(lambda event: None)  # type: ignore[arg-type,misc] # it is what is tried
    assert "takes (event); a handler takes (event, context)" in told(on)
    on = Router()
    on(TimerEvent)(3)  # type: ignore[arg-type] # it is what is tried
    assert "the handler of TimerEvent is int, not a function" in told(on)
    on = three()
    on.default(three())
    assert "the handler of the default is a Router itself" in told(on)


@settings(max_examples=50)
@given(
    st.sampled_from(names()).map(sample)
    | st.binary()
    | st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).map(lambda value: json.dumps(value).encode())
)
def test_every_body_has_one_place_or_is_invalid(body: bytes) -> None:
    """With a default that takes all, all bodies have a place; it is the first that decodes them."""
    on = three()
    on(bytes)(other)
    function = routed("handler", on)
    place, event = decoded(function, body)
    assert event == function.routes[place].decode(body)  # type: ignore[misc] # none is a stream
