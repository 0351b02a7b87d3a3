"""A function that has moved is bundled by its own `make`, and served from that package alone."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.bundling.code_package import RUNTIMES
from tests.harness import RUNS_WITHIN, STARTS_WITHIN, held_port
from tests.projects.old import BUILT_IN
from tests.projects.test_moving import run_new
from tests.testing.bare_environment import built_wheel

VERSION = "{}.{}".format(*sys.version_info)
LIMIT = 25_000_000
HEADERS = {
    "x-fc-request-id": "1-67a59f35-150c1267-f381ba1c085c",
    "x-fc-control-path": "/invoke",
    "x-fc-function-name": "moved",
    "x-fc-function-timeout": "60",
    "x-fc-function-memory": "1024",
    "x-fc-region": "cn-hangzhou",
    "content-type": "application/octet-stream",
}
EVENTS = {
    "hello": (b'{"key": "value"}', b"hello world"),
    "word-count": (b'{"name": "a/poem.txt", "text": "one two"}', {"name": "poem", "words": 2}),
    "orders": (
        b'{"orders": [{"sku": "tea", "quantity": 2}]}',
        {"total": "10.7100", "currency": "CNY"},
    ),
}
UNZIP = Path(__file__).parents[2] / "examples" / "unzip" / "before"
VARIABLES = {"orders": {"RATE": "0.19", "CURRENCY": "CNY", "FC_FUNCTION_HANDLER": "main.book"}}

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(VERSION not in RUNTIMES, reason=f"no runtime has Python {VERSION}"),
]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel of this repository, built without a network."""
    source = tmp_path_factory.mktemp("source")
    return built_wheel(source).parent


@pytest.fixture(scope="module")
def environ(wheels: Path) -> dict[str, str]:
    """The variables of who types `make`; pip and uv find the wheel."""
    places = f"{wheels} {os.environ.get('PIP_FIND_LINKS', '')}"
    own = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "COVERAGE_"))}
    return own | {"PIP_FIND_LINKS": places}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, environ: dict[str, str]) -> Path:
    """The environment of a new project, which its `make` makes: that of the others, too."""
    folder = tmp_path_factory.mktemp("first")
    run_new(folder, "first")
    command = ["make", "-s", ".venv/ready", f"PYTHON={sys.executable}"]
    subprocess.run(command, cwd=folder / "first", env=environ, check=True, timeout=400)
    return folder / "first" / ".venv"


def zipped(project: Path, environment: Path, environ: dict[str, str]) -> Path:
    """The zip that the project's `make zip` makes, which is the same if it is made twice."""
    (project / ".venv").symlink_to(environment)
    (environment / "ready").touch()  # it has what each of them asks for
    command = ["make", "-s", "zip", f"RUNTIME_PYTHON={VERSION}"]
    digests = set()
    for _ in range(2):
        subprocess.run(command, cwd=project, env=environ, check=True, timeout=400)
        archive = project / "build" / "code.zip"
        digests.add(hashlib.sha256(archive.read_bytes()).hexdigest())
    assert len(digests) == 1
    return archive


@contextmanager
def started(
    archive: Path, folder: Path, more: dict[str, str]
) -> Iterator[http.client.HTTPConnection]:
    """A connection to what the package's `bootstrap` starts, in a folder with nothing else."""
    code = folder / "deployed" / "code"
    with zipfile.ZipFile(archive) as read:
        for entry in read.infolist():
            Path(read.extract(entry, code)).chmod(entry.external_attr >> 16)
    python = code / "interpreter" / "bin" / f"python{VERSION}"  # that of the runtime
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys._base_executable} "$@"\n')  # type: ignore[attr-defined]
    python.chmod(0o755)
    with held_port() as port:
        environ = {"PATH": "/usr/bin:/bin", "FC_CUSTOM_LISTEN_PORT": str(port), **more}
        with subprocess.Popen(
            [code / "bootstrap"],
            cwd="/",
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout is not None
            try:
                lines: list[str] = []
                while not any(" serves " in line for line in lines):
                    line = process.stdout.readline()
                    assert line, lines
                    lines.append(line)
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=STARTS_WITHIN)
                yield connection
                connection.close()
                process.terminate()
                process.communicate(timeout=RUNS_WITHIN)
                assert process.returncode == 0
            finally:
                process.kill()


@pytest.mark.parametrize("case", EVENTS)
def test_it_answers_from_its_package_alone(
    tmp_path: Path, environ: dict[str, str], environment: Path, case: str
) -> None:
    """Its bootstrap, started with nothing of this machine but a Python, answers the platform."""
    assert run_new(tmp_path, "moved", "--from", str(BUILT_IN / case)) == 0
    archive = zipped(tmp_path / "moved", environment, environ)
    assert archive.stat().st_size < LIMIT
    event, result = EVENTS[case]
    with started(archive, tmp_path, VARIABLES.get(case, {})) as connection:
        connection.request(
            "POST", "/initialize", headers=HEADERS | {"x-fc-control-path": "/initialize"}
        )
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"")
        connection.request("POST", "/invoke", event, HEADERS)
        answer = connection.getresponse()
        body = answer.read()
        assert (answer.status, answer.getheader("x-fc-status")) == (200, "200"), body
        assert (json.loads(body) if isinstance(result, dict) else body) == result


def test_one_with_packages_of_its_own_starts_from_its_package_alone(
    tmp_path: Path, environ: dict[str, str], environment: Path
) -> None:
    """The function of examples/unzip, whose client of OSS is in the package. It needs the registry
    of packages.
    """
    old = Path(shutil.copytree(UNZIP, tmp_path / "before"))
    assert run_new(tmp_path, "moved", "--from", str(old)) == 0
    archive = zipped(tmp_path / "moved", environment, environ)
    assert archive.stat().st_size < LIMIT
    with started(archive, tmp_path, {"TARGET": "unpacked/"}) as connection:
        connection.request("GET", "/health")
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["ready"]) == (200, True)
