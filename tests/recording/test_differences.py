"""What differs between two results is told by its path."""

from __future__ import annotations

import pytest

from service.recording.differences import body_differences, line_differences


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (b'{"a": 1, "b": 2}', b'{"b":2,"a":1}', []),
        (b'{"a":{"b":[1,2]}}', b'{"a":{"b":[1,3]}}', ["$.a.b[1]: 2 -> 3"]),
        (b'{"a":1}', b'{"c":"x"}', ["$.a: 1 -> (not there)", '$.c: (not there) -> "x"']),
        (b"[1]", b"[1,null]", ["$[1]: (not there) -> null"]),
        (b'{"a b":1}', b'{"a b":true}', ['$["a b"]: 1 -> true']),
        (b"1", b"1.0", ["$: 1 -> 1.0"]),
        (b"[]", b"{}", ["$: [] -> {}"]),
        (b'"' + b"x" * 99 + b'"', b'""', ['$: "' + "x" * 59 + '... -> ""']),
        (b"plain text", b"plain next", ["byte 6: 'plain text' -> 'plain next' (10 -> 10 bytes)"]),
        (b"\x00\x01", b"\x00", [r"byte 1: '\x00\x01' -> '\x00' (2 -> 1 bytes)"]),
    ],
)
def test_bodies_differ_by_path(before: bytes, after: bytes, told: list[str]) -> None:
    """Values that are not there are told from null, numbers from truth; bytes by their place."""
    assert list(body_differences(before, after)) == told


def test_lines_differ_in_what_only_one_has() -> None:
    """Threads write in any order: that is no difference, another count is one."""
    before, after = ["a", "b", "b"], ["b", "a", "c"]
    assert list(line_differences(before, after)) == ["- b", "+ c"]
