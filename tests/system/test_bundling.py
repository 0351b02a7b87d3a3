"""Packages that exist as source only: they are bundled if they are Python alone, and told of in a
line if they are not.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from service.bundling.run_uv import read_settings

ROOT = Path(__file__).parents[2]
PACKAGES = [sys.executable, "-m", "bundling.packages"]
"""As the Dockerfile has it: no package but uv is there."""
SETUP = "from setuptools import Extension, setup\nsetup(name={name!r}, version='1.0', {what})\n"


def sdist(folder: Path, name: str, what: str) -> str:
    """Write a package's source into `folder`; return its line of a lock file."""
    inside = folder / f"{name}-1.0"
    inside.mkdir(parents=True)
    (inside / "setup.py").write_text(SETUP.format(name=name, what=what))
    (inside / "PKG-INFO").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (inside / f"{name}.py").write_text("ANSWER = 7\n")
    (inside / "fast.c").write_text("#error nothing is compiled\n")
    archive = folder / f"{name}-1.0.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(inside, inside.name)
    return f"{name}==1.0 --hash=sha256:{hashlib.sha256(archive.read_bytes()).hexdigest()}\n"


def installed(folder: Path, lock: str) -> subprocess.CompletedProcess[str]:
    """Install what the lock's text names from the archives in `folder`, and from nowhere else."""
    (folder / "bundling").symlink_to(ROOT / "service" / "bundling")
    (folder / "a.lock").write_text(lock)
    command = [*PACKAGES, str(folder / "packages")]
    command += [str(folder / "a.lock"), "--no-index", "--find-links", str(folder)]
    return subprocess.run(
        command,
        cwd=folder,  # what it builds is kept there
        env={k: v for k, v in os.environ.items() if not k.startswith(("UV_", "COVERAGE_"))},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("quite_pure", "py_modules=['quite_pure']"),
        ("crcmod", "py_modules=['crcmod'], ext_modules=[Extension('fast', ['fast.c'])]"),
    ],
)
def test_a_package_of_python_alone_is_built(tmp_path: Path, name: str, what: str) -> None:
    """And one that can do without its compiled parts is built without them."""
    folder = tmp_path / "archives"
    done = installed(folder, sdist(folder, name, what))
    assert done.returncode == 0, done.stderr
    wheel = next((folder / "packages").glob("*.dist-info/WHEEL")).read_text()
    assert "Tag: py3-none-any" in wheel
    code = f"import {name}; print({name}.ANSWER)"
    command = [sys.executable, "-c", code]
    environ = {**os.environ, "PYTHONPATH": str(folder / "packages")}
    assert subprocess.check_output(command, env=environ) == b"7\n"


def test_a_package_that_has_to_be_compiled_is_told_in_a_line(tmp_path: Path) -> None:
    """The package, the reason, and what to do."""
    folder = tmp_path / "archives"
    what = "py_modules=['psycopg2'], ext_modules=[Extension('fast', ['fast.c'])]"
    done = installed(folder, sdist(folder, "psycopg2", what))
    assert done.returncode == 1
    assert done.stderr == (
        "psycopg2 exists as source only and has compiled parts (fast): take psycopg2-binary in its"
        " place\n"
    )


def test_a_package_that_another_tool_builds_is_told_in_a_line(tmp_path: Path) -> None:
    """A source whose tool is not here is not guessed at."""
    folder = tmp_path / "archives"
    lock = sdist(folder, "odd", "")
    build = "[build-system]\nrequires = ['no_such_tool']\nbuild-backend = 'no_such_tool.api'\n"
    (folder / "odd-1.0" / "pyproject.toml").write_text(build)
    shutil.rmtree(folder / "odd-1.0" / "__pycache__", ignore_errors=True)
    archive = folder / "odd-1.0.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder / "odd-1.0", "odd-1.0")
    lock = f"odd==1.0 --hash=sha256:{hashlib.sha256(archive.read_bytes()).hexdigest()}\n"
    done = installed(folder, lock)
    assert done.returncode == 1
    assert done.stderr.startswith("odd exists as source only and is built with no_such_tool")
    assert len(done.stderr.splitlines()) == 1


def test_a_source_of_another_hash_is_refused(tmp_path: Path) -> None:
    """What is built is what was locked."""
    folder = tmp_path / "archives"
    sdist(folder, "quite_pure", "py_modules=['quite_pure']")
    done = installed(folder, f"quite_pure==1.0 --hash=sha256:{'0' * 64}\n")
    assert done.returncode == 1
    assert "Hash mismatch" in done.stderr
    assert not (folder / "packages" / "quite_pure.py").exists()


@pytest.mark.long
def test_the_sdk_of_oss_is_bundled(tmp_path: Path) -> None:
    """`make bundle` with oss2 in requirements.txt: it is locked, built and imported. It needs the
    registry.
    """
    kept = ["Makefile", "pyproject.toml", "setup.py", "README.md", "index.py"]
    kept += ["service", "installed", "config"]
    for name in (*kept, "requirements.lock", "requirements-uv.lock"):
        place = ROOT / name
        if place.is_dir():
            shutil.copytree(place, tmp_path / name, symlinks=True)
        else:
            shutil.copy(place, tmp_path / name)
    (tmp_path / "requirements.txt").write_text("oss2\n")
    environ = {**os.environ, "MAKEFLAGS": ""}
    command = ["make", "bundle", f"PYTHON={sys.executable}", "BUNDLE=3.11"]
    subprocess.run(command, cwd=tmp_path, env=environ, check=True, timeout=500)
    packages = tmp_path / "build" / "code" / "python"
    assert not list(packages.glob("crcmod/*.so"))
    environ |= {"PYTHONPATH": str(packages)}
    python = shutil.which("python3.11")
    if python is None:
        pytest.skip("there is no Python 3.11, which the bundle is for")
    subprocess.run([python, "-c", "import oss2; oss2.Bucket"], env=environ, check=True)


# --- where packages come from


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a package index on loopback, of the files in `folder`."""

    class Index(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    def handler(*arguments: object) -> Index:
        return Index(*arguments, directory=str(folder))  # type: ignore[arg-type]

    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/simple"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("by", ["a file", "a variable"])
def test_packages_come_from_the_index_that_pip_is_told_of(tmp_path: Path, by: str) -> None:
    """Where `make run` works behind a mirror, `make bundle` does."""
    folder = tmp_path / "archives"
    lock = sdist(folder, "quite_pure", "py_modules=['quite_pure']")
    (folder / "bundling").symlink_to(ROOT / "service" / "bundling")
    page = folder / "simple" / "quite-pure"
    page.mkdir(parents=True)
    (page / "index.html").write_text("<a href='/quite_pure-1.0.tar.gz'>quite_pure-1.0.tar.gz</a>")
    config = folder / "pip.conf"
    environ = {
        k: v for k, v in os.environ.items() if not k.startswith(("UV_", "PIP_", "COVERAGE_"))
    }
    with served(folder) as address:
        config.write_text(f"[global]\nindex-url = {address}\n" if by == "a file" else "")
        if by == "a variable":
            environ["PIP_INDEX_URL"] = address
        (folder / "a.lock").write_text(lock)
        done = subprocess.run(
            [*PACKAGES, folder / "packages", folder / "a.lock"],
            cwd=folder,
            env={**environ, "PIP_CONFIG_FILE": str(config)},
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    assert (folder / "packages" / "quite_pure.py").exists()


def test_a_variable_of_pips_stands_above_its_files() -> None:
    """And what is said for `install` above what is said for all of its commands."""
    listed = """global.cert='/a.pem'
global.index-url='one'
install.index-url='two'
:env:.cert='/b.pem'
"""
    assert read_settings(listed) == {"index-url": "two", "cert": "/b.pem"}
    assert read_settings("") == {}
