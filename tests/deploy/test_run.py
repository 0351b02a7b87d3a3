"""What the proof of what is deployed says if it fails."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

import pytest

from tests.deploy import roots, run
from tests.deploy.container import Failure
from tests.deploy.course import Times
from tests.deploy.table import HEADS, Row, table


def raising(reason: Exception) -> Row:
    """A job that fails."""
    raise reason


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        (Failure("3 of 100 calls were lost at SIGTERM"), "3 of 100 calls were lost at SIGTERM;"),
        (ConnectionResetError(), "no answer (ConnectionResetError()): look into its log,"),
    ],
    ids=["a failure", "no answer"],
)
def test_each_failure_is_a_line_with_its_log(reason: Exception, told: str) -> None:
    """The others go on, and the table has no row for it."""
    failures: list[str] = []
    assert run.driven("3.11 on x", lambda: raising(reason), failures) == []
    (line,) = failures
    assert line.startswith(f"3.11 on x: {told}")
    assert line.endswith("3.11-on-x.log")


def test_a_python_that_is_not_here_is_named_with_what_to_do() -> None:
    """A proof never leaves one out by itself."""
    flags = argparse.Namespace(python=["3.12="])
    with pytest.raises(Failure, match=r"there is no Python 3\.12 here: name its folder, ARGS="):
        run.prefix_of(run.PACKAGES[2], flags)


def test_no_package_takes_the_place_of_another() -> None:
    """Each has a zip, a log and a row of its own, also if two are for one Python and runtime."""
    for kept in ({each.archive for each in run.PACKAGES}, {each.name for each in run.PACKAGES}):
        assert len(kept) == len(run.PACKAGES) == 5


ENGINE = """\
#!/bin/sh
echo "$*" >>"$0.asked"
case $1 in
create) echo id7 ;;
export) mkdir -p "$0.root/code" && tar -C "$0.root" -cf - . ;;
esac
"""
"""Docker, as far as the proof of an image asks it."""


def test_an_image_is_built_and_exported_by_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the Makefile says: its files are unpacked, and nothing of the archive is left."""
    makefile = (roots.ROOT / "Makefile").read_text()
    told = dict(re.findall(r"^(BUILD|EXPORT) = (.*)", makefile, re.MULTILINE))
    engine = tmp_path / "docker"
    engine.write_text(ENGINE)
    engine.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(run, "BUILT", tmp_path / "built")
    run.BUILT.mkdir()
    run.image(argparse.Namespace(build=told["BUILD"], export=told["EXPORT"].replace("$$", "$")))
    assert (tmp_path / "docker.asked").read_text().splitlines() == [
        "build -t fc-event-service .",
        "create fc-event-service",
        "export id7",
        "rm id7",
    ]
    assert (run.BUILT / "image" / "code" / "probe.py").exists()
    assert not (run.BUILT / "image.tar").exists()


def test_an_engine_that_exports_nothing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line with what EXPORT is for."""
    monkeypatch.setattr(run, "BUILT", tmp_path)
    with pytest.raises(Failure, match="EXPORT has failed: it writes the files of the image"):
        run.image(argparse.Namespace(build="true", export="exit 1"))


def test_a_row_has_a_cell_for_each_head() -> None:
    """As a table of Markdown."""
    lines = table([Row("image", 0, 12_000_000, Times(port=0.25), "its own")]).splitlines()
    assert {line.count("|") for line in lines} == {len(HEADS) + 1}
    assert "| image | - | 12.0 | 0.25 |" in lines[2]
