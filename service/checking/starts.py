"""Whether the command starts what is there, and finds the handler (docs/platform.md section 9)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ..emulator.spec.document import FilePlace
from ..emulator.spec.launch import CONTAINER, CUSTOM, kind_of
from ..names import NAME, SHORT
from .checked import BOOTSTRAP, CheckedFunction
from .finding import CheckFinding

SCRIPTS = (".py", ".sh", ".pyc")


def start_rows(function: CheckedFunction) -> Iterator[CheckFinding]:
    """Yield what of the command and the handler is not there."""
    if kind_of(function.props) == CUSTOM:
        yield from _command(function)
    yield from _handler(function)


def _command(function: CheckedFunction) -> Iterator[CheckFinding]:
    config = function.config
    program = [str(each) for each in config.get("command") or [BOOTSTRAP]]
    words = [*program, *(str(each) for each in config.get("args") or [])]
    key: FilePlace = (function.config_key, "command" if config.get("command") else "")
    key = tuple(each for each in key if each)
    if function.package.maker and words[0] == BOOTSTRAP:
        return  # that is made with the package
    found = [*_program(function, words[0], key), *_script(function, words, key)]
    found += _module(function, words, key)
    yield from found
    if not found:
        yield function.fits("command", key, f"starts {' '.join(words)[:80]}", source="9")


def _program(function: CheckedFunction, program: str, key: FilePlace) -> Iterator[CheckFinding]:
    """Yield what is wrong with the program, if it is a file of the code."""
    file = function.file_in_code(program)
    if file is None:
        return
    if not file.is_file():
        more = "" if program != BOOTSTRAP else ", which is started if there is no command"
        yield function.fault(
            "command",
            key,
            f"{program} is not in the code{more}",
            remedy="write customRuntimeConfig.command and args, or make the file",
            source="9",
        )
        return
    if not os.access(file, os.X_OK):
        yield function.fault(
            "command", key, f"{program} may not be executed", remedy=f"chmod +x {file.name}"
        )
    first = _first_line(file)
    if first.startswith(b"#!") and first.endswith(b"\r\n"):
        yield function.fault(
            "command",
            key,
            f"{program} has lines that end as on Windows: its interpreter is not found",
            remedy="save it with \\n at the ends of its lines",
        )
    elif not first.startswith((b"#!", b"\x7fELF")):
        yield function.fault(
            "command", key, f"{program} has no #! line", remedy="begin it with #!/bin/bash"
        )


def _first_line(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.readline(4096)


def _script(function: CheckedFunction, words: list[str], key: FilePlace) -> Iterator[CheckFinding]:
    """Yield an interpreter's script that is not there: its first argument."""
    if len(words) < 2 or words[1].startswith("-") or not words[1].endswith(SCRIPTS):
        return
    file = function.file_in_code(words[1], is_argument=True)
    if file is not None and not file.is_file():
        yield function.fault(
            "command", key, f"{words[1]} is not in the code", remedy="name the file that is there"
        )


def _module(function: CheckedFunction, words: list[str], key: FilePlace) -> Iterator[CheckFinding]:
    """Yield a module of `-m` that is neither in the code nor in what PYTHONPATH names."""
    places = [n for n, word in enumerate(words[:-1]) if word == "-m"]
    if not places:
        return
    name = words[places[0] + 1]
    folders = [*function.python_path]
    if "-P" not in words:
        folders.append(function.code.folder)
    path = name.split(".")[0]
    inside = [each for each in folders if each is not None]
    if any((each / path).is_dir() or (each / f"{path}.py").is_file() for each in inside):
        return
    if None in folders or function.props.get("layers"):
        yield function.unknown("command", key, f"whether a layer has {name} cannot be told here")
    elif name in (NAME, SHORT) and function.package.maker:
        return  # it is brought along
    elif name in (NAME, SHORT):
        yield function.doubt(
            "command",
            key,
            f"-m {name} is not in this code folder: an instance would not start",
            remedy="deploy build/code, which `make bundle` makes, with PYTHONPATH=/code/python",
            source="9",
        )
    else:
        yield function.doubt(
            "command",
            key,
            f"whether the image has the module {name} cannot be told; the code has it not",
            remedy="bring it with the code, and name its folder in PYTHONPATH",
            source="9",
        )


def _handler(function: CheckedFunction) -> Iterator[CheckFinding]:
    """Yield whether the handler is there."""
    if not function.handlers or kind_of(function.props) == CONTAINER:
        return  # what an image has is not known here
    shown = " or ".join(f"{module}.{name}" for module, name in function.handlers)
    for module, name in function.handlers:
        file = function.module_file(module)
        if file is None:
            continue
        names = function.module_names(file)
        where = function.code.shown(file)
        top = name.partition(".")[0]
        if names is None:
            yield function.unknown(
                "handler", ("handler",), f"whether {where} has {name} shows at its import"
            )
            return
        if top in names:
            yield _there(function, f"{module}.{name}", f"{where}:{names[top].lineno}")
            return
    if None in function.python_path or function.props.get("layers"):
        yield function.unknown("handler", ("handler",), f"whether a layer has {shown} is not known")
        return
    say = function.unknown if function.package.maker else function.fault
    yield say(
        "handler",
        ("handler",),
        f"there is no {shown} in the code: the service does not start",
        remedy="write the handler's module and name, or SERVICE_HANDLER",
    )


def _there(function: CheckedFunction, found: str, where: str) -> CheckFinding:
    """Return what to say of the handler that is served."""
    named = function.props.get("handler")
    first = ".".join(function.handlers[0])
    if named and first != found:
        return function.doubt(
            "handler",
            ("handler",),
            f"{first} is not in the code: the service serves {found} in its place",
            remedy="write the name of the handler that is meant",
        )
    return function.fits("handler", ("handler",), f"{found} is there", where=where)
