"""What each failure says on the wire."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from service import errors
from service.errors import HandlerFailed, MethodNotAllowed, Overloaded, ServiceError, text_of


def every(kind: type[ServiceError]) -> Iterator[type[ServiceError]]:
    """The class and all below it."""
    yield kind
    for child in kind.__subclasses__():
        yield from every(child)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("FunctionTimeout", 404),
        ("InitializationError", 404),
        ("InvalidEvent", 400),
        ("UnserializableResult", 404),
        ("BatchFailed", 404),
        ("PayloadDiffers", 400),
        ("PayloadUnhashable", 404),
        ("OnceStoreFailed", 404),
        ("ResultNotKept", 404),
        ("ClientUnavailable", 404),
        ("ParameterUnavailable", 404),
        ("PayloadTooLarge", 413),
        ("RequestTimeout", 408),
        ("Overloaded", 429),
        ("Stopping", 404),
        ("BadRequest", 400),
        ("NotAnEventFunction", 400),
        ("MethodNotAllowed", 405),
        ("NotFound", 404),
    ],
)
def test_each_failure_has_the_status_and_code_of_the_contract(name: str, status: int) -> None:
    """A failure's code is its name, and its status is the one that the design lists."""
    kind = getattr(errors, name)
    assert (kind.code, kind.status) == (name, status)


def test_no_failure_answers_with_a_server_error() -> None:
    """No status is 5xx: a 500 on a hook restarts the instance."""
    assert {kind.status for kind in every(ServiceError)} <= {
        400,
        404,
        405,
        408,
        413,
        414,
        417,
        429,
        431,
    }


def test_a_head_that_cannot_be_trusted_ends_its_connection() -> None:
    """After a failure of framing nothing more is read from the connection."""
    closing = {kind.__name__ for kind in every(ServiceError) if kind.closes}
    assert closing == {
        "BadFraming",
        "ClientGone",
        "FieldsTooLarge",
        "PayloadTooLarge",
        "RequestTimeout",
        "TargetTooLong",
    }


def test_a_refused_method_names_those_that_are_taken() -> None:
    """A 405 brings `Allow`."""
    failure = MethodNotAllowed("no", ("GET", "POST"))
    assert failure.headers == (("Allow", "GET, POST"),)
    assert str(failure) == "no"


def test_a_refusal_for_want_of_room_says_when_to_come_back() -> None:
    """A 429 brings `Retry-After`."""
    assert Overloaded.headers == (("Retry-After", "1"),)


def test_a_failed_handler_is_called_by_its_exceptions_class() -> None:
    """The code on the wire is the class name of what the handler raised."""

    class OrderRefused(Exception):
        pass

    failure = HandlerFailed(OrderRefused("no stock"))
    assert (failure.code, str(failure)) == ("OrderRefused", "no stock")


def test_an_exception_without_a_text_is_told_all_the_same() -> None:
    """A `__str__` that raises does not hide the failure."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise SystemExit

    assert text_of(Mute()) == "<no text: Mute.__str__ raised SystemExit>"
