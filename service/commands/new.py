"""`python -m service new`: a new function's project, or one of a function of a built-in runtime."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import UsageError
from ..projects.naming import check_function_name
from ..projects.templates import NEW_FILES, fresh_project
from ..projects.writing import check_target, write_project
from .result import write_result
from .stoppable import stoppable


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `new`."""
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="the function's name, and its folder's: my-function"
    )
    _add_flags_of_from(parser)


def _add_flags_of_from(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from",
        dest="old",
        metavar="DIR",
        help="take over a function of a built-in runtime: its s.yaml, code and packages are copied,"
        " DIR is left as it is; without NAME only tell what many calls at once would meet in it",
    )
    parser.add_argument(
        "--function",
        default="",
        metavar="NAME",
        help="with --from: which function of its s.yaml, if there are several",
    )
    parser.add_argument(
        "--handler",
        default="",
        metavar="NAME",
        help="with --from: the handler of a project without s.yaml [default: index.handler]",
    )
    parser.add_argument("--json", action="store_true", help="with --from: tell it as JSON")


def write_new(flags: argparse.Namespace, cwd: Path) -> int:
    """Write the project that the flags name; return the exit code. Raises UsageError, and
    StartError if a signal stops it.
    """
    with stoppable("nothing was written"):
        return _write(flags, cwd)


def _write(flags: argparse.Namespace, cwd: Path) -> int:
    if flags.old is not None:
        return _move(flags, cwd)
    if flags.json or flags.function or flags.handler:
        raise UsageError("--json, --function and --handler are for --from DIR")
    if not flags.name:
        raise UsageError("name the function: new my-function")
    target = target_of(flags.name, cwd)
    write_project(target, fresh_project(target.name))
    write_result(told_fresh(flags.name).encode())
    return 0


def _move(flags: argparse.Namespace, cwd: Path) -> int:
    """Write a project from one of a built-in runtime; without a name only tell of it."""
    from ..projects.moving import copy_of, judged_project, moved_project
    from ..projects.old_project import read_old_project
    from ..projects.report import moving_json, moving_sum, moving_table

    target = target_of(flags.name, cwd) if flags.name else None
    old = read_old_project(cwd / flags.old, flags.function, flags.handler)
    moved = moved_project(old, target.name) if target else judged_project(old)
    if target:
        write_project(target, moved.files, copy_of(old, target))
    if flags.json:
        write_result(moving_json(old, moved, str(target) if target else None))
        return 0
    lines = [moving_table(moved.findings), moving_sum(moved)]
    if target:
        lines += ["\n".join(["", f"{flags.name} is written.", *next_steps(flags.name)]), "\n"]
    write_result("".join(lines).encode())
    return 0


def target_of(argument: str, cwd: Path) -> Path:
    """Return the folder that is to be written, whose last part is the function's name. Raises
    UsageError.
    """
    if "\0" in argument:
        raise UsageError("a folder's name has no NUL in it")
    target = cwd / argument
    check_function_name(target.name if argument.rstrip("/") not in ("", ".", "..") else argument)
    check_target(target)
    return target


def told_fresh(argument: str) -> str:
    """Return what is said of a project that was written."""
    shown = {path: what for path, what in NEW_FILES.items() if what}
    width = max(map(len, shown))
    lines = [f"  {path:{width}}  {what.replace('`', '')}" for path, what in shown.items()]
    return "\n".join([f"{argument.rstrip('/')}:", *lines, *next_steps(argument)]) + "\n"


def next_steps(argument: str) -> list[str]:
    """Return the commands to type next."""
    return [
        "",
        "next:",
        f"  cd {argument}",
        "  make test      installs into .venv, and runs the tests",
        "  make run       serves the function on port 9000",
        "  make emulate   plays Function Compute for s.yaml",
    ]
