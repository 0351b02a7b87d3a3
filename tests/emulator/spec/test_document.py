"""YAML as js-yaml reads it, and where its parts stand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from service.emulator.spec.document import Document, load_document
from service.errors import UsageError


def loaded(folder: Path, text: str) -> Document:
    """A file with the text."""
    (folder / "s.yaml").write_text(text, "utf-8", newline="")
    return load_document(folder / "s.yaml")


# What js-yaml 4 reads; the recorded cases compare with it.
FORMS: dict[str, tuple[str, Any]] = {
    "a tab after a colon": ("a:\tb", {"a": "b"}),
    "a tab before what is nested": ("a:\t\n  b: 1", {"a": {"b": 1}}),
    "a tab within text": ("a: b\tc", {"a": "b\tc"}),
    "a tab at a line's end": ("a: b\t\nc: d", {"a": "b", "c": "d"}),
    "a tab before a comment": ("a: b\t# c", {"a": "b"}),
    "a line of a tab": ("a: 1\n\t\nb: 2", {"a": 1, "b": 2}),
    "a tab in brackets": ("a: [b,\n\tc]", {"a": ["b", "c"]}),
    "a question mark in brackets": ("a: [0 0 4 ? * MON, b?c]", {"a": ["0 0 4 ? * MON", "b?c"]}),
    "text over lines": ("a: b\n  c\nd: e", {"a": "b c", "d": "e"}),
    "keys that are no text": ("80: a\ntrue: b\n1.5: c", {"80": "a", "true": "b", "1.5": "c"}),
    "numbers": ("a: [010, 0o10, 0x1F, 0b11, 1e3, 1_000]", {"a": [10, 8, 31, 3, 1000, "1_000"]}),
    "words": ("a: [yes, off, True, ~, 12:30]", {"a": ["yes", "off", True, None, "12:30"]}),
    "two merges": ("x: &x {a: 1}\nz: &z {b: 1}\ny:\n  <<: *x\n  <<: *z", None),
    "a byte order mark": ("\ufeffa: 1", {"a": 1}),
    "lines of Windows": ("a: 1\r\nb: |\r\n  c\r\n", {"a": 1, "b": "c\n"}),
    "the marks of one document": ("---\na: 1\n...\n", {"a": 1}),
}


@pytest.mark.parametrize(("text", "value"), FORMS.values(), ids=FORMS)
def test_yaml_is_what_serverless_devs_takes_for_it(tmp_path: Path, text: str, value: Any) -> None:
    """Where PyYAML and js-yaml differ, it is js-yaml's."""
    found = loaded(tmp_path, text).value
    assert found == value if value is not None else found["y"] == {"a": 1, "b": 1}


FAULTS: dict[str, tuple[str, str]] = {
    "a key twice": ("a: 1\nb: 2\na: 3", ":3:1: the key 'a' is there twice"),
    "a key twice, far inside": ("a:\n  - b: 1\n    b: 2", ":3:5: the key 'b' is there twice"),
    "indented by a tab": ("a:\n\tb: 1", ":2:1: found character '\\t' that cannot start any token"),
    "two documents": ("a: 1\n---\nb: 2", ":2:1: but found another document"),
    "no end": ("a: 'x", ":1:6: found unexpected end of stream"),
    "an alias of nothing": ("a: *b", ":1:4: found undefined alias 'b'"),
}


@pytest.mark.parametrize(("text", "told"), FAULTS.values(), ids=FAULTS)
def test_what_is_no_yaml_is_told_with_line_and_column(tmp_path: Path, text: str, told: str) -> None:
    """In the form that editors open: file, line, column."""
    with pytest.raises(UsageError, match=re.escape(f"s.yaml{told}")):
        loaded(tmp_path, text)


def test_bytes_that_are_no_text_are_told_with_line_and_column(tmp_path: Path) -> None:
    """The first of them is named."""
    (tmp_path / "s.yaml").write_bytes(b"a: 1\nb: \xff")
    with pytest.raises(UsageError, match=r"s\.yaml:2:4: is not UTF-8 text"):
        load_document(tmp_path / "s.yaml")


TEXT = """\
a: &a
  b: [1, {c: 2}]
  d: 3
e:
  <<: *a
  d: 4
"""
POSITIONS: dict[tuple[str | int, ...], tuple[int, str]] = {
    (): (0, "1:1"),
    ("a",): (1, "1:1"),
    ("a", "d"): (2, "3:3"),
    ("a", "b", 1): (3, "2:10"),
    ("a", "b", 1, "c"): (4, "2:11"),
    ("a", "b", 9): (2, "2:3"),
    ("a", "x", "y"): (1, "1:1"),
    ("e", "d"): (2, "6:3"),
    ("e", "b"): (2, "2:3"),
    ("nothing",): (0, "1:1"),
}


@pytest.mark.parametrize(("place", "position"), POSITIONS.items())
def test_a_place_has_the_position_of_its_key(
    tmp_path: Path, place: tuple[str | int, ...], position: tuple[int, str]
) -> None:
    """Or of the nearest thing above that is written; what is merged in stands where it was."""
    depth, text = position
    assert loaded(tmp_path, TEXT).position(place) == (depth, f"{tmp_path}/s.yaml:{text}")


def test_a_value_without_a_file_has_no_position(tmp_path: Path) -> None:
    """What a test gives as a mapping stands nowhere."""
    assert Document(tmp_path / "s.yaml", {"a": 1}).position(("a",)) == (0, "")
