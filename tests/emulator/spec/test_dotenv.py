"""`.env` files, in the forms that npm's dotenv and dotenv-expand take."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.emulator.spec.dotenv import parse_dotenv, variables_of_file

LINES: dict[str, tuple[str, dict[str, str]]] = {
    "plain": ("A=b", {"A": "b"}),
    "spaces": ("  A = b c  ", {"A": "b c"}),
    "exported": ("export A=b", {"A": "b"}),
    "a colon": ("A: b", {"A": "b"}),
    "a comment": ("# A=b\nC=d # e", {"C": "d"}),
    "a comment's sign in quotes": ("A='b # c'", {"A": "b # c"}),
    "single quotes": ("A='b\\n'", {"A": "b\\n"}),
    "double quotes": ('A="b\\nc"', {"A": "b\nc"}),
    "several lines": ('A="b\nc"\nD=e', {"A": "b\nc", "D": "e"}),
    "nothing": ("A=\nB=c", {"A": "", "B": "c"}),
    "the last counts": ("A=1\nA=2", {"A": "2"}),
    "lines of Windows": ("A=b\r\nC=d\r\n", {"A": "b", "C": "d"}),
    "no assignment": ("what is this\n=x\nA=b", {"A": "b"}),
    "an equals sign in the value": ("A=b=c", {"A": "b=c"}),
}


@pytest.mark.parametrize(("text", "found"), LINES.values(), ids=LINES)
def test_assignments_are_read(text: str, found: dict[str, str]) -> None:
    """Every form that people write, and what is none is passed over."""
    assert parse_dotenv(text) == found


def test_what_is_set_already_stays(tmp_path: Path) -> None:
    """The environment wins over files, and the first file over the second."""
    for folder, text in (("a", "X=1\nY=1\n"), ("b", "X=2\nY=2\nZ=2\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / ".env").write_text(text)
    found = variables_of_file([tmp_path / "none", tmp_path / "a", tmp_path / "b"], {"X": "0"})
    assert found == {"X": "0", "Y": "1", "Z": "2"}


def test_variables_within_values_are_replaced(tmp_path: Path) -> None:
    """By those before it, the environment, or the default."""
    (tmp_path / ".env").write_text(
        "A=a\nB=$A-${A}-${HERE}-${NOWHERE:-default}-$NOWHERE.\nC=\\$A costs \\$5\n"
    )
    found = variables_of_file([tmp_path], {"HERE": "here"})
    assert found["B"] == "a-a-here-default-."
    assert found["C"] == "$A costs $5"
