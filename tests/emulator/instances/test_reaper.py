"""What ends the instances of an emulator that was killed."""

from __future__ import annotations

from pathlib import Path

from service.emulator.instances.reaper import Reaper


def test_the_folders_of_instances_go_with_a_killed_emulator(tmp_path: Path) -> None:
    """An emulator that ends by itself removes them itself."""
    for name in ("killed", "kept"):
        (tmp_path / name / "c-1").mkdir(parents=True)
        (tmp_path / name / "c-1" / "file").touch()
    killed = Reaper("c-nobody", str(tmp_path / "killed"))
    killed.watch([])
    assert killed._process.stdin is not None
    killed._process.stdin.close()  # as the end of this process would
    killed._process.wait()
    kept = Reaper("c-nobody", str(tmp_path / "kept"))
    kept.close()
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
