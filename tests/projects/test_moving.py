"""A function of the built-in runtime becomes a project of this service."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.commands import new
from service.emulator.spec.read import read
from service.errors import UsageError
from tests.projects.old import BUILT_IN, HANDLER, SPEC, old_project
from tests.projects.running import project_tests


def run_new(cwd: Path, *arguments: str) -> int:
    """What the command does with these arguments."""
    parser = argparse.ArgumentParser()
    new.add_flags(parser)
    return new.write_new(parser.parse_args(arguments), cwd)


def moved_props(tmp_path: Path, old: Path) -> dict[str, Any]:
    """The props of the new `s.yaml`, which is sound and has nothing to warn of."""
    assert run_new(tmp_path, "moved", "--from", str(old)) == 0
    spec = read(tmp_path / "moved" / "s.yaml", code=tmp_path / "moved" / "code", environ={})
    assert [told for told in spec.warnings if "role: is not played" not in told] == []
    whole = yaml.safe_load((tmp_path / "moved" / "s.yaml").read_text())
    props: dict[str, Any] = whole["resources"]["moved"]["props"]
    return props


@pytest.mark.parametrize(
    ("case", "at_once"),
    [
        pytest.param("hello", 100, marks=pytest.mark.long),
        ("orders", 100),
        pytest.param("word-count", 1, marks=pytest.mark.long),
    ],
)
def test_a_moved_functions_tests_are_green(tmp_path: Path, case: str, at_once: int) -> None:
    """It answers its recorded event under the emulator, alone and many at once; what breaks with
    many at once begins with one.
    """
    props = moved_props(tmp_path, BUILT_IN / case)
    assert props["instanceConcurrency"] == at_once
    said = project_tests(tmp_path / "moved")
    assert "3 passed" in said, said


def test_what_the_function_was_is_taken_over(tmp_path: Path) -> None:
    """Memory, time, role, variables with their references, the initializer, triggers but HTTP's."""
    props = moved_props(tmp_path, BUILT_IN / "orders")
    assert (props["memorySize"], props["timeout"], props["handler"]) == (512, 20, "main.book")
    assert props["role"].endswith("role/orders")
    variables = props["environmentVariables"]
    assert (variables["RATE"], variables["CURRENCY"]) == ("0.19", "${env('CURRENCY', 'CNY')}")
    assert variables["SERVICE_INITIALIZER"] == "main.set_up"
    assert props["instanceLifecycleConfig"]["initializer"]["timeout"] == 20
    assert [each["triggerName"] for each in props["triggers"]] == ["nightly"]
    settings = (tmp_path / "moved" / "code" / "config" / "service.toml").read_text()
    assert 'handler = "main.book"' in settings


def test_variables_of_the_file_stay_variables(tmp_path: Path) -> None:
    """`${vars.region}` is what it was, with its `vars`."""
    assert moved_props(tmp_path, BUILT_IN / "hello")["region"] == "${vars.region}"
    text = (tmp_path / "moved" / "s.yaml").read_text()
    assert "region: cn-shanghai" in text


def test_a_hook_that_nobody_configured_does_not_run(tmp_path: Path) -> None:
    """The built-in runtime ran none; by its name the service would."""
    old = old_project(tmp_path, f"{HANDLER}def initializer(context): ...\n")
    assert moved_props(tmp_path, old)["environmentVariables"]["SERVICE_INITIALIZER"] == "none"


def test_packages_are_those_that_are_listed_and_those_that_the_runtime_brought(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What nobody names is told, with the import's line; pins stay, other files are told of."""
    source = (
        f"import oss2, PIL, wonder, yaml, json\nfrom aliyunsdkecs import x\nimport own\n{HANDLER}"
    )
    old = old_project(tmp_path, source)
    (old / "code" / "own.py").touch()
    (old / "code" / "requirements.txt").write_text("# ours\nPyYAML==6.0\n-r more.txt\n")
    run_new(tmp_path, "moved", "--from", "old", "--json")
    lines = (tmp_path / "moved" / "requirements.txt").read_text().splitlines()[1:]
    assert lines[1:] == ["PyYAML==6.0", "oss2", "Pillow", "aliyun-python-sdk-ecs"]
    found = json.loads(capfd.readouterr().out)["findings"]
    assert [(each["file"], each["rule"]) for each in found] == [
        ("code/requirements.txt", "package"),
        *[("code/index.py", "package")] * 4,
    ]
    assert "wonder is imported" in found[3]["what"]


def moved_requirements(tmp_path: Path, listed: bytes) -> list[str]:
    """The packages of the new `requirements.txt`, without ours."""
    old = old_project(tmp_path)
    (old / "code" / "requirements.txt").write_bytes(listed)
    assert run_new(tmp_path, "moved", "--from", "old", "--json") == 0
    lines = (tmp_path / "moved" / "requirements.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith(("#", "fc-event-service"))]


def test_hashes_of_a_list_are_left_to_the_lock(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """pip takes no list in which some have hashes, and ours has none; the pins stay."""
    listed = b"bar==1.0 \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc  # ours\r\nbaz==2\n"
    assert moved_requirements(tmp_path, listed) == ["bar==1.0", "baz==2"]
    (found,) = json.loads(capfd.readouterr().out)["findings"]
    assert "has hashes" in found["what"]
    assert "make lock" in found["advice"]


def test_a_list_of_a_windows_shell_is_read(tmp_path: Path) -> None:
    """It is UTF-16, with a mark in front."""
    assert moved_requirements(tmp_path, "bar==1.0\r\n".encode("utf-16")) == ["bar==1.0"]


def test_a_list_that_is_included_comes_along(tmp_path: Path) -> None:
    """And where packages are looked for; a file that includes itself is read once."""
    (tmp_path / "old" / "code").mkdir(parents=True)
    (tmp_path / "old" / "code" / "more.txt").write_text("baz\n-r more.txt\n")
    listed = b"--extra-index-url https://packages.example/simple\n-r more.txt\nbar\n"
    shown = moved_requirements(tmp_path, listed)
    assert shown == ["--extra-index-url https://packages.example/simple", "baz", "bar"]


def test_a_list_that_is_no_text_is_told(tmp_path: Path) -> None:
    """Nothing is written."""
    with pytest.raises(UsageError, match=r"requirements\.txt is no UTF-8 text: save it as such"):
        moved_requirements(tmp_path, b"\xff\x00\x81")
    assert os.listdir(tmp_path) == ["old"]


def test_the_code_is_copied_and_the_rest_is_left(tmp_path: Path) -> None:
    """Without what tools have put there, secrets, and the old `s.yaml`; the old folder stays."""
    old = old_project(tmp_path, spec=SPEC.replace("./code", "."), source="")
    (old / "index.py").write_text(HANDLER)
    for name in (".env", "data.json", "node_modules/x", ".git/y", "__pycache__/z"):
        (old / name).parent.mkdir(exist_ok=True)
        (old / name).touch()
    before = sorted(str(path) for path in old.rglob("*"))
    run_new(tmp_path, "moved", "--from", "old")
    names = sorted(os.listdir(tmp_path / "moved" / "code"))
    assert names == ["code", "config", "data.json", "index.py"]
    assert sorted(str(path) for path in old.rglob("*")) == before


def test_without_a_name_it_is_only_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """As a table, with places as an editor takes them; nothing is written."""
    old_project(tmp_path, "import os\ndef handler(event, context):\n    os.chdir('/mnt')\n")
    assert run_new(tmp_path, "--from", "old") == 0
    first, second, last, _ = capfd.readouterr().out.splitlines()
    assert first.startswith("code/index.py:3  breaks  the working folder is the process's")
    assert second.strip() == "Use absolute paths, or cwd= of subprocess.run."
    assert last.startswith("1 break, 0 may break, 0 fine: instanceConcurrency may be 1, as it was")
    assert os.listdir(tmp_path) == ["old"]


def test_a_typical_oss_function_is_judged(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Clients at module level and in helpers, the initializer's keys, files, threads, defaults."""
    run_new(tmp_path, "--from", str(BUILT_IN / "media"), "--json")
    found = json.loads(capfd.readouterr().out)["findings"]
    said = {(each["line"], each["rule"], each["level"]) for each in found}
    assert said >= {
        (14, "client", "breaks"),
        (24, "client", "fine"),
        (24, "keys", "may break"),
        (30, "client", "breaks"),
        (30, "first-call", "may break"),
        (34, "default", "breaks"),
        (42, "tmp", "may break"),
        (46, "left-running", "may break"),
    }


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("old/code/moved", "--from", "old"), "lies within"),
        (("old", "--from", "old"), "old is there already"),
        (("moved", "--from", "nowhere"), "no such folder"),
        (("moved", "--json"), "are for --from DIR"),
    ],
    ids=["within itself", "over itself", "nowhere", "without --from"],
)
def test_what_cannot_be_done_leaves_nothing(
    tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    """One line, and all as it was."""
    old_project(tmp_path)
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    with pytest.raises(UsageError, match=told) as error:
        run_new(tmp_path, *arguments)
    assert "\n" not in str(error.value)
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before


def test_a_file_that_cannot_be_copied_leaves_nothing(tmp_path: Path) -> None:
    """A named pipe, which nobody could read to its end."""
    os.mkfifo(old_project(tmp_path) / "code" / "pipe")
    with pytest.raises(UsageError, match=r"moved cannot be written \(.*pipe.*\)"):
        run_new(tmp_path, "moved", "--from", "old")
    assert os.listdir(tmp_path) == ["old"]
