"""What is read of an image's Dockerfile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service.emulator.spec.placed import read_placed
from tests.checking.project import HANDLER, found, project, told
from tests.parse_spec import ROOT

GOOD = """\
ARG PYTHON=3.13
FROM python:${PYTHON}-slim
COPY . /code
ENV SERVICE_CONCURRENCY=10
USER 65534:65534
EXPOSE 9000
CMD ["python", "-P", "-m", "fc_event_service"]
"""


def of_image(folder: Path, dockerfile: str | None, **config: Any) -> list[str]:
    """What is told of a function that is an image."""
    changes = {
        "runtime": "custom-container",
        "code": None,
        "customRuntimeConfig": None,
        "environmentVariables": None,
        "customContainerConfig": {"image": "registry/a/b:1", "port": 9000, **config},
    }
    files = {"index.py": HANDLER}
    if dockerfile is not None:
        files["Dockerfile"] = dockerfile
    return told(found(project(folder, changes, files)))


def test_a_dockerfile_that_fits_has_no_fault(tmp_path: Path) -> None:
    """Its Python is that of its last stage; its variables are settings."""
    lines = of_image(tmp_path, GOOD)
    assert not [line for line in lines if line.startswith(("fault", "warning"))]
    assert "ok python customContainerConfig.command: Python 3.13 runs it" in lines
    assert any(
        line.startswith("ok image Dockerfile: begins with python:3.13-slim") for line in lines
    )


WRONG = {
    "another machine": (
        GOOD.replace("FROM ", "FROM --platform=linux/arm64 "),
        "fault image Dockerfile:2: is made for linux/arm64, and instances are linux/amd64",
    ),
    "a Python that is too old": (
        GOOD.replace("3.13", "3.9"),
        "fault python customContainerConfig.command: Python 3.9 runs it, and the service needs",
    ),
    "nothing that starts": (
        GOOD.replace("CMD", "LABEL x="),
        "fault image Dockerfile:2: has neither CMD nor ENTRYPOINT: that of python:3.13-slim is",
    ),
    "nothing that starts, of another image": (
        "FROM debian\n",
        "unknown image Dockerfile: has neither CMD nor ENTRYPOINT: what debian starts cannot",
    ),
    "a shell": (
        GOOD.replace('["python", "-P", "-m", "fc_event_service"]', "python -m fc_event_service"),
        "warning image Dockerfile:7: CMD is run by a shell, which keeps SIGTERM to itself",
    ),
    "single quotes": (
        GOOD.replace('"', "'"),
        "fault image Dockerfile:7: CMD is no JSON, so that a shell is given it",
    ),
    "another port": (
        GOOD.replace("EXPOSE 9000", "EXPOSE 8080/tcp"),
        "warning port customContainerConfig.port: the platform calls port 9000, the Dockerfile"
        " exposes 8080",
    ),
    "a port of the service": (
        GOOD.replace("SERVICE_CONCURRENCY=10", "SERVICE_PORT=8080"),
        "fault port customContainerConfig.port: the port is 9000, SERVICE_PORT is 8080",
    ),
    "another concurrency": (
        GOOD.replace("SERVICE_CONCURRENCY=10", "SERVICE_CONCURRENCY=5"),
        "warning concurrency instanceConcurrency: instanceConcurrency is 10, SERVICE_CONCURRENCY",
    ),
    "root": (
        GOOD.replace("65534:65534", "root"),
        "warning image Dockerfile:5: runs as root",
    ),
    "no user": (
        GOOD.replace("USER 65534:65534\n", ""),
        "warning image Dockerfile: runs as root",
    ),
    "no Dockerfile": (None, "unknown image customContainerConfig.image: what it runs is not known"),
}


@pytest.mark.parametrize("case", WRONG)
def test_one_thing_that_is_wrong_with_an_image_is_told(case: str, tmp_path: Path) -> None:
    """With its line."""
    text, expected = WRONG[case]
    lines = of_image(tmp_path, text)
    assert [line for line in lines if line.startswith(expected)], "\n".join(lines)


def test_a_command_of_the_file_takes_the_place_of_the_images(tmp_path: Path) -> None:
    """What the Dockerfile starts does not count then."""
    text = GOOD.replace('CMD ["python", "-P", "-m", "fc_event_service"]', "CMD python x.py")
    lines = of_image(tmp_path, text, command=["python", "-m", "fc_event_service"])
    assert not [line for line in lines if line.startswith(("fault", "warning"))]


def test_the_image_of_this_repository_fits() -> None:
    """Its file and its Dockerfile, without an engine."""
    file = ROOT / "s.image.yaml"
    assert read_placed(file, environ={}).faults == {}
    lines = [line for line in told(found(file)) if line.startswith(("fault", "warning"))]
    assert lines == []
