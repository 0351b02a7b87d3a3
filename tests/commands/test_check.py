"""`check` as it is typed: what it prints, and how it exits."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from service.commands import check
from service.commands.parser import parser_of
from service.errors import UsageError
from tests.checking.project import project
from tests.harness import RUNS_WITHIN


def checked(folder: Path, capfd: pytest.CaptureFixture[str], *flags: str) -> tuple[int, str]:
    """Run the command; return its exit code and what it prints."""
    parsed = parser_of("check", check.add_flags).parse_args(flags)
    code = check.check_deployment(parsed, folder)
    return code, capfd.readouterr().out


def test_a_project_in_which_all_fits_ends_with_0(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A table, and a line that sums it up."""
    project(tmp_path)
    code, out = checked(tmp_path, capfd, "--strict")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "fn on custom.debian12, s.yaml"
    assert lines[-1].startswith("0 faults, 0 warnings, 1 that cannot be told here; ")
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize(
    ("changes", "flags", "code"),
    [
        ({"handler": "app.main"}, (), 0),
        ({"handler": "app.main"}, ("--strict",), 1),
        ({"environmentVariables": {"SERVICE_PORT": "8000"}}, (), 1),
        ({"memorySize": 100}, (), 1),
    ],
    ids=["warning", "strict", "fault", "refused by the platform"],
)
def test_the_exit_code_says_whether_there_is_a_fault(
    changes: dict[str, Any],
    flags: Sequence[str],
    code: int,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """1 for a fault, and for a warning if that is asked for."""
    project(tmp_path, changes)
    ended, out = checked(tmp_path, capfd, *flags)
    assert ended == code
    assert ("-> " in out) or "file " in out


def test_json_has_all_of_the_table(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """For CI: numbers, and of each finding its level, place, text, remedy and source."""
    project(tmp_path, {"environmentVariables": {"SERVICE_PORT": "8000"}})
    code, out = checked(tmp_path, capfd, "--json")
    said = json.loads(out)
    assert (code, said["faults"], said["warnings"], said["spec"]) == (1, 1, 0, "s.yaml")
    (function,) = said["functions"]
    assert (function["name"], function["runtime"]) == ("fn", "custom.debian12")
    first = function["findings"][0]
    assert first["key"] == "customRuntimeConfig.port"
    assert first["where"] == "s.yaml:18"
    assert first["remedy"].startswith("leave SERVICE_PORT")
    assert first["source"] == "docs/platform.md section 1.3"


@pytest.mark.parametrize(
    ("flags", "text", "told"),
    [
        (("--spec", "no.yaml"), None, "no.yaml: there is no such file"),
        ((), "a: [", "s.yaml:1:5: "),
        ((), "just text", "is not a mapping"),
        (("--lock", "no.lock"), None, "--lock no.lock: there is no such file"),
        (("--event", "no.json"), None, "--event no.json: cannot be read: No such file"),
        (("--function", "g"), None, "--function g: there are fn"),
        (("--code", "no"), None, "--code .*no: is no directory"),
    ],
    ids=["no file", "no yaml", "no mapping", "no lock", "no event", "no function", "no code"],
)
def test_what_cannot_be_read_is_told_in_one_line(
    flags: Sequence[str],
    text: str | None,
    told: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Wrong usage, not a fault of the deployment: exit code 2."""
    file = project(tmp_path)
    if text is not None:
        file.write_text(text)
    with pytest.raises(UsageError, match=told) as refused:
        checked(tmp_path, capfd, *flags)
    assert refused.value.exit_code == 2
    assert "\n" not in str(refused.value)


def test_a_missing_extra_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names what to install."""
    project(tmp_path)
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(UsageError, match=r"install fc-event-service\[emulator\]"):
        checked(tmp_path, capfd)


HOOKED = """
import threading
def initialize(context): threading.Thread(target=threading.Event().wait, daemon=True).start()
def pre_stop(context): print("bye")
async def handler(event, context): return 1
"""


def test_run_measures_what_a_start_takes(tmp_path: Path) -> None:
    """In a process of its own, whatever the function prints; figures stand in the findings."""
    hooks = {
        "initializer": {"handler": "initialize", "timeout": 60},
        "preStop": {"handler": "pre_stop", "timeout": 90},
    }
    variables = {"SERVICE_INITIALIZE_TIMEOUT": "50"}
    changes = {"instanceLifecycleConfig": hooks, "environmentVariables": variables}
    project(tmp_path, changes, {"code/index.py": HOOKED})
    done = subprocess.run(
        [sys.executable, "-m", "service", "check", "--run", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=RUNS_WITHIN,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (function,) = json.loads(done.stdout)["functions"]
    texts = {each["rule"]: each["text"] for each in function["findings"]}
    assert " s here, its time-out is 60 s" in texts["initializer"]
    assert " s here, its time-out is 90 s" in texts["preStop"]
    assert " MB before the first call, of 512 MB" in texts["memory"]
    assert "unknown" not in {each["level"] for each in function["findings"]}
    assert done.stderr == ""
