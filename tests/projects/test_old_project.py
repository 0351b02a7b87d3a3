"""What is read of a project of the built-in runtime, and what is refused."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from service.errors import UsageError
from service.projects.old_project import read_old_project
from tests.projects.old import BUILT_IN, CASES, SPEC, old_project

TWO = SPEC + re.sub(r"\bone\b", "two", SPEC.partition("resources:\n")[2])


def test_the_function_of_s_yaml_is_read() -> None:
    """Its handler, hooks, code and events, with references as they are written and replaced."""
    old = read_old_project(BUILT_IN / "orders")
    assert (old.handler, old.initializer, old.runtime) == ("main.book", "main.set_up", "python3.9")
    assert old.module == BUILT_IN / "orders" / "code" / "main.py"
    assert [path.name for path in old.events] == ["two.json"]
    assert "${env" in old.written["environmentVariables"]["CURRENCY"]
    assert "${env" not in old.props["environmentVariables"]["CURRENCY"]


@pytest.mark.parametrize(
    ("case", "handler"),
    [("sqlite", ""), ("myinit", "main.my_handler"), ("slash", "src/index.handler")],
)
def test_a_folder_without_s_yaml_has_a_handler_too(case: str, handler: str) -> None:
    """`index.handler`, or the one that is named."""
    old = read_old_project(CASES / "functions" / case, handler=handler)
    assert old.module.is_file()


def test_one_of_several_functions_is_named(tmp_path: Path) -> None:
    """Without its name the line says which there are."""
    folder = old_project(tmp_path, spec=TWO)
    with pytest.raises(UsageError, match=r"2 functions \(one, two\): name one with --function"):
        read_old_project(folder)
    assert read_old_project(folder, "two").written["functionName"] == "two"
    with pytest.raises(UsageError, match="has no function 'three'; there are one, two"):
        read_old_project(folder, "three")


BROKEN = {
    "no folder": (None, None, "there is no such folder"),
    "no python": ("def handler(:\n", SPEC, r"index\.py:1: Python cannot read it"),
    "python 2": ("print 'x'\n", SPEC, r"index\.py:1: Python cannot read it: Missing parentheses"),
    "no handler": ("def run(event, context): ...\n", SPEC, r"has no 'handler' \(it has run\)"),
    "no module": ("", SPEC.replace("index.h", "app.h"), r"app\.py, which is not there"),
    "no code": ("", SPEC.replace("./code", "./src"), "code: ./src is no directory"),
    "no yaml": ("", "a: [", r"s\.yaml:\d+:\d+: "),
    "no mapping": ("", "- a\n", "is not a mapping"),
    "no functions": ("", "edition: 3.0.0\nresources: {}\n", "has no function"),
    "two's": ("", "services:\n  a: {}\n", "services: has no function of the component fc"),
    "a key's type": ("", SPEC + "      timeout: soon\n", r"s\.yaml:13:7: .*timeout"),
    "another runtime": (
        "",
        SPEC.replace("python3.10", "custom.debian12"),
        "runs on custom.debian12, which is no built-in runtime",
    ),
    "nodejs": ("", SPEC.replace("python3.10", "nodejs18"), "nodejs18"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_cannot_be_taken_over_is_told_in_one_line(tmp_path: Path, case: str) -> None:
    """With the file and the line, and what to do."""
    source, spec, told = BROKEN[case]
    folder = tmp_path / "old"
    if source is not None and spec is not None:
        old_project(tmp_path, source, spec)
    with pytest.raises(UsageError, match=told) as error:
        read_old_project(folder)
    assert "\n" not in str(error.value)


def test_a_folder_with_nothing_is_told(tmp_path: Path) -> None:
    """The line says what is looked for."""
    with pytest.raises(UsageError, match=r"has neither s\.yaml nor index\.py"):
        read_old_project(tmp_path)
    shutil.copytree(CASES / "functions" / "myinit", tmp_path, dirs_exist_ok=True)
    with pytest.raises(UsageError, match="name the folder of a function, or its handler"):
        read_old_project(tmp_path)
