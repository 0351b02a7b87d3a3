"""A project's folder is written as a whole, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from service.errors import UsageError
from service.projects.writing import write_project

FILES = {"index.py": b"x = 1\n", "tests/test_index.py": b""}


def test_all_files_are_there_with_the_modes_of_new_files(tmp_path: Path) -> None:
    """Others of the machine may read it as they may what an editor makes."""
    write_project(tmp_path / "f", FILES)
    (tmp_path / "made").mkdir()
    assert (tmp_path / "f" / "index.py").read_bytes() == b"x = 1\n"
    assert (tmp_path / "f").stat().st_mode == (tmp_path / "made").stat().st_mode
    assert sorted(os.listdir(tmp_path)) == ["f", "made"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    """`mkdir f` before it does no harm."""
    (tmp_path / "f").mkdir()
    write_project(tmp_path / "f", FILES)
    assert (tmp_path / "f" / "index.py").exists()


def test_what_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    """A folder with a file, a file, and a link that leads nowhere."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").touch()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("folder", "file", "link"):
        with pytest.raises(UsageError, match=f"{name} is there already: take another name"):
            write_project(tmp_path / name, FILES)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder", "link"]
    assert os.listdir(tmp_path / "folder") == ["mine"]


def test_a_folder_that_appears_meanwhile_is_left_as_it_is(tmp_path: Path) -> None:
    """The move into its place finds out."""

    def somebody_else(_: Path) -> None:
        (tmp_path / "f").mkdir()
        (tmp_path / "f" / "theirs").touch()

    with pytest.raises(UsageError, match="f is there already"):
        write_project(tmp_path / "f", FILES, somebody_else)
    assert os.listdir(tmp_path) == ["f"]
    assert os.listdir(tmp_path / "f") == ["theirs"]


@pytest.mark.parametrize("reason", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_midway_leaves_nothing(tmp_path: Path, reason: BaseException) -> None:
    """Neither the folder nor the one beside it in which it was being made."""

    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise reason

    with pytest.raises((UsageError, KeyboardInterrupt)):
        write_project(tmp_path / "f", FILES, fail)
    assert os.listdir(tmp_path) == []


def test_a_place_that_is_none_is_told(tmp_path: Path) -> None:
    """A folder above that is missing, and one that is a file."""
    with pytest.raises(UsageError, match="no folder to write f into: make it first"):
        write_project(tmp_path / "missing" / "f", FILES)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="no folder to write f into"):
        write_project(tmp_path / "file" / "f", FILES)


def test_a_place_that_refuses_is_told(tmp_path: Path) -> None:
    """/proc takes no new folder, whoever asks."""
    with pytest.raises(UsageError, match=r"/proc/f cannot be written \(.+\): nothing was"):
        write_project(Path("/proc/f"), FILES)


def test_of_two_at_once_one_writes_and_the_other_says_so(tmp_path: Path) -> None:
    """Both have begun before the first one is done; nothing of the second one is left."""

    def first(_: Path) -> None:
        write_project(tmp_path / "f", {"theirs": b""})

    with pytest.raises(UsageError, match="f is there already: take another name"):
        write_project(tmp_path / "f", FILES, first)
    assert os.listdir(tmp_path) == ["f"]
    assert os.listdir(tmp_path / "f") == ["theirs"]
