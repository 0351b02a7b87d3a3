"""The log's lines: whose they are, as text or as JSON."""

from __future__ import annotations

import json
import re

from service.emulator.log import Log

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def test_a_line_of_text_says_whose_it_is() -> None:
    """Time, function, instance, request id; "-" where there is none."""
    lines: list[bytes] = []
    log = Log(lines.append)
    log.line("some text", function="fn", instance="c-1", request_id="1-a")
    log.line("other text")
    assert re.fullmatch(rf"{TIME} fn c-1 1-a some text\n", lines[0].decode())
    assert re.fullmatch(rf"{TIME} - - - other text\n", lines[1].decode())


def test_a_line_cannot_forge_another_one() -> None:
    """Control characters are escaped."""
    lines: list[bytes] = []
    Log(lines.append).line("a\r2026 fn c-1 - b\x1b[2J")
    assert lines[0].endswith(b" a\\r2026 fn c-1 - b\\x1b[2J\n")


def test_a_line_of_json_has_the_same_as_fields() -> None:
    """One object a line."""
    lines: list[bytes] = []
    Log(lines.append, as_json=True).line("some\ntext", function="fn", instance="c-1")
    entry = json.loads(lines[0])
    assert re.fullmatch(TIME, entry.pop("time"))
    assert entry == {"function": "fn", "instance": "c-1", "requestId": "", "text": "some\ntext"}
