"""The token, and the file in which it is kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from service.console.access import check_token, kept_token


def test_a_token_is_kept_for_the_next_start_where_nobody_else_can_read_it(tmp_path: Path) -> None:
    """The file is the user's alone."""
    file = tmp_path / "folder" / "console-token"
    token = kept_token(file)
    assert len(token) > 40
    assert file.stat().st_mode & 0o777 == 0o600
    assert kept_token(file) == token
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("content", ["", "short", "no good: it has spaces", "\xff" * 30, "x" * 30])
def test_a_token_that_others_may_know_or_that_is_none_is_made_anew(
    tmp_path: Path, content: str
) -> None:
    """The last one is good, but the file can be read by others."""
    file = tmp_path / "console-token"
    file.write_text(content, "latin-1")
    file.chmod(0o644 if content == "x" * 30 else 0o600)
    token = kept_token(file)
    assert token != content
    assert file.read_text().strip() == token
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_folder_that_takes_no_file_costs_the_token_and_not_the_console(tmp_path: Path) -> None:
    """The page is opened by a token that is good until the end."""
    (tmp_path / "file").touch()
    assert len(kept_token(tmp_path / "file" / "console-token")) > 40


def test_a_link_in_the_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    """What it leads to stays as it is."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    os.symlink(victim, file := tmp_path / "console-token")
    kept_token(file)
    assert victim.read_text() == "mine"


@pytest.mark.parametrize(
    "token", ["", "fifteen-letters", "x" * 20 + "&", "x" * 20 + "\n", "é" * 20]
)
def test_a_token_that_a_user_chooses_is_long_and_fits_into_an_address(token: str) -> None:
    """The refusal says how it is to be."""
    with pytest.raises(ValueError, match="at least 16"):
        check_token(token)
