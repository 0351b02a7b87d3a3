"""What stands in a line beside its message."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.context.plain import plain_fields
from service.logs.details import Details, LoggedFailure
from service.logs.lines import FORMATS, json_lines, text_lines
from service.protocol import MAX_LOG_LINE
from tests.assembly import untimed

FAILURE = LoggedFailure("KeyError", "'x'", ["Traceback (most recent call last):", "KeyError: 'x'"])


def text(message: str, **details: Any) -> list[str]:
    """The text lines of a message, without their time."""
    lines = text_lines("r1", "INFO", message, Details(**details)).decode()
    return untimed(lines.split("\n")[:-1])


def entry(message: str, **details: Any) -> dict[str, Any]:
    """The JSON line of a message, without its time."""
    line = json_lines("r1", "INFO", message, Details(**details)).decode()
    pairs = json.loads(line, object_pairs_hook=list)
    value = dict(pairs)
    assert len(value) == len(pairs), "a name is there once"
    value.pop("time")
    return value


def test_fields_stand_behind_the_message_in_text() -> None:
    """The line's own behind its last line, the call's behind each of its lines; quoted if there is
    need.
    """
    extra = {"n": 7, "b": True, "none": None, "s": "two words", "e": "", "m": {"a": [1]}, "a=b": 1}
    assert text("paid", extra=extra) == [
        'r1 [INFO] paid n=7 b=true none=null s="two words" e="" m={"a":[1]} "a=b"=1'
    ]
    assert text("one\ntwo", bound={"order": 7}, extra={"n": 1}, failure=FAILURE) == [
        "r1 [INFO] one order=7",
        "r1 [INFO] two n=1 order=7",
        "r1 [INFO] Traceback (most recent call last): order=7",
        "r1 [INFO] KeyError: 'x' order=7",
    ]


def test_json_has_fields_ids_and_the_failure() -> None:
    """Each under its name."""
    ids = {"traceId": "t", "spanId": "s"}
    shown = entry("paid", logger="app", bound={"a": 1}, extra={"b": [2]}, ids=ids, failure=FAILURE)
    assert shown == {
        "level": "INFO",
        "logger": "app",
        "requestId": "r1",
        "message": "paid",
        "a": 1,
        "b": [2],
        "traceId": "t",
        "spanId": "s",
        "errorType": "KeyError",
        "errorMessage": "'x'",
        "stack": FAILURE.stack,
    }


def test_names_that_collide_get_a_prefix() -> None:
    """Nothing takes the place of the line's own parts, or of another field."""
    ids = {"traceId": "t"}
    bound = {"level": 1, "order": 2, "traceId": 3}
    shown = entry(
        "m", bound=bound, extra={"order": 4, "time": 5, "stack": 6, "bound_level": 7}, ids=ids
    )
    assert shown == {
        **{"level": "INFO", "logger": "fc_event_service", "requestId": "r1", "message": "m"},
        **{"bound_level": 1, "order": 2, "bound_traceId": 3},
        **{"extra_order": 4, "extra_time": 5, "stack": 6, "extra_bound_level": 7},
        "traceId": "t",
    }
    assert text("m", bound=bound, ids=ids) == ["r1 [INFO] m bound_level=1 order=2 bound_traceId=3"]


NAMES = st.text(st.characters()) | st.sampled_from(["time", "message", "stack", "a b", "a=b", "\n"])
VALUES = st.text(st.characters()) | st.integers() | st.lists(st.text(st.characters()))


@given(
    st.dictionaries(NAMES, VALUES),
    st.dictionaries(NAMES, VALUES),
    st.sampled_from(sorted(FORMATS)),
    st.sampled_from([None, FAILURE]),
)
def test_no_field_can_forge_a_line(
    bound: dict[str, Any], extra: dict[str, Any], log_format: str, failure: LoggedFailure | None
) -> None:
    """Whatever names and values are, each line is the service's, with all fields in it."""
    details = Details("app", plain_fields(bound), plain_fields(extra), {}, failure)
    lines = FORMATS[log_format]("r1", "INFO", "message", details).decode()
    assert lines.endswith("\n")
    told = lines[:-1].split("\n")
    for line in told:
        assert not re.search("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]", line)
    if log_format == "json":
        (line,) = told
        pairs = json.loads(line, object_pairs_hook=list)
        assert len(dict(pairs)) == len(pairs) == 5 + len(bound) + len(extra) + 3 * bool(failure)
    else:
        assert len(told) == (3 if failure else 1)


@pytest.mark.parametrize("log_format", sorted(FORMATS))
@pytest.mark.parametrize("character", ["a", "é", "\x01", '"', "\udc9b"])
def test_a_line_with_much_in_it_is_cut_and_says_so(log_format: str, character: str) -> None:
    """No line is over 32 KB, whatever is long in it, and JSON stays JSON."""
    many = plain_fields({f"{character}{number}": character * 5_000 for number in range(50)})
    failure = LoggedFailure("E", character * 100_000, [character * 3_000] * 100)
    details = Details(bound=many, extra=many, failure=failure)
    for message in ("short", character * 100_000):
        told = FORMATS[log_format]("r1", "INFO", message, details)
        for line in told.splitlines():
            assert len(line) < MAX_LOG_LINE
        assert b"fieldsCut" in told
        if log_format == "json":
            value = json.loads(told)
            assert value["message"][:5] == ("short" if message == "short" else value["message"][:5])
            assert value["stack"][0].startswith("... [cut: ")
            assert "[cut: " in value["errorMessage"]
