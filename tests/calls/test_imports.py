"""The module that a setting names: how it is found, and why it cannot be imported."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.calls.loader import load
from tests.calls.test_loader import PLAIN, Write, folder, told, write

__all__ = ["folder", "write"]


@pytest.mark.parametrize(
    "name", ["src/index.handler", "./src/index.handler", "src/index:handler", "src.index.handler"]
)
def test_a_handler_may_be_named_by_its_path(folder: Path, write: Write, name: str) -> None:
    """The platform's own spelling and Python's lead to the same function."""
    write(PLAIN, "src/index.py")
    assert load([name], folder).handler.call(b"e", None) == b"e"
    assert load([name, "other.handler"], folder).handler.name == name


@pytest.mark.parametrize("name", ["code.index.handler", "code/index.handler"])
def test_a_folder_that_python_has_a_module_of_is_found(
    folder: Path, write: Write, name: str
) -> None:
    """`code/` is where many projects keep their function; its files find one another."""
    write(
        "import own_helper\ndef handler(event, context): return own_helper.ANSWER\n",
        "code/index.py",
    )
    write("ANSWER = 7\n", "code/own_helper.py")
    write("def handler(event, context): return 'another'\n")
    assert load([name], folder).handler.call(b"", None) == 7
    assert load([name, "index.handler"], folder).handler.name == name


def test_a_module_in_a_folder_is_pointed_at(folder: Path, write: Write) -> None:
    """A handler that stands one folder deeper is found by whoever reads the line."""
    write(PLAIN, "code/index.py")
    assert told(folder).endswith("there is a code/index.py: say --handler code/index.handler")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (
            "x = 1\n".encode("utf-16"),
            ": is UTF-16 text, which Python does not read: save it as UTF-8",
        ),
        (b"x = 1\ny = '\0'\n", " line 2: has a NUL byte: remove it, and save the file as UTF-8"),
        (b"x = 1\ny = '\xe9'\n", " line 2: syntax error: "),
        (b"# coding: nope\n", ": syntax error: "),
    ],
    ids=["UTF-16", "NUL", "Latin-1", "an unknown coding"],
)
@pytest.mark.parametrize("name", ["index.py", "own_helper.py"])
def test_a_file_that_is_no_text_is_told(
    folder: Path, write: Write, data: bytes, why: str, name: str
) -> None:
    """The line names the file that is meant, be it the handler's or one that it imports."""
    write("import own_helper\n" + "def handler(event, context): pass\n")
    (folder / name).write_bytes(data)
    line = told(folder)
    assert f"{folder / name}{why}" in line
    assert "None" not in line


@pytest.mark.parametrize(
    "failure", ["BaseException('x')", "GeneratorExit('x')", "KeyboardInterrupt('x')", "SystemExit"]
)
def test_whatever_an_import_raises_is_told(folder: Path, write: Write, failure: str) -> None:
    """A failure that is no Exception is one line, too."""
    path = write(f"\nraise {failure}\n")
    kind, _, text = failure.partition("(")
    shown = f"{kind}: x" if text else kind
    assert told(folder) == (
        f"handler 'index.handler': {path} line 2: the import failed: {shown}; mend it and start"
        " again"
    )


def test_a_missing_package_is_told_with_what_to_do(folder: Path, write: Write) -> None:
    """The module, the file and line that ask for it, and where to name its package."""
    path = write("import requests_of_nobody\n", "own_helper.py")
    write("import own_helper\n" + "def handler(event, context): pass\n")
    assert told(folder) == (
        f"handler 'index.handler': {path} line 1: the import failed: ModuleNotFoundError:"
        " No module named 'requests_of_nobody'; add its package to `dependencies` in"
        " pyproject.toml, or to requirements.txt, and run `make lock`; or remove the import"
    )
