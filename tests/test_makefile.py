"""What `make` does for a function that brings a `s.yaml` and a `requirements.txt` of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import RUNS_WITHIN

ROOT = Path(__file__).parents[1]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with what the commands ask for, and nothing installed."""
    for name in ("Makefile", "pyproject.toml", "s.yaml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("requirements-dev.lock", "requirements-uv.lock"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def commands(clone: Path, *target: str) -> list[str]:
    """Return what `make` would run."""
    done = subprocess.run(
        ["make", "-n", f"PYTHON={sys.executable}", *target],
        cwd=clone,
        # As typed by a person, also if the tests are run by make itself.
        env={k: v for k, v in os.environ.items() if k not in {"MAKEFLAGS", "MAKELEVEL"}},
        capture_output=True,
        text=True,
        timeout=RUNS_WITHIN,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("command", ["run", "emulate"])
def test_the_service_is_started_by_its_own_command(clone: Path, command: str) -> None:
    """So that a `service.py` of the function never runs in its place."""
    assert commands(clone, command)[-1].startswith("exec .venv/bin/fc-event-service ")


def test_the_emulator_runs_the_files_in_place_of_the_bundle(clone: Path) -> None:
    """Nobody has to build what `s.yaml` deploys before each try."""
    assert "--code ." in commands(clone, "emulate")[-1]


def test_the_emulator_runs_the_folder_that_a_function_deploys(clone: Path) -> None:
    """A `s.yaml` of the built-in runtime says where the code is, and is right."""
    (clone / "s.yaml").write_text(
        "# not ./build/code\nprops: {runtime: python3.10, code: ./code}\n"
    )
    assert "--code" not in commands(clone, "emulate")[-1]
    assert commands(clone, "emulate", "ARGS=--json")[-1].endswith("emulate  --json")


def test_the_functions_version_of_a_package_wins_over_the_tools(clone: Path) -> None:
    """What `make dev` and `make emulate` install is followed by what is deployed."""
    (clone / "requirements.txt").write_text("requests==2.32.3\n")
    locks = [line.split()[-1] for line in commands(clone, ".venv/dev.stamp") if "-r " in line]
    assert locks == ["requirements.lock", "requirements-dev.lock", "requirements.lock"]


@pytest.mark.parametrize("command", ["image", "bundle", ".venv/run.stamp"])
def test_a_list_of_packages_that_changed_is_locked_before_it_is_used(
    clone: Path, command: str
) -> None:
    """For the image too, and if the function is in a folder of the clone."""
    (clone / "shop").mkdir()
    (clone / "requirements.txt").write_text("requests\n")
    for function in ("FUNCTION=.", "FUNCTION=shop"):
        said = commands(clone, command, function)
        (asked,) = {line for line in said if "lock-function" in line}
        assert asked.startswith('grep -qx "# ./requirements.txt: ')


def test_what_is_passed_on_to_the_service_is_not_passed_on_to_the_lock(clone: Path) -> None:
    """`make run ARGS="--handler app.main"` locks a new list of packages all the same."""
    (clone / "requirements.txt").write_text("requests\n")
    said = commands(clone, "run", "ARGS=--handler app.main")
    (asked,) = {line for line in said if "lock-function" in line}
    assert asked.endswith("lock-function ARGS=")
    assert "--handler" not in "".join(commands(clone, "lock-function", "ARGS="))
    locking = "".join(commands(clone, "lock", "ARGS=--upgrade"))
    assert locking.count("--upgrade") == locking.count("pip compile") == 6


@pytest.mark.parametrize(
    ("target", "asked"),
    [
        (["image"], ["docker build -t fc-event-service ."]),
        (
            ["image", "FUNCTION=shop"],
            ["docker build -t fc-event-service --build-arg FUNCTION=shop ."],
        ),
        (["image", "BUILD=podman build -t mine"], ["podman build -t mine ."]),
        (
            ["push", "IMAGE=registry.example/ns/shop:1"],
            [
                "docker build --platform linux/amd64 -t registry.example/ns/shop:1 .",
                "docker push registry.example/ns/shop:1",
            ],
        ),
    ],
    ids=["image", "of another folder", "another engine", "push"],
)
def test_an_engine_is_asked_for_the_image(clone: Path, target: list[str], asked: list[str]) -> None:
    """What is typed for it, as one would type it."""
    assert commands(clone, *target)[-len(asked) :] == asked


def test_what_is_pushed_has_a_name(clone: Path) -> None:
    """Without one nothing is built."""
    done = subprocess.run(["make", "push"], cwd=clone, capture_output=True, text=True)
    (line,) = done.stderr.splitlines()
    assert "Say where to: make push IMAGE=REGISTRY/NAMESPACE/NAME:TAG" in line
