"""Which command the arguments name, and by which name the help calls the program."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from typing import Any

import pytest

from service.commands.parser import columns, parser_of, split_command
from service.errors import UsageError


def test_a_command_may_stand_behind_options() -> None:
    """The option's value is no command."""
    command, rest = split_command(["--log-level", "INFO", "invoke", "--event", "1"])
    assert (command, rest) == ("invoke", ["--log-level", "INFO", "--event", "1"])


def test_no_command_is_serve() -> None:
    """Options alone are serve's."""
    assert split_command(["--port", "1"]) == ("serve", ["--port", "1"])


def test_a_word_that_is_no_command_is_refused_with_the_nearest() -> None:
    """A slip is answered with what was meant."""
    with pytest.raises(UsageError, match="did you mean invoke"):
        split_command(["invok"])


@pytest.mark.parametrize(
    ("started", "named"),
    [
        ("/venv/bin/fc-event-service", "fc-event-service"),
        ("/code/service/__main__.py", "python -m service"),
    ],
)
def test_the_help_names_the_command_as_it_was_started(started: str, named: str) -> None:
    """What a person reads there can be typed again."""
    code = f"import sys; sys.argv = [{started!r}]; from service.commands.parser import PROGRAM"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; print(PROGRAM)"], capture_output=True, check=True
    )
    assert done.stdout.decode().strip() == named


@pytest.mark.parametrize("said", ["100", "0", "-1", "many", None])
@pytest.mark.parametrize("wide", [120, 0, None])
def test_the_help_is_as_wide_as_the_terminal(
    monkeypatch: pytest.MonkeyPatch, said: str | None, wide: int | None
) -> None:
    """What COLUMNS says counts, then the terminal, then 80: as in Python's own."""

    def size(descriptor: int) -> os.terminal_size:
        if wide is None:
            raise OSError("no terminal")
        return os.terminal_size((wide, 24))

    monkeypatch.setattr(os, "get_terminal_size", size)
    monkeypatch.delenv("COLUMNS", raising=False)
    if said is not None:
        monkeypatch.setenv("COLUMNS", said)
    assert columns() == shutil.get_terminal_size().columns
    parser = parser_of("serve", lambda _parser: None)
    parser.add_argument("--x", help="y " * 200)
    lines = [line for line in parser.format_help().splitlines() if "y y" in line]
    assert columns() - 4 <= max(map(len, lines)) <= columns()


@pytest.mark.parametrize("stdout", [None, io.StringIO()])
def test_without_a_stdout_the_help_has_80_columns(
    monkeypatch: pytest.MonkeyPatch, stdout: Any
) -> None:
    """A closed stdout, or what a test runner puts there, is no terminal."""
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(sys, "__stdout__", stdout)
    assert columns() == 80
