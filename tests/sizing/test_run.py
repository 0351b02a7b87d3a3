"""`python -m service size`, typed as a user types it: what it refuses, keeps and prints again."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from service.commands.main import run_command
from service.errors import HandlerUnfit, UsageError
from service.sizing.level import SIZE_LEVELS
from service.sizing.measuring.subject import deployed_size, sized_function, subject_of
from service.sizing.report import SizeReport, read_report, write_report
from service.sizing.request import SizeRequest
from tests.sizing.measured import report

HANDLER = "async def handler(event, context):\n    return event\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A function of which only the code is there."""
    (tmp_path / "index.py").write_text(HANDLER)
    return tmp_path


def kept(folder: Path, **changes: object) -> SizeReport:
    """A report of the folder's function, as `size` without flags would have left it."""
    request = SizeRequest(b"{}", folder, folder / "reports" / "size.json")
    function = sized_function(request)
    given = replace(
        report(0.000_5, 0.1),
        subject=subject_of(function, b"{}"),
        deployed=deployed_size(request, function),
    )
    given = replace(given, **changes)  # type: ignore[arg-type]
    write_report(given, request.report)
    return given


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--seconds", "1"], "--seconds 1: is not from 5 to 86,400"),
        (["--levels", "1,300"], "--levels 1,300: is no list of numbers from 1 to 200"),
        (["--levels", "many"], "--levels many"),
        (["--p99", "nan"], "--p99 nan"),
        (["--rate", "-1"], "--rate -1"),
        (["--rate", "5", "--max-instances", "0"], "--max-instances 0"),
        (["--event", "nonsense"], "is neither a file nor JSON"),
        (["--spec", "other.yaml"], "--spec other.yaml: there is no such file"),
        (["--handler", "app.main"], "there is neither s.yaml nor app.py"),
        (["--function", "other"], "--function other: is not there"),
        (["--resume"], "to go on with"),
    ],
    ids=lambda value: "-".join(value).strip("-") if isinstance(value, list) else "",
)
def test_what_cannot_be_is_refused_before_anything_starts(
    folder: Path, flags: list[str], told: str
) -> None:
    """One line that says what is allowed."""
    with pytest.raises(UsageError, match=r"\A[^\n]*\Z") as refused:
        run_command(["size", *flags], folder)
    assert told in str(refused.value)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """No picture, which takes longer than all else."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)


@pytest.mark.usefixtures("undrawn")
def test_a_measurement_is_printed_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With nothing missing --resume measures nothing, and prints what there is."""
    kept(folder)
    assert run_command(["size", "--resume"], folder) == 0
    said = capsys.readouterr().out
    assert "instanceConcurrency: " in said
    assert "no picture: it needs matplotlib" in said


@pytest.mark.usefixtures("undrawn")
def test_a_fleet_is_simulated_from_what_was_measured(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without measuring anew; the same seed prints the same."""
    kept(folder)
    said = []
    for _ in range(2):
        arguments = ["size", "--rate", "20", "--duration", "15", "--seed", "3"]
        assert run_command(arguments, folder) == 0
        said.append(capsys.readouterr().out)
    assert "constant: at most 20 calls/s for 15 s" in said[0]
    assert said[0] == said[1]


@pytest.mark.usefixtures("undrawn")
def test_json_is_one_document_on_stdout(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For CI: what was measured, its fit, what to deploy and why, and the fleet; progress is on
    stderr.
    """
    kept(folder)
    assert run_command(["size", "--json", "--rate", "20", "--duration", "15"], folder) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["exit_code"] == 0
    assert [each["at_once"] for each in said["report"]["levels"]] == list(SIZE_LEVELS)
    assert said["fit"]["wait"] == pytest.approx(0.1, rel=0.05)
    assert said["advice"]["size"].keys() == {"cpu", "memory"}
    assert said["advice"]["reasons"]
    assert [each["at_once"] for each in said["fleet"]["rows"]] == list(SIZE_LEVELS)
    assert said["fleet"]["seed"] == 1
    assert said["pictures"] == []


@pytest.mark.parametrize("flags", [["--pattern", "no.csv"], ["--prices", "no.toml"]])
def test_files_of_the_fleet_are_read_before_anything_is_measured(
    folder: Path, flags: list[str]
) -> None:
    """A minute of measuring is not spent on what then cannot be simulated."""
    with pytest.raises(UsageError, match=flags[1]):
        run_command(["size", "--rate", "20", *flags], folder)
    assert read_report(folder / "reports" / "size.json") is None


def test_another_measurement_is_not_gone_on_with(folder: Path) -> None:
    """What differs is named."""
    kept(folder)
    with pytest.raises(UsageError, match="is of another measurement"):
        run_command(["size", "--resume", "--event", '{"other": 1}'], folder)


def test_a_function_of_the_file_is_measured_with_what_it_deploys(folder: Path) -> None:
    """One of several has to be named."""
    resource = """
  {name}:
    component: fc3
    props:
      region: cn-hangzhou
      functionName: {name}
      runtime: custom.debian12
      code: .
      handler: index.handler
      cpu: 0.5
      memorySize: 1024
      instanceConcurrency: 20
      environmentVariables: {{SERVICE_WORKERS: "2"}}
"""
    (folder / "s.yaml").write_text(
        "edition: 3.0.0\nname: x\nresources:" + resource.format(name="a")
    )
    request = SizeRequest(b"{}", folder, folder / "size.json")
    function = sized_function(request)
    assert deployed_size(request, function) == {"concurrency": 20, "memory": 1024, "cpu": 0.5}
    assert subject_of(function, b"{}").workers == 2
    with (folder / "s.yaml").open("a") as file:
        file.write(resource.format(name="b"))
    with pytest.raises(UsageError, match="which one"):
        sized_function(request)
    assert sized_function(replace(request, function="b")).name == "b"


def test_a_handler_that_fails_is_told_in_one_line(folder: Path) -> None:
    """With what to do, before any level is measured; exit code 1."""
    (folder / "index.py").write_text("def handler(event, context):\n    raise KeyError('order')\n")
    with pytest.raises(
        HandlerUnfit, match=r"\Athe handler fails: KeyError: 'order' [^\n]*\Z"
    ) as told:
        run_command(["size", "--seconds", "600"], folder)
    assert told.value.exit_code == 1
    assert read_report(folder / "reports" / "size.json") is None
