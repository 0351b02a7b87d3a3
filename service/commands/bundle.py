"""`bundle`: the code package of a function, as a runtime takes it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..errors import StartError, UsageError
from .result import write_result
from .stoppable import stoppable

_LAYER = "build/layer"


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `bundle`."""
    parser.add_argument(
        "folder", nargs="?", metavar="FOLDER", help="the function's folder [default: code, or .]"
    )
    parser.add_argument("--to", metavar="FOLDER", help="what is made [default: build/code]")
    parser.add_argument("--zip", metavar="FILE", help="make the zip of it, too, for the console")
    parser.add_argument(
        "--python",
        default="3.11",
        metavar="VERSION",
        help="the runtime's: 3.11 of custom.debian12, 3.12 of custom.debian11 [default: 3.11]",
    )
    parser.add_argument(
        "--requirements",
        metavar="FILE",
        help="the packages [default: requirements.lock, or else requirements.txt]",
    )
    parser.add_argument(
        "--lock",
        action="store_true",
        help="write requirements.lock first, of requirements.txt: each package's version and"
        " hashes, from which every later bundle is made",
    )
    _add_flags_of_pythons(parser)


def _add_flags_of_pythons(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--interpreter",
        metavar="FOLDER",
        help="bring along a Python that no runtime has: its folder, with bin/ and lib/; or the word"
        " layer, if a layer brings it",
    )
    parser.add_argument(
        "--layer",
        action="store_true",
        help="make such a layer of --interpreter FOLDER, in build/layer, and no package",
    )
    parser.add_argument(
        "--tools",
        metavar="PYTHON",
        help="the Python that has uv and setuptools [default: the one that runs this]",
    )


def make_bundle(flags: argparse.Namespace, cwd: Path) -> int:
    """Make the package that the flags name; return the exit code. Raises UsageError, and StartError
    for what cannot be made or a signal has stopped: then what was there is as it was.
    """
    from ..bundling.refused import Refused

    with stoppable("nothing was made"):
        try:
            return _make(flags, cwd)
        except Refused as reason:
            error = StartError(str(reason))
            error.exit_code = 1
            raise error from None
        except OSError as reason:
            what = f"{reason.filename}: {reason.strerror}" if reason.filename else str(reason)
            error = StartError(f"{what}: nothing was made")
            error.exit_code = 1
            raise error from None


def _make(flags: argparse.Namespace, cwd: Path) -> int:
    if flags.layer:
        return _made(_layer(flags, cwd), flags.zip, cwd)
    from ..bundling.code_package import CodePackage, make_code_package
    from ..bundling.lists import package_list, write_lock

    function = _function(flags, cwd)
    tools = cwd / flags.tools if flags.tools else Path(sys.executable)
    if flags.lock:
        _say("locking requirements.txt")
        write_lock(cwd, function, flags.python, tools)
    packages = cwd / flags.requirements if flags.requirements else package_list(cwd, function)
    if packages is not None and not packages.is_file():
        raise UsageError(f"--requirements {flags.requirements}: there is no such file")
    layer = cwd / _LAYER if flags.interpreter == "layer" else None
    brought = cwd / flags.interpreter if flags.interpreter and layer is None else None
    target = flags.to or "build/code"
    make_code_package(
        CodePackage(function, cwd / target, packages, flags.python, brought, layer, tools), _say
    )
    return _made(target, flags.zip, cwd)


def _layer(flags: argparse.Namespace, cwd: Path) -> str:
    """Make a layer; return its folder. Raises UsageError and Refused."""
    from ..bundling.code_package import make_layer

    if not flags.interpreter:
        raise UsageError("--layer is made of a Python: --interpreter FOLDER, and its --python 3.14")
    target: str = flags.to or _LAYER
    make_layer(cwd / target, flags.python, cwd / flags.interpreter)
    return target


def _made(target: str, archive: str | None, cwd: Path) -> int:
    """Tell what a folder came to, and its zip if one is wanted; return the exit code."""
    from ..bundling.archive import is_refused, told_folder, told_size, told_zip, write_zip

    folder = cwd / target
    if archive is None:
        write_result(f"{target}: {told_folder(folder)}\n".encode())
        return 0
    file = Path(archive)
    write_zip(folder, cwd / file)
    write_result(f"{told_zip(folder, cwd / file, archive)}\n".encode())
    if against := told_size(folder, cwd / file):
        _say(against)
    return 1 if is_refused(cwd / file) else 0


def _function(flags: argparse.Namespace, cwd: Path) -> Path:
    """Return the function's folder. Raises UsageError."""
    folder = cwd / (flags.folder or ("code" if (cwd / "code").is_dir() else "."))
    if not folder.is_dir():
        raise UsageError(f"{flags.folder}: there is no such folder: name the function's")
    return folder


def _say(line: str) -> None:
    sys.stderr.write(f"bundle: {line}\n")
