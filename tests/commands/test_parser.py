"""Which command the arguments name, and by which name the help calls the program."""

from __future__ import annotations

import subprocess
import sys

import pytest

from service.commands.parser import split_command
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
