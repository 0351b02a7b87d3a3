"""What each instance has for itself: folders, and a /tmp where the system allows it."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest

from service.emulator.instances import private
from service.emulator.instances.private import PrivateFolder, may_mount, shown_to
from tests.emulator.play import function, playing

mounts = pytest.mark.skipif(not may_mount(), reason="the system allows no mount of one's own")


async def test_each_instance_has_a_home_and_temporary_files_of_its_own() -> None:
    """They are not the desk's, differ for each, and are gone with the instance."""
    async with playing() as play:
        calls = [play.begin("environment") for _ in range(2)]
        folders = [
            (variables["HOME"], variables["TMPDIR"])
            for variables in [json.loads((await call).body) for call in calls]
        ]
        flat = [Path(folder) for both in folders for folder in both]
        assert len({*flat, Path.home(), Path(tempfile.gettempdir())}) == 6
        for folder in flat:
            assert folder.is_dir()
            (folder / "left").write_text("by the function")
    assert not any(folder.exists() or folder.parent.exists() for folder in flat)


async def test_the_file_may_name_another_home() -> None:
    """Its variables win."""
    async with playing(function(environment={"HOME": "/mine", "TMPDIR": "/var/tmp"})) as play:
        variables = json.loads((await play.call("environment")).body)
    assert (variables["HOME"], variables["TMPDIR"]) == ("/mine", "/var/tmp")


@mounts
async def test_each_instance_has_a_tmp_of_its_own(tmp_path: Path) -> None:
    """What it finds and leaves in /tmp is nobody else's, but for what the file names there."""
    seen = tmp_path / "seen"
    seen.touch()
    look = "ls -a /tmp; test -e $SEEN && echo seen; touch /tmp/own-file"
    command = ("sh", "-c", f"{look}; exec python bare.py")
    played = function(command=command, environment={"SEEN": str(seen)})
    if not seen.is_relative_to("/tmp"):
        pytest.skip("the tests' files are elsewhere")
    async with playing(played, private_tmp=True) as play:
        variables = json.loads((await play.call("environment")).body)
        assert variables["TMPDIR"] == "/tmp"
        assert "own-file" not in os.listdir("/tmp")
        assert "seen" in play.log.texts
        assert "own-file" not in play.log.texts
        first = len(play.log.texts)
        play.instance.kill()
        await play.log.wait_for("has ended")
        await play.call()
        assert "own-file" not in play.log.texts[first:]


def test_where_no_mount_is_allowed_there_is_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """On other systems, and without the right."""

    def refused() -> None:
        raise PermissionError

    may_mount.cache_clear()
    monkeypatch.setattr(private, "_leave_mounts", refused)
    try:
        assert not may_mount()
    finally:
        may_mount.cache_clear()


def test_a_folder_is_removed_with_all_that_is_in_it(tmp_path: Path) -> None:
    """Twice is once."""
    folder = PrivateFolder(tmp_path / "c-1", mounted=False)
    (folder.home / "deep").mkdir()
    Path(folder.temporary, "file").touch()
    assert folder.start(lambda: "started", []) == "started"
    folder.remove()
    folder.remove()
    assert not (tmp_path / "c-1").exists()


def test_what_a_function_has_to_see_is_named_by_its_command_and_its_variables() -> None:
    """Each path in /tmp, wherever it stands in a text."""
    found = set(
        shown_to(
            Path("/code"),
            ["python", "--file=/tmp/a/b", "/not/tmp/c"],
            {"PATH": "/tmp/d:/usr/bin", "X": "in /tmp/e, too"},
        )
    )
    in_tmp = {str(path) for path in found if str(path).startswith("/tmp/")}
    assert in_tmp >= {"/tmp/a/b", "/tmp/d", "/tmp/e"}
    assert not {"/tmp/c", "/not/tmp/c"} & {os.fspath(path) for path in found}
