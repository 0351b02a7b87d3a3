"""What is uploaded, used by somebody who has no clone: the wheel in a bare environment, and the
tests of the source archive from the source archive.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import urllib.request
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from tests.harness import STARTS_WITHIN

pytestmark = pytest.mark.long
ROOT = Path(__file__).parents[2]
QUICK = ("tests/test_protocol.py", "tests/test_errors.py", "tests/settings", "tests/events")
MADE = (".git", ".venv*", "build", "dist", "reports", "*_cache", "__pycache__", "*.egg-info")
BUILD = "import sys, setuptools.build_meta as b; print(getattr(b, sys.argv[1])(sys.argv[2]))"
WITHIN = 120
needs_git = pytest.mark.skipif(
    not (shutil.which("git") and (ROOT / ".git").exists()), reason="this is no clone of git's"
)


def run(folder: Path, *command: object, **variables: str) -> str:
    """What a command prints; nothing of this clone is on its path."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "COV"))}
    done = subprocess.run(
        [str(each) for each in command],
        cwd=folder,
        env={**environment, **variables},
        capture_output=True,
        text=True,
        timeout=WITHIN,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the source archive unpacks to."""
    place = tmp_path_factory.mktemp("archive")
    ignored = shutil.ignore_patterns(*MADE)
    shutil.copytree(ROOT, place / "clone", symlinks=True, ignore=ignored)
    run(place / "clone", sys.executable, "-c", BUILD, "build_sdist", place)
    (made,) = place.glob("*.tar.gz")
    with tarfile.open(made) as packed:
        packed.extractall(place, filter="data")
    return place / made.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def wheel(archive: Path) -> Path:
    """The wheel that is built of it."""
    run(archive, sys.executable, "-c", BUILD, "build_wheel", archive.parent)
    (made,) = archive.parent.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheel and what it needs, and nothing more."""
    place = tmp_path_factory.mktemp("bare")
    needed = place / "needed"
    needed.mkdir()
    for name in re.findall(r"(?m)^([\w.-]+)==", (ROOT / "requirements.lock").read_text()):
        for file in metadata.distribution(name).files or ():
            top, source = file.parts[0], Path(str(file.locate())).parents[len(file.parts) - 2]
            if len(file.parts) > 1 and ".." not in file.parts and not (needed / top).exists():
                (needed / top).symlink_to(source)
            elif len(file.parts) == 1 and not (needed / top).exists():
                (needed / top).symlink_to(Path(str(file.locate())))
    venv.create(place / "env", with_pip=True)
    programs = place / "env" / "bin"
    run(place, programs / "python", "-m", "pip", "install", "-q", "--no-deps", "--no-index", wheel)
    (site,) = (place / "env" / "lib").glob("python*/site-packages")
    (site / "needed.pth").write_text(f"{needed}\n")
    return programs


@needs_git
def test_the_wheel_has_each_file_of_the_service(wheel: Path) -> None:
    """Code, types, schemas, samples and templates."""
    packed = set(zipfile.ZipFile(wheel).namelist())
    for name in run(ROOT, "git", "ls-files", "service").split():
        assert name.replace("service/", "fc_event_service/", 1) in packed
    assert not [name for name in packed if name.startswith(("tests/", "benchmarks/"))]


@needs_git
def test_the_source_archive_has_each_file_of_the_repository(archive: Path) -> None:
    """And the link is a link in it, too."""
    for name in run(ROOT, "git", "ls-files").split():
        assert os.path.lexists(archive / name), name
    assert (archive / "installed" / "fc_event_service").readlink() == Path("../service")


def test_what_is_installed_invokes_and_shows_events_in_an_empty_folder(
    bare: Path, tmp_path: Path
) -> None:
    """With a file of three lines, and no extra."""
    (tmp_path / "index.py").write_text(
        "import fc_event_service\n\ndef handler(event: dict, context):\n"
        "    return [event['n'], fc_event_service.__file__]\n"
    )
    number, place = json.loads(run(tmp_path, bare / "fc-event-service", "invoke", '{"n": 7}'))
    assert number == 7
    assert place.startswith(str(bare.parent))
    assert "oss.put" in run(tmp_path, bare / "fc-event-service", "event")
    event = json.loads(run(tmp_path, bare / "python", "-m", "service", "event", "oss.put"))
    assert event["events"]


def test_what_is_installed_serves_in_an_empty_folder(bare: Path, tmp_path: Path) -> None:
    """And ends with 0 when it is told to stop."""
    (tmp_path / "index.py").write_text("def handler(event, context):\n    return event.upper()\n")
    process = subprocess.Popen(
        [bare / "fc-event-service", "--port", "0", "--host", "127.0.0.1"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        url = next(found[0] for line in lines if (found := re.findall(r"http://[\d.:]+", line)))
        asked = urllib.request.Request(f"{url}/invoke", b"abc", method="POST")
        with urllib.request.urlopen(asked, timeout=STARTS_WITHIN) as answer:
            assert answer.read() == b"ABC"
    finally:
        process.terminate()
        process.communicate(timeout=STARTS_WITHIN)
    assert process.returncode == 0


def test_the_tests_of_the_source_archive_pass_from_it(archive: Path) -> None:
    """A quick choice of them, on the code that it has."""
    command = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *QUICK)
    path = str(archive / "installed")
    said = run(archive, *command, PYTHONPATH=path)
    assert re.search(r"\d{3,} passed", said)
    code = "import fc_event_service as s; print(s.__file__)"
    # It is the link's, wherever that leads.
    assert run(archive, sys.executable, "-c", code, PYTHONPATH=path).startswith(str(archive))
