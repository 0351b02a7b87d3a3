"""The scripts that complete the command line in a shell."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from service.commands.completion import SHELLS, completed_flags, completion_script
from service.commands.parser import COMMANDS
from service.events.sample import names
from service.settings.table import ROWS
from tests.harness import RUNS_WITHIN


def completed(tmp_path: Path, *lines: str) -> list[list[str]]:
    """What bash offers for the last word of each command line, in order."""
    script = tmp_path / "completion.bash"
    script.write_text(completion_script("bash"))
    asks = [f"source {script}"]
    for line in lines:
        asks.append(f"COMP_WORDS=({line}); [[ '{line}' = *' ' ]] && COMP_WORDS+=('')")
        asks.append(
            "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _fc_event_service; echo ${COMPREPLY[@]}"
        )
    done = subprocess.run(
        ["bash", "-c", "\n".join(asks)], capture_output=True, text=True, timeout=RUNS_WITHIN
    )
    assert done.stderr == ""
    return [sorted(line.split()) for line in done.stdout.splitlines()]


def test_bash_completes_commands_flags_and_values(tmp_path: Path) -> None:
    """A command where there is none yet, its own flags, the words of a setting, the samples."""
    begun, flags, values, samples, files, whole = completed(
        tmp_path,
        "fc-event-service ",
        "fc-event-service new --",
        "fc-event-service --loop ",
        "fc-event-service event oss.",
        "fc-event-service new --from ",
        "fc-event-service --log-level WARNING inv",
    )
    assert begun == sorted(COMMANDS)
    assert flags == sorted(flag.name for flag in completed_flags("new"))
    assert values == ["asyncio", "auto", "uvloop"]
    assert samples == [name for name in sorted(names()) if name.startswith("oss.")]
    assert files == []  # left to bash, which completes files
    assert whole == ["invoke"]


def test_settings_are_completed_where_they_are_flags() -> None:
    """Of `serve` and `invoke`, a switch with the flag that turns it off; no other command's."""
    for command in ("serve", "invoke"):
        found = {flag.name for flag in completed_flags(command)}
        assert {row.flag for row in ROWS.values()} <= found
        assert "--no-metrics" in found
        assert "--control" not in found
    assert "--concurrency" not in {flag.name for flag in completed_flags("new")}


def test_the_flag_takes_the_shells_that_there_is_a_script_for() -> None:
    """The help lists them."""
    (flag,) = [flag for flag in completed_flags("serve") if flag.name == "--completion"]
    assert list(flag.words) == list(SHELLS)


@pytest.mark.parametrize("shell", SHELLS)
def test_every_command_and_flag_is_in_each_script(shell: str) -> None:
    """Nothing is left out that the help tells."""
    script = completion_script(shell)
    for command in COMMANDS:
        assert command in script
        for flag in completed_flags(command):
            assert flag.name.lstrip("-") in script


@pytest.mark.parametrize("shell", [shell for shell in SHELLS if shutil.which(shell)])
def test_a_shell_reads_its_script(tmp_path: Path, shell: str) -> None:
    """Each that is installed, without running it."""
    (tmp_path / "script").write_text(completion_script(shell))
    done = subprocess.run(
        [shell, "-n", str(tmp_path / "script")], capture_output=True, timeout=RUNS_WITHIN
    )
    assert (done.returncode, done.stderr) == (0, b"")
