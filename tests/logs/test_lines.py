"""The form of a log line."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.logs.lines import FORMATS, json_lines, plain_line, stamp, text_lines
from service.protocol import MAX_LOG_LINE
from tests.assembly import STAMP, untimed


def test_the_time_is_utc_with_milliseconds() -> None:
    """Stamps have the platform's form."""
    assert stamp(1479791615.9209) == "2016-11-22T05:13:35.920Z"
    assert stamp(1479791615.0625) == "2016-11-22T05:13:35.062Z"
    assert stamp(0.0) == "1970-01-01T00:00:00.000Z"
    assert re.fullmatch(STAMP.pattern.rstrip(), stamp())


def test_a_text_line_has_the_platforms_form() -> None:
    """Time, request id, level, message; each line of a message is a line of its own."""
    lines = text_lines("r1", "INFO", "one\n\ttwo é").decode().split("\n")
    assert untimed(lines[:-1]) == ["r1 [INFO] one", "r1 [INFO] \ttwo é"]
    assert lines[-1] == ""


def test_a_json_line_has_the_same_parts() -> None:
    """A message is one JSON line, whatever is in it."""
    line = json_lines("r1", "INFO", "one\ntwo \udc9b")
    value = json.loads(line)
    assert value.pop("time").endswith("Z")
    assert value == {
        "level": "INFO",
        "logger": "fc_event_service",
        "requestId": "r1",
        "message": "one\\ntwo \\udc9b",
    }
    assert json.loads(json_lines("r1", "INFO", "one\ntwo"))["message"] == "one\ntwo"


@given(st.text(st.characters()), st.sampled_from(sorted(FORMATS)))
def test_no_message_can_forge_a_line(message: str, log_format: str) -> None:
    """Whatever is written, each line is the service's, and no control character is in it."""
    lines = FORMATS[log_format]("r1", "INFO", message)
    text = lines.decode()
    assert text.endswith("\n")
    expected = message.count("\n") + 1 if log_format == "text" else 1
    assert len(text.split("\n")) == expected + 1
    for line in text.split("\n")[:-1]:
        assert not re.search("[\x00-\x08\x0a-\x1f\x7f\u2028\u2029]", line) or log_format == "json"
        assert json.loads(line) if log_format == "json" else "r1 [INFO] " in line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 中", "plain é 中"),
        ("a\tb", "a\tb"),
        ("a\rb", "a\\rb"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\x00\x85\u2028\udc9b", "a\\x00\\x85\\u2028\\udc9b"),
    ],
)
def test_control_characters_are_shown(text: str, shown: str) -> None:
    """What could move a terminal's cursor or end a line is escaped."""
    assert plain_line(text) == shown


@pytest.mark.parametrize("log_format", sorted(FORMATS))
@pytest.mark.parametrize(
    "message",
    [
        "a" * 40_000,
        "é" * 20_000,
        "😀" * 10_000,
        "\x01" * 10_000,
        '"' * 40_000,
        "\udc9b" * 9_000,
        "\x01" * 9_000 + "a" * 100_000,
        "a" * 100_000 + "\x01" * 9_000,
    ],
    ids=["ascii", "two", "four", "control", "quotes", "surrogates", "front", "back"],
)
def test_a_long_line_is_cut_and_says_so(log_format: str, message: str) -> None:
    """No line is over 32 KB; a cut one is whole in its encoding, and JSON stays JSON."""
    line = FORMATS[log_format]("r1", "INFO", message)
    assert len(line) <= MAX_LOG_LINE
    assert len(line) > MAX_LOG_LINE // 2
    text = json.loads(line)["message"] if log_format == "json" else line.decode()
    assert re.search(r"\.\.\. \[cut: the (line|message) had \d+ (bytes|characters)\]\n?$", text)


@pytest.mark.parametrize("log_format", sorted(FORMATS))
def test_a_line_of_the_limit_is_left_alone(log_format: str) -> None:
    """Up to 32 KB nothing is cut."""
    assert b"[cut" not in FORMATS[log_format]("r1", "INFO", "a" * 32_000)
