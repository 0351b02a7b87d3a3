"""The process's entry point: run the command that is named, and exit."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from ..errors import StartError, UsageError
from ..logs.lines import FORMATS, NOWHERE
from ..process.signals import SIGNALS, Stopped
from ..settings.load import Loaded, load_settings, show
from . import serve
from .parser import PROGRAM, parser_of, split_command
from .result import flush_stdout, write_result

PACKAGE = __name__.partition(".")[0]

LEFTOVERS = 2.0
"""Seconds for threads, processes and exit functions of the function's own to end by themselves once
the service has stopped.
"""


def main() -> NoReturn:
    """Run a command and exit: the process's own entry point."""
    try:
        code = _outcome()
        SIGNALS.leave()
    except Stopped:
        SIGNALS.leave()
        code = 0
    finally:
        flush_stdout()  # argparse prints, too, and exits
    _leave(code)


def _outcome() -> int:
    """Return the exit code of the command that the process was started with."""
    try:
        with _missing_parts_told():
            return run_command(sys.argv[1:], _folder())
    except StartError as error:
        _tell(error)
        return error.exit_code


@contextmanager
def _missing_parts_told() -> Iterator[None]:
    """Within this, a part of the service that is left out of what is deployed is told in its line
    (`bundling/pruning.py`), which says where it is. Raises UsageError.
    """
    try:
        yield
    except ModuleNotFoundError as missing:
        if not (missing.name or "").startswith(f"{PACKAGE}."):
            raise
        raise UsageError(str(missing)) from None


def _tell(error: StartError) -> None:
    """Write why there is no start, in one line."""
    if error.log_format == "text":
        line = f"{PROGRAM}: {error}\n"
    else:
        line = FORMATS[error.log_format](NOWHERE, "ERROR", str(error)).decode()
    sys.stderr.write(line)


@contextmanager
def _told_as(log_format: str) -> Iterator[None]:
    """Within this, what keeps the service from starting is told in the form of its log."""
    try:
        yield
    except StartError as error:
        error.log_format = log_format
        raise


def _folder() -> Path:
    try:
        return Path.cwd()
    except OSError as reason:
        raise StartError(
            f"the working directory cannot be read ({reason.strerror}): it was removed or moved;"
            " change into the function's folder and start again"
        ) from None


def run_command(arguments: Sequence[str], cwd: Path) -> int:
    """Run the command that `arguments` name and return its exit code. Raises StartError and
    UsageError.
    """
    command, rest = split_command(arguments)
    if command not in ("serve", "invoke"):
        from .plain_commands import plain_command

        add_flags, run = plain_command(command)
        return run(parser_of(command, add_flags).parse_args(rest), cwd)
    if command == "invoke":
        from . import invoke

        flags = parser_of(command, invoke.add_flags).parse_args(invoke.with_profile_file(rest))
        loaded = load_settings(vars(flags), os.environ, cwd)
        with _told_as(loaded.settings.log_format):
            return _shown(loaded) if flags.show_config else invoke.call_once(loaded, flags, cwd)
    flags = parser_of(command, serve.add_flags).parse_args(rest)
    if flags.completion:
        return _complete(flags.completion)
    loaded = load_settings(vars(flags), os.environ, cwd)
    if flags.show_config:
        return _shown(loaded)
    with _told_as(loaded.settings.log_format):
        return serve.serve_function(loaded, flags, rest, cwd)


def _complete(shell: str) -> int:
    from .completion import completion_script

    write_result(completion_script(shell).encode())
    return 0


def _shown(loaded: Loaded) -> int:
    write_result(f"{show(loaded)}\n".encode())
    return 0


def _leave(code: int) -> NoReturn:
    """Exit, even if a thread, a process or an exit function of the function's never ends: the
    interpreter would wait for it for ever.
    """

    def end() -> None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        if "multiprocessing" in sys.modules:
            left = sys.modules["multiprocessing"].active_children()
            for process in left:
                process.kill()
            for process in left:
                process.join(LEFTOVERS)  # it has the port as well, until it has ended
        os._exit(code)

    overdue = threading.Timer(LEFTOVERS, end)
    overdue.daemon = True
    overdue.start()
    sys.exit(code)
