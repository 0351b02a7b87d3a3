"""The zip of a code package."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from service.bundling import archive


def made(folder: Path, names: list[str]) -> Path:
    """A folder with files, written in this order."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        os.utime(path, (10_000 * number, 10_000 * number))
        path.chmod(0o700 if name == "bootstrap" else 0o600 + number)
    return folder


def zipped(folder: Path, file: Path) -> Path:
    """The zip of a folder."""
    archive.settle_files(folder)
    archive.write_zip(folder, file)
    return file


def test_the_same_files_make_the_same_bytes(tmp_path: Path) -> None:
    """Whatever their times, their order and the rights of who made them."""
    names = ["index.py", "bootstrap", "python/b/c.py", "python/a.py"]
    for number, order in enumerate((names, names[::-1])):
        zipped(made(tmp_path / str(number), order), tmp_path / f"{number}.zip")
    assert (tmp_path / "0.zip").read_bytes() == (tmp_path / "1.zip").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["0", "0.zip", "1", "1.zip"]


def test_an_archive_has_right_modes_and_a_fixed_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All may read, the start command can be run, and the time is SOURCE_DATE_EPOCH's."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    folder = made(tmp_path / "code", ["index.py", "bootstrap"])
    file = zipped(folder, tmp_path / "a.zip")
    with zipfile.ZipFile(file) as read:
        found = {each.filename: each for each in read.infolist()}
    assert [*found] == ["bootstrap", "index.py"]
    assert found["bootstrap"].external_attr >> 16 == 0o100755
    assert found["index.py"].external_attr >> 16 == 0o100644
    assert found["index.py"].date_time == (2023, 11, 14, 22, 13, 20)
    said = archive.told_zip(folder, file, "a.zip")
    assert said.startswith("a.zip: 0.0 MB, unpacked 0.0 MB, 2 files, sha256 ")


def test_the_folder_that_is_deployed_has_them_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`s deploy` makes a zip of its own."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "")
    folder = made(tmp_path / "code", ["index.py", "lib/a.py"])
    archive.settle_files(folder)
    for path in (folder, folder / "lib", folder / "lib" / "a.py"):
        assert path.stat().st_mtime == 315_532_800
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644)


@pytest.mark.parametrize(
    ("size", "refused", "told"),
    [
        (24_000_000, False, ""),
        (30_000_000, False, "has 30.0 MB and takes a cold start's time to load"),
        (200_000_000, True, "has 200.0 MB and is larger than the 100 MB of most regions"),
        (600_000_000, True, "than the 500 MB that any region takes: deploy an image"),
    ],
)
def test_a_zip_that_is_too_large_is_told_with_what_is_large_in_it(
    tmp_path: Path, size: int, refused: bool, told: str
) -> None:
    """One that most regions refuse is a failure, one that starts slowly is not."""
    folder = made(tmp_path / "code", ["python/pandas/a.py", "index.py"])
    with (tmp_path / "a.zip").open("wb") as file:
        file.truncate(size)
    said = archive.told_size(folder, tmp_path / "a.zip")
    assert told in said
    assert ("python/pandas has 0.0 MB" in said) == bool(told)
    assert archive.is_refused(tmp_path / "a.zip") == refused
