"""Makes a function's code package: a folder that is `/code` on the platform, and its zip."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..whole_folder import whole_folder
from .archive import settle_files
from .function_files import copy_files, function_files
from .interpreter import copy_interpreter
from .lists import RUNTIME_PLATFORM
from .packages import install_packages
from .pruning import prune
from .refused import Refused
from .run_uv import uv

RUNTIMES = ("3.11", "3.12", "3.13")
"""The Pythons that the platform's runtimes have and the service runs on (docs/platform.md section
9).
"""

_OURS = "fc_event_service"
_HERE = Path(__file__).resolve().parent

_Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class CodePackage:
    """What is to be made: of the function's folder, its list of packages, for a runtime's Python or
    one that is brought along as `interpreter`, or by a layer that was made in the folder `layer`.
    uv is beside the Python of `tools`.
    """

    function: Path
    target: Path
    packages: Path | None
    python: str
    interpreter: Path | None
    layer: Path | None
    tools: Path


def make_code_package(wanted: CodePackage, say: _Say) -> None:
    """Make the folder, which takes the place of one that is there; say what takes time. Raises
    Refused, OSError and Interrupted, and then the folder is as it was.
    """
    if not (wanted.interpreter or wanted.layer or wanted.python in RUNTIMES):
        raise Refused(
            f"no runtime has Python {wanted.python}: take {', '.join(RUNTIMES)}, or bring one along"
            " with --interpreter FOLDER, which has its bin/ and lib/, or in a layer with --layer"
        )
    own = [path for path in function_files(wanted.function) if not _has(path, wanted.target)]
    wanted.target.parent.mkdir(parents=True, exist_ok=True)
    with whole_folder(wanted.target, over=True) as folder:
        copy_files(own, folder)
        _add_packages(wanted, folder / "python", say)
        _add_bootstrap(folder / "bootstrap", wanted.python)
        if wanted.interpreter is not None:
            say(f"copying the Python {wanted.python} of {wanted.interpreter}")
            copy_interpreter(folder / "interpreter", wanted.python, wanted.interpreter)
        _compile(wanted, folder, say)
        settle_files(folder)


def make_layer(target: Path, python: str, interpreter: Path) -> None:
    """Make the folder of a layer that brings a Python, which is `/opt` on the platform. Raises
    Refused, OSError and Interrupted.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole_folder(target, over=True) as folder:
        copied = folder / "interpreter"
        copy_interpreter(copied, python, interpreter)
        _make_byte_code(copied / "bin" / f"python{python}", folder, "/opt")
        settle_files(folder)


def _has(path: Path, target: Path) -> bool:
    """Whether the package would be made within a part of the function."""
    return target.resolve().is_relative_to(path.resolve())


def _add_packages(wanted: CodePackage, folder: Path, say: _Say) -> None:
    """Install the packages, and the service that runs this if none of them is it."""
    folder.mkdir(exist_ok=True)
    if wanted.packages is not None:
        say(f"installing {wanted.packages.name} for Python {wanted.python}")
        target = ("--python-version", wanted.python, "--python-platform", RUNTIME_PLATFORM)
        install_packages(folder, wanted.packages, *target, tools=wanted.tools)
    (folder / ".lock").unlink(missing_ok=True)
    shutil.rmtree(folder / "bin", ignore_errors=True)
    if not (folder / _OURS).exists():
        ignored = shutil.ignore_patterns("__pycache__")
        home = _HERE.parent
        short = next(
            place
            for place in (home.parent / "installed" / "service", home.parent / "service")
            if place.is_dir() and not place.samefile(home)
        )
        shutil.copytree(home, folder / _OURS, ignore=ignored)
        shutil.copytree(short, folder / "service", ignore=ignored)
    prune(folder)


def _add_bootstrap(file: Path, python: str) -> None:
    """Add what starts a function that names no command, unless it has one of its own."""
    if not file.exists():
        text = (_HERE / "bootstrap").read_text("utf-8").replace("@VERSION@", python)
        file.write_text(text, "utf-8")
    file.chmod(0o755)


def _compile(wanted: CodePackage, folder: Path, say: _Say) -> None:
    """Make byte code, if a Python of that version is here: a cold start is shorter by it."""
    python = _python(wanted, folder)
    if python is None:
        say(f"no Python {wanted.python} is here to make byte code: a cold start takes longer")
        return
    _make_byte_code(python, folder, "/code")


def _make_byte_code(python: Path, folder: Path, place: str) -> None:
    """Compile what will be at a place of the platform's."""
    # A zip keeps a file's time in steps of two seconds: byte code that is checked by time would be
    # made again.
    flags = ["-s", str(folder), "-p", place, "--invalidation-mode", "unchecked-hash"]
    subprocess.run(
        [str(python), "-P", "-m", "compileall", "-q", *flags, str(folder)],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        stdout=subprocess.DEVNULL,  # a file that is no Python: the check tells of it
        check=False,
    )


def _python(wanted: CodePackage, folder: Path) -> Path | None:
    """Return a Python of the version: that of the package, or one of this machine."""
    if wanted.interpreter is not None:
        return folder / "interpreter" / "bin" / f"python{wanted.python}"
    program = Path("interpreter", "bin", f"python{wanted.python}")
    if wanted.layer is not None and (wanted.layer / program).exists():
        return wanted.layer / program
    command = [str(uv(wanted.tools)), "python", "find", "--no-config", "--no-python-downloads"]
    done = subprocess.run([*command, wanted.python], capture_output=True, text=True, check=False)
    found = done.stdout.strip()
    return Path(found) if done.returncode == 0 and found else None
