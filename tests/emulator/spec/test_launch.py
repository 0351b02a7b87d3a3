"""What starts an instance of each kind of function."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from service.emulator.spec.launch import kind_of, launch

OURS = (sys.executable, "-P", "-m", "fc_event_service")


def started(code: Path, **props: Any) -> tuple[tuple[str, ...], dict[str, str], list[str]]:
    """The command, the variables, and the places of what is told."""
    told: list[str] = []
    found = launch(props, code, lambda place, _text: told.append(".".join(map(str, place))))
    return found.command, dict(found.variables), told


KINDS = {
    "custom": "custom",
    "custom.debian10": "custom",
    "custom.debian99": "custom",
    "custom-container": "custom-container",
    "python3": "python",
    "python3.9": "python",
    "python3.14": "python",
    "python2.7": "",
    "python": "",
    "customized": "",
    "micro-sandbox": "",
    "nodejs20": "",
    "go1": "",
}


@pytest.mark.parametrize(("runtime", "kind"), KINDS.items())
def test_runtimes_of_three_kinds_are_played(runtime: str, kind: str) -> None:
    """Custom ones, images, and Python 3 of whatever version."""
    assert kind_of({"runtime": runtime}) == kind


@pytest.mark.parametrize("runtime", [None, 3, ["custom"]])
def test_what_is_no_text_is_no_runtime(runtime: object) -> None:
    """A value of another type is of no kind."""
    assert kind_of({"runtime": runtime}) == ""


def test_a_built_in_runtime_is_this_service(tmp_path: Path) -> None:
    """Its concurrency, its hooks and their time-outs are those of the configuration."""
    hooks = {
        "initializer": {"handler": "main.up", "timeout": 30},
        "preStop": {"handler": "main.down", "timeout": 1},
    }
    command, variables, told = started(
        tmp_path, runtime="python3.10", instanceConcurrency=20, instanceLifecycleConfig=hooks
    )
    assert command == OURS
    assert variables == {
        "SERVICE_CONCURRENCY": "20",
        "SERVICE_INITIALIZER": "main.up",
        "SERVICE_INITIALIZE_TIMEOUT": "29",
        "SERVICE_PRE_STOP": "main.down",
        "SERVICE_DRAIN_TIMEOUT": "0.9",
    }
    assert told == ["runtime"]


def test_a_built_in_runtime_without_hooks_runs_none(tmp_path: Path) -> None:
    """What the configuration does not name, the platform does not run."""
    _, variables, _ = started(tmp_path, runtime="python3.10")
    assert (variables["SERVICE_INITIALIZER"], variables["SERVICE_PRE_STOP"]) == ("none", "none")


def test_an_image_of_which_nothing_is_known_is_this_service(tmp_path: Path) -> None:
    """The names of an image's hooks mean nothing, so they are not passed on."""
    hooks = {"initializer": {"handler": "initialize"}}
    command, variables, told = started(
        tmp_path,
        runtime="custom-container",
        customContainerConfig={"image": "a/b"},
        instanceLifecycleConfig=hooks,
    )
    assert command == OURS
    assert "SERVICE_INITIALIZER" not in variables
    assert told == ["customContainerConfig.image"]


def test_an_image_runs_what_its_dockerfile_says(tmp_path: Path) -> None:
    """If the file has neither entrypoint nor command."""
    (tmp_path / "Dockerfile").write_text('FROM x\nWORKDIR /app\nCMD ["python", "/app/main.py"]\n')
    image = {"image": "a/b"}
    command, variables, told = started(
        tmp_path, runtime="custom-container", customContainerConfig=image
    )
    assert (command, variables) == (("python", f"{tmp_path}/main.py"), {})
    assert told == ["customContainerConfig.image"]
