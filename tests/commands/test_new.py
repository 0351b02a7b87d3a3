"""`new` on the command line, and what it writes."""

from __future__ import annotations

import argparse
import ast
import os
import re
import tomllib
from pathlib import Path

import pytest

from service.commands import new
from service.emulator.spec.read import read
from service.errors import UsageError
from service.projects.templates import NEW_FILES
from tests.projects.running import project_tests


def run_new(cwd: Path, *arguments: str) -> int:
    """What the command does with these arguments."""
    parser = argparse.ArgumentParser()
    new.add_flags(parser)
    return new.write_new(parser.parse_args(arguments), cwd)


def test_a_new_project_has_its_files(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Each is named in the output, and none has a place of its template left in it."""
    assert run_new(tmp_path, "my-function") == 0
    shown = capfd.readouterr().out
    for path, what in NEW_FILES.items():
        text = (tmp_path / "my-function" / path).read_text()
        assert not what or path in shown
        assert re.search("@[A-Z]", text) is None, path
        assert text.endswith("\n")
        assert not text.endswith("\n\n")
    assert "cd my-function" in shown


def test_its_spec_is_sound_and_agrees_with_its_settings(tmp_path: Path) -> None:
    """The emulator finds nothing to warn of, and the code has no surprise for many calls."""
    run_new(tmp_path, "my-function")
    folder = tmp_path / "my-function"
    spec = read(folder / "s.yaml", code=folder)
    assert spec.warnings == ()
    function = spec.functions["my-function"]
    assert str(function.concurrency) == function.environment["SERVICE_CONCURRENCY"] == "100"
    tomllib.loads((folder / "pyproject.toml").read_text())
    tomllib.loads((folder / "config/service.toml").read_text())
    ast.parse((folder / "index.py").read_text())


def test_its_tests_are_green(tmp_path: Path) -> None:
    """One call, a hundred at once, and the function under the emulator."""
    run_new(tmp_path, "off")
    said = project_tests(tmp_path / "off")
    assert "3 passed" in said, said


def test_a_path_leads_to_the_folder(tmp_path: Path) -> None:
    """Its last part is the function's name."""
    (tmp_path / "shop").mkdir()
    run_new(tmp_path, "shop/orders/")
    assert "orders" in (tmp_path / "shop" / "orders" / "s.yaml").read_text()


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("a b", "is no function's name"),
        (".", "is no function's name"),
        ("shop/..", "is no function's name"),
        ("a\0b", "no NUL"),
        ("there", "there is there already"),
        ("nowhere/f", "make it first"),
    ],
    ids=["spaces", "here", "above", "nul", "there", "nowhere"],
)
def test_what_cannot_be_written_is_told_in_one_line(
    tmp_path: Path, argument: str, told: str
) -> None:
    """And nothing is."""
    (tmp_path / "there").write_text("mine")
    with pytest.raises(UsageError, match=told) as error:
        run_new(tmp_path, argument)
    assert "\n" not in str(error.value)
    assert os.listdir(tmp_path) == ["there"]


def test_a_name_is_asked_for(tmp_path: Path) -> None:
    """Without one there is nothing to write."""
    with pytest.raises(UsageError, match="name the function: new my-function"):
        run_new(tmp_path)
