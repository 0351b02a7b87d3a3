"""What a check says of files as people write them: true faults, and no false alarm."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from service.checking.checked import CheckedFunction
from service.checking.families import checked_file, checked_function
from service.checking.finding import FINDING_LEVELS
from service.checking.lock import read_lock
from service.commands import new
from service.commands.parser import parser_of
from service.emulator.spec.placed import read_placed
from service.emulator.spec.read import read
from tests.checking.project import found, project, told
from tests.parse_spec import NAMES, ROOT, copied

EXAMPLES = sorted(path.parent.name for path in ROOT.glob("examples/*/s.yaml"))
PARTS = {"server.py": "", "bootstrap": "#!/bin/bash\n", "index.py": "def handler(e, c): ...\n"}
"""What the commands of the cases start: their folders are empty."""


def test_all_fits_in_a_project_in_which_all_fits(tmp_path: Path) -> None:
    """Nothing but good is said of it, and what could not be measured."""
    findings = found(project(tmp_path))
    assert told(findings, "fault") + told(findings, "warning") == []
    assert {each.rule for each in findings} >= {
        *("runtime", "python", "command", "handler", "concurrency", "port", "memory", "threads"),
        *("keep-alive", "syntax"),
    }


def test_the_worst_is_told_first(tmp_path: Path) -> None:
    """Faults, then warnings, then what cannot be told, then what fits."""
    changes = {"customRuntimeConfig": {"port": 8000}, "instanceConcurrency": 50}
    file = project(tmp_path, {**changes, "environmentVariables": {"SERVICE_PORT": "9000"}})
    levels = [FINDING_LEVELS.index(each.level) for each in found(file)]
    assert levels == sorted(levels)
    assert {FINDING_LEVELS[each] for each in levels} == set(FINDING_LEVELS)


@pytest.mark.parametrize("name", NAMES)
def test_a_case_that_is_played_has_no_fault(name: str, tmp_path: Path) -> None:
    """What the emulator plays with the code that its command starts is no fault of a check."""
    file = copied(name, tmp_path)
    for part, text in PARTS.items():
        (file.parent / "code" / part).write_text(text)
    (file.parent / "code" / "bootstrap").chmod(0o755)
    (file.parent / "code" / "main.py").write_text("def my_handler(e, c): ...\n")
    if name != "55-code-oss":
        read(file, environ={})
    assert told(found(file), "fault") == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_has_no_fault(name: str) -> None:
    """The samples of this repository would be deployed, and serve."""
    assert told(found(ROOT / "examples" / name / "s.yaml"), "fault") == []


def test_the_files_of_this_repository_fit(tmp_path: Path) -> None:
    """Its `s.yaml` and its lock, if a folder with its function is taken in place of the bundle."""
    shutil.copy(ROOT / "index.py", tmp_path)
    shutil.copytree(ROOT / "config", tmp_path / "config")
    spec = read_placed(ROOT / "s.yaml", code=tmp_path, environ={})
    (placed,) = spec.functions
    lock = read_lock(ROOT / "requirements.lock")
    findings = checked_function(CheckedFunction(placed, spec.sources, ROOT, lock)).findings
    assert told(findings, "fault") == []
    assert [each.rule for each in findings if each.level == "warning"] == ["command"]


def test_what_is_wrong_with_the_file_is_told_with_its_line(tmp_path: Path) -> None:
    """A fault of one function keeps no other one from being looked at."""
    file = project(tmp_path, {"timeout": 100_000})
    text = file.read_text()
    second = text[text.index("  fn:") :].replace("  fn:", "  g:", 1)
    second = second.replace("functionName: fn", "functionName: g")
    file.write_text(text + second.replace("timeout: 100000", "timeout: 10"))
    findings = found(file)
    (fault,) = told(findings, "fault")
    line = text.splitlines().index("      timeout: 100000") + 1
    assert fault.startswith("fault file resources.fn.props.timeout: 100000 is ")
    assert f"s.yaml:{line}" in {each.where for each in findings}
    assert any("is there" in each for each in told(findings, "ok"))


def test_code_in_oss_is_not_looked_at(tmp_path: Path) -> None:
    """What is not on this machine is no fault."""
    file = project(tmp_path, {"code": {"ossBucketName": "b", "ossObjectName": "o.zip"}})
    (line,) = told(found(file))
    assert line.startswith("warning file resources.fn.props.code: ")
    assert "is in OSS" in line


def test_a_new_project_has_no_fault(tmp_path: Path) -> None:
    """What `new` writes, with its files in place of the bundle."""
    new.write_new(parser_of("new", new.add_flags).parse_args(["my-function"]), tmp_path)
    spec = read_placed(tmp_path / "my-function" / "s.yaml", code=tmp_path / "my-function")
    assert checked_file(spec, tmp_path).findings == []
    (placed,) = spec.functions
    findings = checked_function(CheckedFunction(placed, spec.sources, tmp_path)).findings
    assert [each.rule for each in findings if each.level in ("fault", "warning")] == ["command"]


def test_another_language_is_not_looked_at(tmp_path: Path) -> None:
    """A function that is nobody's business here keeps nothing from being deployed."""
    (line,) = told(found(project(tmp_path, {"runtime": "nodejs20", "handler": "index.handler"})))
    assert line.startswith("warning file resources.fn.props.runtime: 'nodejs20' brings a server")


def test_a_folder_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    """It says what makes it."""
    (line,) = told(found(project(tmp_path, {"code": "./build/code"})))
    assert line.startswith("fault file ")
    assert "`make bundle`" in line
