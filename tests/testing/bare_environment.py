"""An environment as a user's: our wheel, pytest, what these need, and nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
SOURCE = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "service", "installed")
OURS = "fc-event-service"


def built_wheel(folder: Path) -> Path:
    """Build the wheel from a copy of the source, as `pip wheel` does."""
    for name in SOURCE:
        place = ROOT / name
        if place.is_dir():
            shutil.copytree(place, folder / name, symlinks=True, ignore=_left_out)
        else:
            shutil.copy(place, folder)
    flags = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    command = [sys.executable, "-m", "pip", "wheel", *flags, "-w", str(folder / "dist")]
    subprocess.run([*command, str(folder)], check=True)
    return next((folder / "dist").glob("*.whl"))


_left_out = shutil.ignore_patterns("__pycache__", "*.egg-info")


def bare_environment(folder: Path, wheel: Path, *packages: str) -> Path:
    """Make an environment with our wheel, and some of the packages that are installed here; return
    its Python. Nothing is downloaded.
    """
    venv.create(folder, with_pip=False)
    python = folder / "bin/python"
    [place] = folder.glob("lib/python*/site-packages")
    for name in _closure([OURS, *packages]):
        if name != OURS:
            _link(distribution(name), place)
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", str(wheel)], check=True)
    return python


def _closure(wanted: list[str]) -> Iterator[str]:
    """Yield what is wanted, `name[extra]`, and all that it needs."""
    known: set[str] = set()
    todo = [Requirement(each) for each in wanted]
    while todo:
        one = todo.pop()
        for need in map(Requirement, distribution(one.name).requires or ()):
            extras = [{"extra": each} for each in ("", *one.extras)]
            if need.marker is None or any(map(need.marker.evaluate, extras)):
                todo.append(need) if str(need) not in known else None
                known.add(str(need))
        name = re.sub("[-_.]+", "-", one.name).lower()
        if name not in known:
            known.add(name)
            yield name


def _link(package: Distribution, place: Path) -> None:
    for file in package.files or ():
        if file.parts[0] != ".." and "__pycache__" not in file.parts:
            target = place / file
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                target.symlink_to(Path(str(package.locate_file(file))).resolve())
