"""Function Compute's rules, as pure functions."""

from __future__ import annotations

import re
import time

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import protocol
from service.protocol import INITIALIZE, INVOKE, PRE_FREEZE, PRE_STOP

FORM = re.compile(r"[A-Za-z0-9._:-]{1,128}")
IDS = st.from_regex(FORM, fullmatch=True)


def test_a_generated_id_has_the_platforms_form() -> None:
    """A new request id is `1-TIME-RANDOM-RANDOM`, and never the same twice."""
    began = int(time.time())
    one, other = protocol.new_request_id(), protocol.new_request_id()
    ended = time.time()
    found = re.fullmatch(r"1-([0-9a-f]{8})-[0-9a-f]{8}-[0-9a-f]{12}", one)
    assert found
    assert began <= int(found[1], 16) <= ended
    assert one != other


@given(IDS, st.lists(st.just("")))
def test_a_sound_id_is_taken_as_it_is(sent: str, empty: list[str]) -> None:
    """An id of the right form is used, however many empty or equal fields stand beside it."""
    assert protocol.request_id([*empty, sent, sent]) == (sent, "")


@given(st.lists(st.text()))
def test_any_fields_give_a_sound_id(sent: list[str]) -> None:
    """Whatever was sent, the id used is printable and short, and is the one sent or new."""
    used, why = protocol.request_id(sent)
    assert FORM.fullmatch(used)
    assert (used in sent) == (why == "")


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        ([], "no request id"),
        ([""], "no request id"),
        (["a", "b"], "two different request ids"),
        (["a" * 129], "over 128 characters"),
        (["a b"], "characters no id has"),
        (["a\n"], "characters no id has"),
        (["é"], "characters no id has"),
        (["\udc9b"], "characters no id has"),
    ],
)
def test_a_generated_id_says_why(sent: list[str], why: str) -> None:
    """Where an id is generated, the reason tells what was wrong with the one sent."""
    used, reason = protocol.request_id(sent)
    assert used not in sent
    assert why in reason


@pytest.mark.parametrize(
    ("header", "default", "margin", "limit"),
    [
        ("60", None, 0.2, 59.8),
        ("60", 5.0, 0.2, 59.8),
        ("", 5.0, 0.2, 4.8),
        ("", None, 0.2, None),
        ("0.2", None, 0.2, 0.1),
        ("1", None, 60.0, 0.5),
        ("-1", 5.0, 0.0, 5.0),
        ("0", 5.0, 0.0, 5.0),
        ("nan", 5.0, 0.0, 5.0),
        ("inf", None, 0.0, None),
        ("soon", None, 0.0, None),
    ],
)
def test_the_time_limit_is_the_headers_else_the_settings_less_a_margin(
    header: str, default: float | None, margin: float, limit: float | None
) -> None:
    """A header that is a positive number wins; at least half of the time is left to the call."""
    assert protocol.time_limit(header, default, margin) == limit


@given(st.text(), st.none() | st.floats(0.1, 86400), st.floats(0, 60))
def test_any_header_leaves_a_usable_limit(
    header: str, default: float | None, margin: float
) -> None:
    """No header makes a limit that is not a positive, finite number of seconds."""
    limit = protocol.time_limit(header, default, margin)
    assert limit is None or 0 < limit < float("inf")


@pytest.mark.parametrize(
    ("operation", "name", "path", "methods"),
    [
        (INVOKE, "Invoke", "/invoke", ("POST",)),
        (INITIALIZE, "Initialize", "/initialize", ("POST",)),
        (PRE_STOP, "PreStop", "/pre-stop", ("GET", "POST")),
        (PRE_FREEZE, "PreFreeze", "/pre-freeze", ("GET", "POST")),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_the_marker_lines_are_exact(
    operation: protocol.Operation, name: str, path: str, methods: tuple[str, ...]
) -> None:
    """Each operation has the platform's path, methods and log lines."""
    assert (operation.path, operation.methods) == (path, methods)
    assert protocol.OPERATIONS[path] is operation
    assert protocol.start_line(operation, "r") == f"FC {name} Start RequestId: r"
    assert protocol.end_line(operation, "r", failed=False) == f"FC {name} End RequestId: r"
    assert (
        protocol.end_line(operation, "r", failed=True)
        == f"FC {name} End RequestId: r, Error: Unhandled function error"
    )


def test_a_local_call_brings_the_platforms_headers() -> None:
    """The common headers name the call, the function and the limit; no limit is an empty field."""
    headers = protocol.common_headers("r", handler="index.handler", timeout=2.5)
    assert headers["x-fc-request-id"] == "r"
    assert headers["x-fc-control-path"] == "/invoke"
    assert headers["x-fc-function-handler"] == "index.handler"
    assert headers["x-fc-function-timeout"] == "2.5"
    other = protocol.common_headers("r", INITIALIZE, handler="h.h")
    assert other["x-fc-control-path"] == "/initialize"
    assert other["x-fc-function-timeout"] == ""


def test_an_error_has_the_built_in_runtimes_keys() -> None:
    """The error JSON has its four keys."""
    body = protocol.error_body("KeyError", "'x'", "r", [["a"]])
    assert orjson.loads(body) == {
        "errorMessage": "'x'",
        "errorType": "KeyError",
        "requestId": "r",
        "stackTrace": [["a"]],
    }


def test_a_long_message_is_cut_and_says_so() -> None:
    """An error's message is cut at 16,384 characters, with the number of those that are gone."""
    message = orjson.loads(protocol.error_body("E", "x" * 16390, "r", []))["errorMessage"]
    assert message == "x" * 16384 + "... [6 characters cut]"


@given(st.text(st.characters()), st.lists(st.lists(st.text(st.characters()))))
def test_any_failure_can_be_told(text: str, stack: list[list[str]]) -> None:
    """Lone surrogates in a message or a file name do not keep the answer from being JSON."""
    value = orjson.loads(protocol.error_body("E", text, "r", stack))
    shown = text.encode("utf-8", "backslashreplace").decode()
    assert value["errorMessage"] in (text, shown)
    assert len(value["stackTrace"]) == len(stack)
